//! The certificate that is shown follows its files: whoever renews it need not tell the daemon.

use std::sync::Arc;

use nts_service::config::Problems;
use nts_service::shutdown::Shutdown;
use nts_service::tls::{LiveIdentity, Renewal};
use nts_service::watch::{FileWatch, Timing};
use tokio::sync::watch;

use crate::config::IdentityFiles;

/// The files of the certificate that is shown; they change when the configuration is read again.
pub(super) type Files = Option<Arc<IdentityFiles>>;

/// Shows in `identity` what the files hold, until `shutdown` or until nobody sends files any more.
pub(super) async fn follow(
    identity: LiveIdentity,
    mut files: watch::Receiver<Files>,
    timing: Timing,
    shutdown: Shutdown,
) {
    loop {
        let followed = follow_these(&identity, files.borrow_and_update().clone(), timing);
        tokio::select! {
            () = followed => {}
            changed = files.changed() => if changed.is_err() { return },
            () = shutdown.requested() => return,
        }
    }
}

async fn follow_these(identity: &LiveIdentity, files: Files, timing: Timing) {
    let Some(files) = files else {
        return std::future::pending().await;
    };
    let paths = [files.chain.to_path_buf(), files.key.to_path_buf()];
    let mut watch = FileWatch::with_timing(paths, timing).await;
    loop {
        watch.changed().await;
        let (identity, files) = (identity.clone(), Arc::clone(&files));
        if let Err(error) = tokio::task::spawn_blocking(move || renew(&identity, &files)).await {
            tracing::error!(%error, "a certificate was not renewed because of a defect");
        }
    }
}

fn renew(identity: &LiveIdentity, files: &IdentityFiles) {
    let problems = Problems::new();
    let renewal = identity.renew(&files.chain, &files.key, &problems);
    for problem in problems.into_vec() {
        tracing::warn!("{}: {}", problem.place(), problem.message());
    }
    match renewal {
        Renewal::Unchanged | Renewal::HalfRenewed => {}
        Renewal::Renewed => {
            tracing::info!(path = %files.chain.display(), "the NTS-KE server has a new certificate");
        }
        Renewal::Refused => tracing::warn!("the NTS-KE server goes on with the old certificate"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nts_service::config::{Located, Place};
    use nts_service::tls::Identity;
    use tokio::time::timeout;

    use super::*;
    use crate::fixtures::{Issued, Pki};

    const TIMING: Timing = Timing {
        interval: Duration::from_millis(10),
        settle: Duration::from_millis(10),
    };

    fn files(issued: &Issued) -> IdentityFiles {
        let located = |path: &std::path::PathBuf| Located::new(path.clone(), Place::file(path));
        IdentityFiles {
            chain: located(&issued.chain_path),
            key: located(&issued.key_path),
        }
    }

    /// Issues certificates for `name` until one is shown: the first look may come after a change.
    async fn renew(pki: &Pki, identity: &LiveIdentity, name: &str) -> Issued {
        let renewed = async {
            loop {
                let renewed = pki.issue(name);
                let expected = renewed.chain();
                let shown = async {
                    while identity.current().certificate() != expected.first() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                };
                if timeout(Duration::from_secs(1), shown).await.is_ok() {
                    return renewed;
                }
            }
        };
        timeout(Duration::from_secs(60), renewed)
            .await
            .expect("the new certificate is shown")
    }

    #[tokio::test]
    async fn what_the_files_hold_is_shown() {
        let pki = Pki::new();
        let first = pki.issue("localhost");
        let identity = LiveIdentity::new(Identity::new(first.chain(), first.key()).unwrap());
        let (sender, receiver) = watch::channel(Some(Arc::new(files(&first))));
        let (trigger, shutdown) = nts_service::shutdown::channel();
        let task = tokio::spawn(follow(identity.clone(), receiver, TIMING, shutdown));
        let renewed = renew(&pki, &identity, "localhost").await;
        // What is no certificate changes nothing, and other files may take the place of these.
        std::fs::write(&renewed.chain_path, "nothing").unwrap();
        let other = pki.issue("localhost.test");
        sender.send_replace(Some(Arc::new(files(&other))));
        renew(&pki, &identity, "localhost.test").await;
        trigger.fire();
        task.await.unwrap();
    }
}
