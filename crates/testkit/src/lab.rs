//! A laboratory: one authority, and time sources, pools and users that trust it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ntp_daemon::config::{
    Config as DaemonConfig, KeAuthorization, KeServerConfig, ServerConfig, SynchronizationConfig,
};
use ntp_daemon::ke_server::KeStatsSnapshot;
use ntp_daemon::server::StatsSnapshot;
use ntp_daemon::time_source::TimeSource;
use nts_pool_ke::config::{LimitsConfig, ObservabilityConfig, TlsConfig, UpstreamConfig};
use nts_pool_ke::fleet::{HealthPolicy, State};
use nts_pool_ke::selection::{Groups, SelectionPolicy};
use nts_pool_ke::wall_clock::{SystemClock, WallClock};
use nts_pool_ke::{Config as PoolConfig, Pool, SourceConfig};
use nts_proto::ke::token::AuthenticationToken;
use nts_proto::keyset::storage;
use nts_service::drain::Drain;
use rustls_pki_types::CertificateDer;
use tokio::runtime::{Builder, Runtime};

use crate::authority::{CertificateAuthority, Credentials};
use crate::deadline::within;
use crate::faulty_source::{FaultySource, Script, Setup};
use crate::page;
use crate::user::User;

/// The token that pools and sources of the laboratory share unless a test says otherwise.
pub const TOKEN: &str = "laboratory-token-0123456789abcdef";

/// The name of every pool in the laboratory, beside its address.
pub const POOL_NAME: &str = "pool.test";

/// Its numbered names.
pub const NUMBERED_NAMES: [&str; 4] = ["0.pool.test", "1.pool.test", "2.pool.test", "3.pool.test"];

/// Long enough for a busy machine; tests that wait for it to pass set a shorter one.
const POOL_TIMEOUT: Duration = Duration::from_secs(10);

/// See the module.
pub struct Lab {
    authority: CertificateAuthority,
    /// What pools show to sources.
    pool_client: Credentials,
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Lab {
    /// An empty laboratory with an authority of its own.
    pub fn new() -> Self {
        let authority = CertificateAuthority::new();
        let pool_client = authority.client(POOL_NAME);
        Self {
            authority,
            pool_client,
        }
    }

    /// The authority that everybody here trusts.
    pub fn authority(&self) -> &CertificateAuthority {
        &self.authority
    }

    /// A user.
    pub fn user(&self) -> User {
        User::new(&self.authority)
    }

    /// The certificate by which sources may know the pools of this laboratory.
    pub fn pool_certificate(&self) -> CertificateDer<'static> {
        self.pool_client.certificate()
    }

    /// The private key that belongs to it.
    pub fn pool_private_key(&self) -> Vec<u8> {
        self.pool_client.private_key()
    }

    /// A real time source at `ip` that knows pools by [`TOKEN`].
    pub fn source(&self, ip: IpAddr) -> RealSource {
        self.source_with(ip, by_token(TOKEN), |_| {})
    }

    /// A real time source at `ip`: NTP and NTS-KE on any ports.
    ///
    /// # Panics
    /// If it does not start.
    pub fn source_with(
        &self,
        ip: IpAddr,
        authorization: KeAuthorization,
        change: impl FnOnce(&mut KeServerConfig),
    ) -> RealSource {
        let mut ke_server = KeServerConfig {
            listen: SocketAddr::new(ip, 0),
            identity: self.authority.server(&[&ip.to_string()]).identity(),
            identity_files: None,
            authorization,
            key_exchange_timeout: Duration::from_secs(10),
            concurrent_connections: 512,
            longlived_connections: 51,
            rate_limit_interval: Duration::ZERO,
            rate_limit_burst: 8,
            ntp_port: None,
            ntp_server: None,
            proxy_protocol: None,
        };
        change(&mut ke_server);
        let config = DaemonConfig {
            servers: vec![ServerConfig::new(SocketAddr::new(ip, 0))],
            ke_servers: vec![ke_server],
            synchronization: SynchronizationConfig {
                local_stratum: 1,
                ..SynchronizationConfig::default()
            },
            ..DaemonConfig::default()
        };
        RealSource::start(&config)
    }

