//! What a running pool goes by, and how that is replaced: as a whole, or not at all.
//!
//! An exchange takes all of it once, when it begins. Nothing here reads files or listens.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use nts_service::files;
use nts_service::telemetry::metrics::{Gauge, Registry};
use nts_service::tls::{self, ClientCertificates};
use rustls::ClientConfig;

use crate::config::{Config, SourceConfig};
use crate::keepers::Keepers;
use crate::metrics::{CertificateEnds, Metrics};
use crate::selection::RosterError;
use crate::server::Front;
use crate::sources::{Present, Rules, Sources};
use crate::upstream::{IdleShare, Means, SystemResolver};
use crate::wall_clock::{CertificateTime, WallClock};

/// See the module.
pub(crate) struct Setup {
    /// What users meet.
    pub(crate) front: Arc<ArcSwap<Front>>,
    /// The sources that are in use now.
    pub(crate) sources: Arc<Present>,
    keepers: Keepers,
    metrics: Arc<Metrics>,
    certificates: CertificateEnds,
    geo_loaded: Gauge,
    /// What certificates are checked by.
    clock: Arc<dyn WallClock>,
}

impl Setup {
    /// That of a pool that starts.
    ///
    /// # Errors
    /// If the sources make no pool.
    pub(crate) fn new(
        config: Config,
        registry: &Registry,
        clock: Arc<dyn WallClock>,
    ) -> Result<Self, RosterError> {
        let (list, config) = part(config);
        let means = Arc::new(Means {
            policy: config.upstream.clone(),
            exchange_timeout: config.key_exchange_timeout,
            tls: towards_sources(&config, &clock),
            idle_share: IdleShare::new(files::share_of_idle(files::limit())),
            resolver: Arc::new(SystemResolver::default()),
        });
        let sources = Sources::new(list, &means, rules(&config))?;
        let sources = Arc::new(Present::new(sources));
        let metrics = Arc::new(Metrics::new(registry.clone(), Arc::clone(&sources)));
        let present = sources.get();
        let mut keepers = Keepers::new(Arc::clone(&metrics));
        keepers.keep(&present);
        let geo_loaded = registry.gauge(
            "nts_pool_ke_geo_loaded",
            "1 if it is known where users are.",
            &[],
        );
        let certificates = CertificateEnds::new(registry, Arc::clone(&clock));
        note(&config, &certificates, &geo_loaded);
        let front = front(config, present, Arc::clone(&metrics));
        Ok(Self {
            front: Arc::new(ArcSwap::from_pointee(front)),
            sources,
            keepers,
            metrics,
            certificates,
            geo_loaded,
            clock,
        })
    }

    /// Replaces all of it by what `config` says.
    ///
    /// # Errors
    /// If the sources make no pool; nothing has changed then.
    pub(crate) fn reload(&mut self, config: Config) -> Result<(), RosterError> {
        let (list, config) = part(config);
        let sources = self.sources.replace(|former| {
            let means = Arc::new(Means {
                policy: config.upstream.clone(),
                exchange_timeout: config.key_exchange_timeout,
                tls: towards_sources(&config, &self.clock),
                idle_share: former.means().idle_share.clone(),
                resolver: Arc::clone(&former.means().resolver),
            });
            former.succeeded_by(list, &means, rules(&config))
        })?;
        note(&config, &self.certificates, &self.geo_loaded);
        let front = front(config, Arc::clone(&sources), Arc::clone(&self.metrics));
        self.front.store(Arc::new(front));
        self.keepers.keep(&sources);
        Ok(())
    }
}

/// TLS as sources see it.
fn towards_sources(config: &Config, clock: &Arc<dyn WallClock>) -> Arc<ClientConfig> {
    let mut tls = tls::client_config(&config.tls.trust, Some(&config.tls.upstream_identity));
    Arc::make_mut(&mut tls).time_provider = Arc::new(CertificateTime(Arc::clone(clock)));
    tls
}

/// The list of sources, and the rest.
fn part(mut config: Config) -> (Vec<SourceConfig>, Config) {
    let list = std::mem::take(&mut config.sources.sources);
    (list, config)
}

fn rules(config: &Config) -> Rules {
    Rules {
        selection: config.selection,
        health: config.health.clone(),
    }
}

fn front(config: Config, sources: Arc<Sources>, metrics: Arc<Metrics>) -> Front {
    let budget = config.key_exchange_timeout;
    Front {
        tls: tls::server_config(&config.tls.identity, ClientCertificates::Ignore),
        sources,
        geo: config.geo.and_then(|database| database.geo),
        timeout: budget,
        handshake_timeout: config.limits.handshake(budget),
        request_timeout: config.limits.request(budget),
        metrics,
    }
}

/// Shows in metrics what there is now.
fn note(config: &Config, certificates: &CertificateEnds, geo_loaded: &Gauge) {
    certificates.set(&config.tls);
    geo_loaded.set(f64::from(u8::from(
        config.geo.as_ref().is_some_and(|it| it.geo.is_some()),
    )));
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("keepers", &self.keepers)
            .finish_non_exhaustive()
    }
}
