//! What a running pool goes by, and how that is replaced: as a whole, or not at all.
//!
//! An exchange takes all of it once, when it begins. Nothing here reads files or listens.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use nts_service::files;
use nts_service::telemetry::metrics::{Gauge, Registry};
use nts_service::tls::{self, ClientCertificates, LiveIdentity};
use rustls::{ClientConfig, ServerConfig};

use crate::certificates::CertificateEnds;
use crate::config::{Config, SourceConfig};
use crate::keepers::Keepers;
use crate::metrics::Metrics;
use crate::selection::RosterError;
use crate::server::Front;
use crate::sources::{Edition, Present, Rules, Sources};
use crate::upstream::{IdleShare, Means, Node, SystemResolver};
use crate::wall_clock::{CertificateTime, WallClock};

/// See the module.
pub(crate) struct Setup {
    /// What users meet.
    pub(crate) front: Arc<ArcSwap<Front>>,
    /// The sources that are in use now.
    pub(crate) sources: Arc<Present>,
    /// How long certificates are still good.
    pub(crate) certificates: CertificateEnds,
    /// The configuration in effect, without the list of sources: they have it.
    config: Config,
    /// What users see of TLS, and the certificate in it.
    tls: Arc<ServerConfig>,
    identity: LiveIdentity,
    keepers: Keepers,
    metrics: Arc<Metrics>,
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
            node: Arc::new(Node::new(
                IdleShare::new(files::share_of_idle(files::limit())),
                Arc::new(SystemResolver::default()),
            )),
        });
        let sources = Sources::new(list, &means, rules(&config))?;
        let sources = Arc::new(Present::new(sources));
        let metrics = Arc::new(Metrics::new(registry, Arc::clone(&sources)));
        let present = sources.get();
        let mut keepers = Keepers::new(Arc::clone(&metrics));
        keepers.keep(&present);
        let identity = LiveIdentity::new(config.tls.identity.clone());
        let tls = tls::server_config(identity.clone(), ClientCertificates::Ignore);
        let front = front(&config, Arc::clone(&tls), present, Arc::clone(&metrics));
        let geo_loaded = registry.gauge(
            "nts_pool_ke_geo_loaded",
            "1 if it is known where users are.",
            &[],
        );
        let setup = Self {
            front: Arc::new(ArcSwap::from_pointee(front)),
            sources,
            certificates: CertificateEnds::new(&config.tls, registry, Arc::clone(&clock)),
            config,
            tls,
            identity,
            keepers,
            metrics,
            geo_loaded,
            clock,
        };
        setup.show();
        Ok(setup)
    }

    /// The configuration in effect.
    pub(crate) fn config(&self) -> Config {
        let mut config = self.config.clone();
        let sources = self.sources.get();
        let list = sources.all().iter().map(|it| it.config().clone());
        config.sources.sources = list.collect();
        config
    }

    /// The configuration in effect, without the list of sources.
    pub(crate) fn rest_of_config(&self) -> &Config {
        &self.config
    }

    /// Replaces all of it by what `config` says.
    ///
    /// # Errors
    /// If the sources make no pool; nothing has changed then.
    pub(crate) fn reload(&mut self, config: Config) -> Result<(), RosterError> {
        let (list, config) = part(config);
        let sources = self.sources.replace(|former| {
            let means = self.means(&config, former.means());
            former.succeeded_by(list, &means, rules(&config))
        })?;
        if !config.tls.identity.is_same_as(&self.config.tls.identity) {
            self.identity.replace(config.tls.identity.clone());
        }
        let (tls, metrics) = (Arc::clone(&self.tls), Arc::clone(&self.metrics));
        let front = front(&config, tls, Arc::clone(&sources), metrics);
        self.front.store(Arc::new(front));
        self.keepers.keep(&sources);
        self.config = config;
        self.show();
        Ok(())
    }

    /// How sources are dealt with under `config`: the very same as before if nothing in it has
    /// changed, so that connections and TLS sessions stay in use.
    fn means(&self, config: &Config, former: &Arc<Means>) -> Arc<Means> {
        let (tls, before) = (&config.tls, &self.config.tls);
        let same_tls = tls.trust.is_same_as(&before.trust)
            && tls.upstream_identity.is_same_as(&before.upstream_identity);
        let same_rules = config.upstream == former.policy
            && config.key_exchange_timeout == former.exchange_timeout;
        if same_tls && same_rules {
            return Arc::clone(former);
        }
        Arc::new(Means {
            policy: config.upstream.clone(),
            exchange_timeout: config.key_exchange_timeout,
            tls: match same_tls {
                true => Arc::clone(&former.tls),
                false => towards_sources(config, &self.clock),
            },
            node: Arc::clone(&former.node),
        })
    }

    /// Shows in metrics what there is now.
    fn show(&self) {
        self.certificates.set(&self.config.tls);
        let geo = self.config.geo.as_ref();
        let loaded = geo.is_some_and(|database| database.geo.is_some());
        self.geo_loaded.set(f64::from(u8::from(loaded)));
    }
}

/// The list of sources, and the rest.
fn part(mut config: Config) -> (Vec<SourceConfig>, Config) {
    let list = std::mem::take(&mut config.sources.sources);
    (list, config)
}

/// TLS as sources see it.
fn towards_sources(config: &Config, clock: &Arc<dyn WallClock>) -> Arc<ClientConfig> {
    let mut tls = tls::client_config(&config.tls.trust, Some(&config.tls.upstream_identity));
    Arc::make_mut(&mut tls).time_provider = Arc::new(CertificateTime(Arc::clone(clock)));
    tls
}

fn rules(config: &Config) -> Rules {
    Rules {
        selection: config.selection,
        groups: config.groups.clone(),
        health: config.health.clone(),
        edition: match &config.snapshot {
            None => Edition::Own,
            Some(_) => {
                let list = config.sources.signed.as_ref();
                Edition::Signed(list.map(|list| list.header().clone()))
            }
        },
    }
}

fn front(
    config: &Config,
    tls: Arc<ServerConfig>,
    sources: Arc<Sources>,
    metrics: Arc<Metrics>,
) -> Front {
    let budget = config.key_exchange_timeout;
    Front {
        tls,
        sources,
        geo: config
            .geo
            .as_ref()
            .and_then(|database| database.geo.clone()),
        timeout: budget,
        handshake_timeout: config.limits.handshake(budget),
        request_timeout: config.limits.request(budget),
        max_request: config.limits.max_request,
        max_denied: config.limits.max_denied,
        log_client_address: config.observability.log_client_address,
        monitors: config.observability.monitor_prefixes.clone(),
        metrics,
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("keepers", &self.keepers)
            .finish_non_exhaustive()
    }
}
