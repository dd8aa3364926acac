//! Whether it is rather this machine's clock that is wrong.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use super::ntp::plain;

/// Before this (2025-01-01) a clock has surely not been set since the machine was switched on.
const EARLIEST_CREDIBLE: Duration = Duration::from_secs(1_735_689_600);

/// A clock that differs by less decides nothing about certificates.
const CONSIDERABLE: f64 = 3600.0;

const NTP_PORT: u16 = 123;

/// A certificate has ended (`ended`) or not begun by this machine's clock, which says `now`: what
/// speaks for whose fault it is, and what to do.
///
/// An NTP server on the same host is asked without authentication. Its answer is a hint for a
/// person and nothing more.
pub(super) async fn suspect(now: SystemTime, ended: bool, host: IpAddr) -> (String, &'static str) {
    if now < SystemTime::UNIX_EPOCH + EARLIEST_CREDIBLE {
        return ("This machine's clock was never set".to_owned(), SET);
    }
    judge(plain::offset(SocketAddr::new(host, NTP_PORT)).await, ended)
}

const SET: &str = "set this machine's clock by hand to within an hour or so (`date -s`), then try \
                   again; NTS cannot do it, for it needs the date to check certificates";

/// The same for a clock that was set: `offset` is how many seconds it is behind that of an NTP
/// server, if that says.
fn judge(offset: Option<f64>, ended: bool) -> (String, &'static str) {
    match offset {
        Some(offset) if offset.abs() > CONSIDERABLE => {
            let span = days(Duration::from_secs_f64(offset.abs()));
            let side = if offset > 0.0 { "behind" } else { "ahead" };
            let text = format!(
                "The NTP server of that host says, unauthenticated, that this machine's clock is \
                 {span} {side}"
            );
            (text, SET)
        }
        Some(_) => (
            "The NTP server of that host says, unauthenticated, that this machine's clock is right"
                .to_owned(),
            match ended {
                true => {
                    "the server's operator must renew the certificate and have the server take it in"
                }
                false => {
                    "the server's operator must have the certificate made anew: the clock of the \
                     machine that issued it is wrong"
                }
            },
        ),
        None => (
            "Either that is so, or this machine's clock is wrong".to_owned(),
            match ended {
                true => {
                    "compare this machine's date with a watch: if it is right, the server's \
                     operator must renew the certificate and have the server take it in; if it is \
                     ahead, set it"
                }
                false => {
                    "compare this machine's date with a watch: it is probably behind, then set it; \
                     if it is right, the server's operator must have the certificate made anew"
                }
            },
        ),
    }
}

/// A span in the unit that people would use.
pub(super) fn days(span: Duration) -> String {
    let seconds = span.as_secs();
    let (count, unit) = match seconds {
        0..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        172_800..63_072_000 => (seconds / 86_400, "day"),
        _ => (seconds / 31_557_600, "year"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_in_the_unit_that_people_would_use() {
        for (seconds, text) in [
            (0, "0 minutes"),
            (60, "1 minute"),
            (7199, "119 minutes"),
            (7200, "2 hours"),
            (172_800, "2 days"),
            (63_072_000, "1 year"),
            (640_000_000, "20 years"),
        ] {
            assert_eq!(days(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn an_ntp_server_tells_whose_fault_it_is() {
        for (offset, ended, finding, advice) in [
            (Some(86_400.0), false, "clock is 24 hours behind", "date -s"),
            (Some(-9e8), true, "clock is 28 years ahead", "date -s"),
            (
                Some(-3599.0),
                true,
                "clock is right",
                "must renew the certificate",
            ),
            (Some(0.1), false, "clock is right", "made anew"),
            (
                None,
                true,
                "Either that is so",
                "compare this machine's date",
            ),
            (None, false, "Either that is so", "it is probably behind"),
        ] {
            let (found, advised) = judge(offset, ended);
            assert!(found.contains(finding), "{offset:?}: {found}");
            assert!(advised.contains(advice), "{offset:?}: {advised}");
        }
    }

    #[tokio::test]
    async fn a_clock_that_was_never_set_is_found_out_alone() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(300);
        let (finding, advice) = suspect(start, false, [127, 0, 0, 1].into()).await;
        assert_eq!(finding, "This machine's clock was never set");
        assert!(advice.contains("date -s"), "{advice}");
    }
}
