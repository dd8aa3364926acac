//! The word to systemd (`Type=notify`). Without systemd all of this does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// The service is up and answers.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// The service begins to stop.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// The service begins to reload; [`ready`] ends it.
pub fn reloading() {
    // systemd wants the time together with the word (sd_notify(3), RELOADING=1).
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "no monotonic time for systemd"),
    }
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    send(&[NotifyState::Status(text)]);
}

/// Tells systemd again and again that the program lives, where its unit wants that
/// (`WatchdogSec=`); returns at once where not. Each time a task of its own must have run before:
/// a runtime that is stuck says nothing, and is restarted.
pub async fn watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return;
    };
    loop {
        tokio::time::sleep(pause(limit)).await;
        // An error means that the runtime ends.
        if tokio::spawn(async {}).await.is_err() {
            return;
        }
        send(&[NotifyState::Watchdog]);
    }
}

/// Three times within the limit, so that one delay does no harm.
fn pause(limit: Duration) -> Duration {
    limit / 3
}

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}
