//! Signals reach the program instead of ending it. A process of its own, as signals are global.

use nix::sys::signal::{self, raise};
use nts_service::signals::{Signal, Signals};

#[tokio::test]
async fn stop_and_reload_are_told_apart() {
    let mut signals = Signals::listen().unwrap();
    for (raised, expected) in [
        (signal::SIGHUP, Signal::Reload),
        (signal::SIGTERM, Signal::Stop),
        (signal::SIGINT, Signal::Stop),
        (signal::SIGTERM, Signal::Stop),
    ] {
        raise(raised).unwrap();
        assert_eq!(signals.next().await, expected);
    }
}
