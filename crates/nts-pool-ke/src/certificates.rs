//! For how long the certificates are still good, and the word to the operator before they are not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use nts_service::telemetry::metrics::{Exposition, Kind, Registry};
use tokio::time::{MissedTickBehavior, interval};

use crate::config::TlsConfig;
use crate::wall_clock::WallClock;

/// Renewal is due from then on.
const SOON: Duration = Duration::from_secs(14 * 24 * 3600);
/// The operator is told so often.
const REMINDER: Duration = Duration::from_secs(24 * 3600);

/// See the module. Clones know the same.
#[derive(Clone, Debug)]
pub(crate) struct CertificateEnds {
    ends: Arc<Mutex<[SystemTime; 2]>>,
    clock: Arc<dyn WallClock>,
}

/// What is left of a certificate's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Time(Duration),
    /// It ended so long ago.
    Nothing(Duration),
}

impl CertificateEnds {
    /// What the certificates are for.
    const LABELS: [&'static str; 2] = ["front", "upstream"];

    /// Those in `tls`, shown in `registry` as they stand by `clock`.
    pub(crate) fn new(tls: &TlsConfig, registry: &Registry, clock: Arc<dyn WallClock>) -> Self {
        let ends = Arc::new(Mutex::new(ends(tls)));
        let ends = Self { ends, clock };
        let shown = ends.clone();
        registry.collect(move |page| shown.show(page));
        ends
    }

    /// These are the certificates from now on.
    pub(crate) fn set(&self, tls: &TlsConfig) {
        *self.lock() = ends(tls);
    }

    /// Whether users refuse what they see.
    pub(crate) fn users_see_an_expired_one(&self) -> bool {
        let [(_, front), _] = self.left();
        matches!(front, Left::Nothing(_))
    }

    /// Tells the operator once a day of certificates that are to be renewed, for ever. Dropping the
    /// future ends it.
    pub(crate) async fn watch(self) {
        let mut reminders = interval(REMINDER);
        reminders.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What was wrong at the start was said then.
        reminders.tick().await;
        loop {
            reminders.tick().await;
            self.remind();
        }
    }

    fn remind(&self) {
        for (certificate, left) in self.left() {
            match left {
                Left::Time(left) if left < SOON => tracing::warn!(
                    certificate,
                    days = left.as_secs() / (24 * 3600),
                    "the certificate ends soon; renew it"
                ),
                Left::Time(_) => {}
                Left::Nothing(_) => tracing::error!(
                    certificate,
                    "the certificate has expired and is refused; renew it"
                ),
            }
        }
    }

    fn left(&self) -> [(&'static str, Left); 2] {
        let now = self.clock.now();
        let ends = *self.lock();
        let left = ends.map(|end| match end.duration_since(now) {
            Ok(left) => Left::Time(left),
            Err(passed) => Left::Nothing(passed.duration()),
        });
        let [front, upstream] = Self::LABELS;
        [(front, left[0]), (upstream, left[1])]
    }

    fn show(&self, page: &mut Exposition) {
        const NAME: &str = "nts_pool_ke_certificate_expiry_seconds";
        page.family(NAME, Kind::Gauge, "Until the certificate ends.");
        for (certificate, left) in self.left() {
            let seconds = match left {
                Left::Time(left) => left.as_secs_f64(),
                Left::Nothing(since) => -since.as_secs_f64(),
            };
            page.sample(NAME, &[("cert", certificate)], seconds.trunc());
        }
    }

    fn lock(&self) -> MutexGuard<'_, [SystemTime; 2]> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ends(tls: &TlsConfig) -> [SystemTime; 2] {
    [&tls.identity, &tls.upstream_identity].map(|identity| identity.not_after())
}
