//! What an answer or its absence means, and what to do about it.

use std::io;
use std::net::SocketAddr;

use nts_proto::association::{IgnoreReason, Kiss, Measurement, UnusableReason};
use nts_proto::ntp::header::{KissCode, ReferenceId};

use super::super::report::Step;
use super::client::Heard;
use super::plain;

/// Clocks that differ by more than this, in seconds, and half the delay: one of them is wrong.
const CONSIDERABLE: f64 = 0.1;

/// Octets of a plain request.
const PLAIN: usize = 48;

/// A time, as it should be.
pub(super) fn good(
    id: &'static str,
    address: SocketAddr,
    measurement: &Measurement,
    length: usize,
) -> Step {
    let offset = measurement.offset.as_seconds_f64();
    let delay = measurement.delay.as_seconds_f64();
    let text = format!(
        "{address} answers, authenticated: its clock is {} than this machine's, delay {}, stratum \
         {} ({})",
        difference(offset),
        span(delay),
        measurement.stratum,
        reference(measurement.stratum, measurement.reference_id),
    );
    let step = if offset.abs() > CONSIDERABLE + delay / 2.0 {
        Step::warning(
            id,
            text,
            "one of the two clocks is wrong: compare both with a third one; if it is this \
             machine's, that is what NTP is for",
        )
    } else {
        Step::ok(id, text)
    };
    step.with("offset_seconds", offset)
        .with("delay_seconds", delay)
        .with("stratum", measurement.stratum)
        .with("request_octets", length)
}

/// Why there is no time. Asks without NTS to find out, if nothing came back.
pub(super) async fn failure(
    id: &'static str,
    address: SocketAddr,
    heard: Heard,
    length: usize,
) -> Step {
    let text = format!("{address}: {}", word(heard));
    match heard {
        Heard::Silence => return silence(id, address, length).await,
        Heard::Refused => Step::failed(
            id,
            text,
            "no NTP server listens on this UDP port: start it, and see that the key exchange server \
             names the right host and port",
        ),
        Heard::Kiss(Kiss {
            code: KissCode::NtsNak,
            ..
        }) => Step::failed(
            id,
            text,
            "the NTP server cannot open the cookies that the key exchange server made a moment \
             ago: both must have the same cookie keys. Is it the right NTP server (name and port \
             in `ntp-server` above)? Do several machines share its address without sharing keys?",
        ),
        Heard::Denied
        | Heard::Kiss(Kiss {
            code: KissCode::Deny | KissCode::Restrict,
            ..
        }) => Step::failed(
            id,
            text,
            "its access list refuses this machine's address: allow all the addresses that users \
             come from",
        ),
        Heard::Kiss(Kiss {
            code: KissCode::Rate,
            ..
        }) => Step::failed(
            id,
            text,
            "its rate limit is very tight, or somebody else from this address asks often: widen it, \
             or try again in some minutes",
        ),
        Heard::NoTime(UnusableReason::Unsynchronized) => Step::failed(
            id,
            text,
            "on the server, look at its own sources: it must be synchronised before it can serve \
             time; just after a start that takes some minutes",
        ),
        _ => Step::failed(
            id,
            text,
            "what answers is broken, or somebody on the way interferes: try from another network; \
             if it stays so, update the server's software",
        ),
    }
    .with("request_octets", length)
}

/// Nothing came back, three times. What does get through?
async fn silence(id: &'static str, address: SocketAddr, length: usize) -> Step {
    let text = format!("{address} does not answer NTS requests ({length} octets)");
    if !plain::is_answered(address, PLAIN).await {
        return Step::failed(
            id,
            format!("{text}, nor plain NTP"),
            format!(
                "UDP port {} is blocked on the way or nobody listens: open it in the server's \
                 firewall and its provider's, in both directions; or the network here lets no NTP \
                 out, so try from elsewhere too",
                address.port()
            ),
        )
        .with("plain_answered", false);
    }
    let padded = plain::is_answered(address, length).await;
    let (text, advice) = match padded {
        true => (
            format!("{text}, but plain NTP of the same size"),
            "the NTP server does not know NTS, or drops what it cannot open: enable NTS there, and \
             see that it has the same cookie keys as the key exchange server and that the key \
             exchange server names the right NTP server",
        ),
        false => (
            format!("{text}, but plain NTP of {PLAIN} octets"),
            "something drops NTP packets that are longer than usual; many networks do that on UDP \
             port 123 against amplification attacks. Try from another network to see on whose side \
             it is, ask that provider to let UDP port 123 pass up to 1280 octets, or have the \
             server use another port (NTS-KE can name it: in ntp-daemon `ntp-port`, in chrony \
             `ntsport` and `port`)",
        ),
    };
    Step::failed(id, text, advice)
        .with("plain_answered", true)
        .with("padded_answered", padded)
        .with("request_octets", length)
}

