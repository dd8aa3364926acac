//! Time limits, and why connections are closed before they could say anything.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

/// How much time a listener grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a connection may be silent before it is closed, from accepting on. Its handler is
    /// called after that. `None`: it is called at once, for protocols in which the server begins.
    pub first_byte: Option<Duration>,
    /// The time of one exchange, from accepting on.
    pub time_limit: Duration,
    /// A handler that still runs this long after its deadline, or after it was
    /// [cut short](super::Lease::cut_short), is ended.
    pub grace: Duration,
    /// Once it is time to stop, running handlers have this long to finish before they are cut
    /// short.
    pub drain: Duration,
}

/// [`Limits`] that can be changed while a listener runs. Clones are the same limits.
#[derive(Clone, Debug)]
pub struct LiveLimits(Arc<ArcSwap<Limits>>);

impl LiveLimits {
    /// Begins with `limits`.
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(limits)))
    }

    /// What holds now.
    pub fn get(&self) -> Limits {
        **self.0.load()
    }

    /// Other limits for connections that come from now on.
    pub fn set(&self, limits: Limits) {
        self.0.store(Arc::new(limits));
    }
}

impl From<Limits> for LiveLimits {
    fn from(limits: Limits) -> Self {
        Self::new(limits)
    }
}

/// Why a connection was closed before it could say anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitReason {
    /// Its network connects too often.
    PrefixRate,
    /// Its network has too many connections.
    PrefixConcurrency,
    /// All slots are taken.
    Global,
    /// It did not send anything in time.
    FirstByte,
    /// It came from elsewhere than a balancer, where users come through balancers only.
    Stranger,
    /// A balancer did not send a proper header in time.
    ProxyHeader,
}

impl LimitReason {
    /// All reasons.
    pub const ALL: [Self; 6] = [
        Self::PrefixRate,
        Self::PrefixConcurrency,
        Self::Global,
        Self::FirstByte,
        Self::Stranger,
        Self::ProxyHeader,
    ];

    /// A short name, fit for a metrics label.
    pub fn label(self) -> &'static str {
        match self {
            Self::PrefixRate => "prefix_rate",
            Self::PrefixConcurrency => "prefix_conc",
            Self::Global => "global",
            Self::FirstByte => "first_byte",
            Self::Stranger => "proxy_stranger",
            Self::ProxyHeader => "proxy_header",
        }
    }
}
