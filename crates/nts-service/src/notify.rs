//! The word to systemd (`Type=notify`). Without systemd all of this does nothing.

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

fn send(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}