/// Requests up to `small` octets are answered, those of `length` are not.
pub(super) fn only_small(id: &'static str, length: usize, small: usize) -> Step {
    Step::warning(
        id,
        format!("a request of {length} octets gets no answer, one of {small} does"),
        "clients that have lost packets cannot refill their store of cookies with one request and \
         come back for a key exchange instead. Something on the way drops larger NTP packets: ask \
         the provider to let UDP pass up to 1280 octets",
    )
    .with("request_octets", length)
}

/// This machine cannot send.
pub(super) fn unsent(id: &'static str, address: SocketAddr, error: &io::Error) -> Step {
    Step::failed(
        id,
        format!("{address} cannot be reached from here: {error}"),
        "this machine has no route there, or its own firewall forbids UDP: if it is IPv6, does this \
         machine have IPv6 at all?",
    )
}

/// What came back, within a sentence.
pub(super) fn word(heard: Heard) -> String {
    match heard {
        Heard::Time(_) => "answers".to_owned(),
        Heard::NoTime(UnusableReason::Unsynchronized) => {
            "answers, authenticated, but its clock is not synchronised".to_owned()
        }
        Heard::NoTime(reason) => format!("answers, authenticated, but without a time ({reason:?})"),
        Heard::Kiss(kiss) => match kiss.code {
            KissCode::NtsNak => "answers that it cannot verify the request (NTS NAK)".to_owned(),
            KissCode::Deny => "answers that it does not want us (DENY)".to_owned(),
            KissCode::Restrict => "answers that it does not want us (RSTR)".to_owned(),
            KissCode::Rate => "answers that we ask too often (RATE)".to_owned(),
            code => format!("answers with the kiss code {code:?}"),
        },
        Heard::Denied => "answers, authenticated, that it does not want us".to_owned(),
        Heard::Unbelievable(reason) => {
            format!(
                "sends answers that cannot be believed ({})",
                disbelief(reason)
            )
        }
        Heard::Refused => "refuses (ICMP port unreachable)".to_owned(),
        Heard::Silence => "does not answer".to_owned(),
    }
}

fn disbelief(reason: IgnoreReason) -> &'static str {
    match reason {
        IgnoreReason::Malformed => "no NTP packets",
        IgnoreReason::NotAnAnswer => "not the answer of a server",
        IgnoreReason::NotExpected | IgnoreReason::Finished => "too late",
        IgnoreReason::WrongOrigin | IgnoreReason::WrongUniqueIdentifier => {
            "they belong to no request of ours"
        }
        IgnoreReason::NotAuthenticated => "they are not authenticated",
        IgnoreReason::BadAuthenticator => "their authentication is wrong",
        IgnoreReason::BadTimestamps => "their timestamps are impossible",
        IgnoreReason::RootDistance => "by its own account the server may be wrong by 16 s or more",
    }
}

/// `Δ ahead` or behind.
fn difference(offset: f64) -> String {
    let side = if offset < 0.0 { "slower" } else { "faster" };
    format!("{} {side}", span(offset.abs()))
}

fn span(seconds: f64) -> String {
    match seconds {
        ..0.001 => format!("{:.0} µs", seconds * 1e6),
        0.001..1.0 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{seconds:.1} s"),
    }
}

/// A stratum-1 server's reference is a name, a secondary's an address.
fn reference(stratum: u8, id: ReferenceId) -> String {
    let octets = id.to_bytes();
    if stratum > 1 {
        let [a, b, c, d] = octets;
        return format!("synchronised to {a}.{b}.{c}.{d}");
    }
    let name: String = octets
        .iter()
        .filter(|octet| octet.is_ascii_graphic())
        .map(|octet| char::from(*octet))
        .collect();
    match name.is_empty() {
        true => "its reference has no name".to_owned(),
        false => format!("reference {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sides() {
        assert_eq!(difference(0.000_012_3), "12 µs faster");
        assert_eq!(difference(-0.0015), "1.5 ms slower");
        assert_eq!(difference(-86_400.0), "86400.0 s slower");
    }

    #[test]
    fn references_by_stratum() {
        assert_eq!(
            reference(1, ReferenceId::from_bytes(*b"GPS\0")),
            "reference GPS"
        );
        assert_eq!(
            reference(1, ReferenceId::default()),
            "its reference has no name"
        );
        let secondary = reference(2, ReferenceId::from_bytes([192, 0, 2, 1]));
        assert_eq!(secondary, "synchronised to 192.0.2.1");
    }
}
