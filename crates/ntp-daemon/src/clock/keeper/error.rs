//! Why the clock cannot be kept.

use ntp_sync::action::{Panic, PanicReason};

use crate::clock::ClockError;

/// Why the daemon has to end.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[expect(private_interfaces, reason = "only its text is for others")]
pub enum KeeperError {
    /// The clock cannot be controlled.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// A step is needed that is forbidden.
    #[error("{}", explain(.0))]
    Panic(Panic),
    /// The keeper itself ended.
    #[error("the keeper of the clock ended by a defect")]
    Defect,
}

/// Says what is wrong, and both cures.
fn explain(panic: &Panic) -> String {
    let Panic { reason, step } = panic;
    let (key, direction) = (reason.key(), if *step < 0.0 { "back" } else { "forward" });
    let size = step.abs();
    let hint = if *reason == PanicReason::StartupStep {
        " (forward = 0 there forbids every step forward)"
    } else {
        ""
    };
    format!(
        "the clock is wrong by {size:.3} s and would have to be set {direction}, which {key} in \
         [synchronization] forbids{hint}; the clock was not touched. If the sources are right, set \
         the clock by `ntp-ctl force-sync` or raise the threshold, and start again"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_names_key_size_direction_and_cure() {
        let panic = Panic {
            reason: PanicReason::StartupStep,
            step: -90_000.25,
        };
        let text = KeeperError::Panic(panic).to_string();
        for part in [
            "90000.250 s",
            "set back",
            "startup-step-panic-threshold",
            "force-sync",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