    /// A faulty source at `ip` that knows pools by [`TOKEN`].
    pub async fn faulty_source(&self, ip: IpAddr, script: Script) -> FaultySource {
        let mut setup = Setup::new(&self.authority, &[&ip.to_string()]);
        setup.token = Some(token(TOKEN));
        FaultySource::with_setup(ip, setup, script).await
    }

    /// A pool of these sources.
    pub fn pool(&self, sources: Vec<SourceConfig>) -> RunningPool {
        self.pool_with(sources, |_| {})
    }

    /// A pool of these sources.
    ///
    /// # Panics
    /// If it does not start.
    pub fn pool_with(
        &self,
        sources: Vec<SourceConfig>,
        change: impl FnOnce(&mut PoolConfig),
    ) -> RunningPool {
        self.pool_by(Arc::new(SystemClock), sources, change)
    }

    /// A pool of these sources that takes `clock` for the time of day.
    ///
    /// # Panics
    /// If it does not start.
    pub fn pool_by(
        &self,
        clock: Arc<dyn WallClock>,
        sources: Vec<SourceConfig>,
        change: impl FnOnce(&mut PoolConfig),
    ) -> RunningPool {
        let names = [&[POOL_NAME, "127.0.0.1"][..], &NUMBERED_NAMES].concat();
        let mut config = PoolConfig {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))].into(),
            sources: sources.into(),
            selection: SelectionPolicy::default(),
            groups: Groups::default(),
            snapshot: None,
            token_secret: None,
            health: HealthPolicy::default(),
            geo: None,
            upstream: UpstreamConfig::default(),
            limits: LimitsConfig::default(),
            proxy_protocol: None,
            shutdown: Drain::default(),
            key_exchange_timeout: POOL_TIMEOUT,
            tls: TlsConfig {
                identity: self.authority.server(&names).identity(),
                upstream_identity: self.pool_client.identity(),
                trust: self.authority.trust(),
                files: None,
            },
            observability: ObservabilityConfig::default(),
        };
        change(&mut config);
        let running = Pool::start_by(config, clock).expect("a pool starts");
        RunningPool {
            address: running.local_addresses()[0],
            running,
        }
    }
}

/// A real time source that runs, on a runtime of its own, as if it were a program of its own.
pub struct RealSource {
    /// Where it answers NTP.
    pub ntp: SocketAddr,
    /// Where it answers NTS-KE.
    pub ke: SocketAddr,
    running: Option<TimeSource>,
    runtime: Option<Runtime>,
}

impl RealSource {
    fn start(config: &DaemonConfig) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("threads");
        let running = {
            let _inside = runtime.enter();
            TimeSource::start(config).expect("a time source starts")
        };
        Self {
            ntp: running.ntp_addresses()[0],
            ke: running.ke_addresses()[0],
            running: Some(running),
            runtime: Some(runtime),
        }
    }

    /// As a pool's configuration names it, with [`TOKEN`].
    pub fn entry(&self) -> SourceConfig {
        entry(self.ke)
    }

    /// What its NTS-KE server counts.
    pub fn counts(&self) -> KeStatsSnapshot {
        let running = self.running.as_ref();
        running.expect("it runs until it is stopped").ke_servers()[0]
            .stats()
            .snapshot()
    }

    /// What its NTP server counts.
    pub fn ntp_counts(&self) -> StatsSnapshot {
        let running = self.running.as_ref();
        running.expect("it runs until it is stopped").servers()[0]
            .stats()
            .snapshot()
    }

    /// The keys its cookies are sealed with.
    pub fn cookie_keys(&self) -> Vec<Vec<u8>> {
        /// Where the keys stand in the stored form.
        const HEADER_LENGTH: usize = 24;
        const KEY_LENGTH: usize = 32;
        let running = self.running.as_ref();
        let keys = running.expect("it runs until it is stopped").keys();
        let keys = keys.current();
        let stored = storage::encode(&keys, 0);
        let stored = stored[HEADER_LENGTH..].chunks(KEY_LENGTH);
        stored.take(keys.key_count()).map(<[u8]>::to_vec).collect()
    }

    /// Stops it in good order.
    pub async fn stop(mut self) {
        if let Some(running) = self.running.take() {
            within("the source to stop", running.shutdown()).await;
        }
    }

    /// Kills it as a signal would kill a program: when this returns, no socket of it is open, and
    /// nobody was told anything.
    pub async fn kill(mut self) {
        let (running, runtime) = (self.running.take(), self.runtime.take());
        let kill = tokio::task::spawn_blocking(move || {
            drop(runtime);
            drop(running);
        });
        within("the source to die", kill)
            .await
            .expect("nothing panics in dying");
    }
}

