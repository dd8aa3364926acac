//! Shows both times, and sets the clock if a person says so.

use std::io::{self, BufRead, Write};
use std::time::{Duration, UNIX_EPOCH};

use nts_proto::time::{NtpDuration, NtpTimestamp};
use nts_service::exit::ExitCode;
use nts_service::tls;

use super::agree::Agreed;
use crate::clock::{ClockError, SteerableClock, reading};

/// 2026-01-01 in Unix seconds: of the times that a timestamp may mean, the one nearest to it is meant.
const NEAR: i64 = 1_767_225_600;

/// Offsets below this, s, are for the daemon to correct.
const WORTH_SETTING: f64 = 1.0;

/// Asks on `out` and `input`; takes the clock by `open` only after a "yes".
///
/// # Errors
/// [`ClockError`] if the clock cannot be set.
pub(super) fn ask_and_set<C: SteerableClock>(
    agreed: Agreed,
    open: &mut dyn FnMut() -> Result<C, ClockError>,
    input: &mut impl BufRead,
    out: &mut impl Write,
) -> Result<ExitCode, ClockError> {
    let Agreed {
        offset,
        agreeing,
        measured,
    } = agreed;
    if offset.abs() < WORTH_SETTING {
        let _ = writeln!(
            out,
            "The clock is right to {offset:+.3} s by {agreeing} of {measured} sources: nothing to do"
        );
        return Ok(ExitCode::Success);
    }
    let step = NtpDuration::from_seconds_f64(offset);
    let now = reading::now();
    let _ = writeln!(
        out,
        "The clock says      {}\n{agreeing} of {measured} sources say {}\n\
         The clock would be set by {offset:+.3} s, past all thresholds.",
        utc(now),
        utc(now + step),
    );
    if !confirmed(input, out) {
        let _ = writeln!(out, "The clock was not touched.");
        return Ok(ExitCode::Failure);
    }
    open()?.step(step)?;
    let _ = writeln!(out, "The clock was set.");
    Ok(ExitCode::Success)
}

/// Anything but a clear yes is a no.
fn confirmed(input: &mut impl BufRead, out: &mut impl Write) -> bool {
    let _ = write!(out, "Set it? [y/N] ");
    let _ = out.flush();
    let mut answer = String::new();
    let read: io::Result<usize> = input.read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

/// A time for people.
fn utc(time: NtpTimestamp) -> String {
    let (seconds, _) = time.to_unix(NEAR);
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    tls::date(UNIX_EPOCH + since)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ClockMap, HeldClock, Quality};

    /// A clock that notes its steps in seconds.
    struct Noted<'a>(&'a mut Vec<f64>);

    impl SteerableClock for Noted<'_> {
        fn frequency(&self) -> f64 {
            0.0
        }

        fn set_frequency(&mut self, _: f64) -> Result<f64, ClockError> {
            Err(ClockError::NotPermitted)
        }

        fn step(&mut self, offset: NtpDuration) -> Result<(), ClockError> {
            self.0.push(offset.as_seconds_f64());
            Ok(())
        }

        fn announce(&mut self, _: Quality) -> Result<(), ClockError> {
            Err(ClockError::NotPermitted)
        }

        fn map(&self) -> ClockMap {
            HeldClock::default().map()
        }
    }

    fn run(offset: f64, answer: &str) -> (ExitCode, Vec<f64>, String) {
        let agreed = Agreed {
            offset,
            agreeing: 3,
            measured: 4,
        };
        let (mut steps, mut out) = (Vec::new(), Vec::new());
        let code = {
            let mut held = Some(&mut steps);
            let mut open = || Ok(Noted(held.take().expect("opened once")));
            ask_and_set(agreed, &mut open, &mut answer.as_bytes(), &mut out).unwrap()
        };
        (code, steps, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_yes_sets_the_clock_by_the_whole_offset() {
        for answer in ["y\n", "Y\n", "yes\n"] {
            let (code, steps, out) = run(-90_000.5, answer);
            assert_eq!((code, steps), (ExitCode::Success, vec![-90_000.5]));
            assert!(out.contains("3 of 4 sources say"), "{out}");
            assert!(out.ends_with("The clock was set.\n"), "{out}");
        }
    }

    #[test]
    fn anything_else_does_not() {
        for answer in ["", "\n", "n\n", "yy\n", "ja\n"] {
            let (code, steps, out) = run(90_000.5, answer);
            assert_eq!((code, steps), (ExitCode::Failure, Vec::new()));
            assert!(out.ends_with("The clock was not touched.\n"), "{out}");
        }
    }

    #[test]
    fn less_than_a_second_is_nothing_to_ask_about() {
        let (code, steps, out) = run(-0.999, "y\n");
        assert_eq!((code, steps), (ExitCode::Success, Vec::new()));
        assert_eq!(
            out,
            "The clock is right to -0.999 s by 3 of 4 sources: nothing to do\n"
        );
    }

    #[test]
    fn times_are_right_in_the_next_era_too() {
        for (seconds, text) in [
            (951_782_400, "Feb 29 00:00:00 2000 +00:00"),
            (2_085_978_497, "Feb  7 06:28:17 2036 +00:00"),
        ] {
            assert_eq!(utc(NtpTimestamp::from_unix(seconds, 0)), text);
        }
    }
}