impl Drop for RealSource {
    fn drop(&mut self) {
        // Threads cannot be waited for here: this may run inside another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl FaultySource {
    /// As a pool's configuration names it, with [`TOKEN`].
    pub fn entry(&self) -> SourceConfig {
        entry(self.address())
    }
}

/// A pool that runs.
pub struct RunningPool {
    /// Where users connect to.
    pub address: SocketAddr,
    /// The pool itself; dropping it kills it.
    pub running: Pool,
}

impl RunningPool {
    /// The value of a series of its metrics, written as on the page, such as `name{label="value"}`;
    /// 0 if there is none.
    ///
    /// # Panics
    /// If the value is no whole number.
    pub fn metric(&self, series: &str) -> u64 {
        page::value(&self.running.registry().render(), series)
    }

    /// The values of all series of a metric, added up.
    ///
    /// # Panics
    /// If a value is no whole number.
    pub fn total(&self, metric: &str) -> u64 {
        page::total(&self.running.registry().render(), metric)
    }

    /// How many requests of this kind (`exchange` or `check`) to the source ended like this.
    pub fn requests(&self, source: SocketAddr, kind: &str, outcome: &str) -> u64 {
        let labels = format!("source=\"{source}\",kind=\"{kind}\",outcome=\"{outcome}\"");
        self.metric(&format!("nts_pool_ke_source_requests_total{{{labels}}}"))
    }

    /// Whether this is what the pool thinks of the source.
    pub fn is_in(&self, source: SocketAddr, state: State) -> bool {
        let series = format!("nts_pool_ke_source_state{{source=\"{source}\"}}");
        self.metric(&series) == u64::from(state.number())
    }
}

/// A source at `address` as a pool's configuration names it, with [`TOKEN`].
///
/// # Panics
/// Never for an address.
pub fn entry(address: SocketAddr) -> SourceConfig {
    let mut entry = SourceConfig::new(&address.ip().to_string(), address.port())
        .expect("an address is a good name");
    entry.auth_token = Some(token(TOKEN));
    entry
}

/// Health in which nothing takes longer than it must.
pub fn quick_health() -> HealthPolicy {
    HealthPolicy {
        hold: Duration::from_millis(500),
        probe_pause_min: Duration::from_millis(50),
        probe_pause_max: Duration::from_millis(100),
        ramp: Duration::from_secs(1),
        ramp_after_hard: Duration::from_secs(1),
        ..HealthPolicy::default()
    }
}

/// A token for configurations.
///
/// # Panics
/// If it is none.
pub fn token(text: &str) -> AuthenticationToken {
    AuthenticationToken::new(text).expect("a valid token")
}

/// Pools are known by this token.
pub fn by_token(text: &str) -> KeAuthorization {
    KeAuthorization {
        tokens: vec![token(text)],
        certificates: Vec::new(),
    }
}

/// Pools are known by this certificate.
pub fn by_certificate(certificate: CertificateDer<'static>) -> KeAuthorization {
    KeAuthorization {
        certificates: vec![certificate],
        tokens: Vec::new(),
    }
}

/// 127.0.0.x.
pub fn loopback(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}
