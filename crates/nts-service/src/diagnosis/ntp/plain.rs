//! NTP without NTS: what else gets through when NTS does not. Nothing it says is trusted.

use std::net::SocketAddr;
use std::time::Duration;

use nts_proto::code_points::ExtensionFieldType;
use nts_proto::ntp::header::{Header, Mode};
use nts_proto::ntp::packet::Packet;
use nts_proto::time::NtpTimestamp;
use rand::Rng as _;
use tokio::time::timeout;

use super::client::{LONGEST_DATAGRAM, clock_now, connect};

/// Time for one answer; each question is asked twice.
const PATIENCE: Duration = Duration::from_millis(1000);

/// The shortest extension field at the end of a packet, in octets (RFC 7822 §7.5.1.4).
const SHORTEST_FIELD: usize = 28;

/// The offset in seconds of the server's clock, by two small requests at most; `None` if no answer
/// comes, or none with a time.
pub(in crate::diagnosis) async fn offset(address: SocketAddr) -> Option<f64> {
    ask(address, 0).await.flatten()
}

/// Whether a request of about `length` octets, all of them harmless, is answered.
pub(super) async fn is_answered(address: SocketAddr, length: usize) -> bool {
    ask(address, length).await.is_some()
}

async fn ask(address: SocketAddr, length: usize) -> Option<Option<f64>> {
    for _ in 0..2 {
        if let Ok(Some(offset)) = timeout(PATIENCE, ask_once(address, length)).await {
            return Some(offset);
        }
    }
    None
}

/// `Some` if there was an answer, with the offset if it holds a time.
async fn ask_once(address: SocketAddr, length: usize) -> Option<Option<f64>> {
    let transmit = NtpTimestamp::from_bits(rand::rng().next_u64());
    let socket = connect(address).await.ok()?;
    let sent = clock_now();
    socket.send(&request(transmit, length)).await.ok()?;
    let mut buffer = [0; LONGEST_DATAGRAM];
    loop {
        let count = socket.recv(&mut buffer).await.ok()?;
        let received = clock_now();
        let Ok(Packet { header, .. }) = Packet::parse(buffer.get(..count)?) else {
            continue;
        };
        if header.mode != Mode::Server || header.origin != transmit {
            continue;
        }
        let has_time = header.stratum != 0 && !header.transmit.is_zero();
        let offset = (header.receive - sent).mean(header.transmit - received);
        return Some(has_time.then(|| offset.as_seconds_f64()));
    }
}

/// A plain request; if it is to be longer than a header, with a unique identifier of that length,
/// which every server that knows no such field passes over.
fn request(transmit: NtpTimestamp, length: usize) -> Vec<u8> {
    let mut request = Header::request(transmit).to_bytes().to_vec();
    let field = length.saturating_sub(request.len());
    let field = field.next_multiple_of(4).min(LONGEST_DATAGRAM);
    if let (SHORTEST_FIELD.., Ok(octets)) = (field, u16::try_from(field)) {
        request.extend(ExtensionFieldType::UniqueIdentifier.code().to_be_bytes());
        request.extend(octets.to_be_bytes());
        request.resize(request.len() + field - 4, 0);
    }
    request
}

#[cfg(test)]
mod tests {
    use nts_proto::time::NtpDuration;

    use super::*;

    /// A server whose clock is a day ahead; it leaves the first request of each kind unanswered.
    async fn server() -> SocketAddr {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; LONGEST_DATAGRAM];
            let mut seen = Vec::new();
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                if !seen.contains(&length) {
                    seen.push(length);
                    continue;
                }
                let request = Packet::parse(&buffer[..length]).unwrap().header;
                let tomorrow = clock_now() + NtpDuration::from_seconds_f64(86_400.0);
                let answer = Header {
                    mode: Mode::Server,
                    stratum: 1,
                    origin: request.transmit,
                    receive: tomorrow,
                    transmit: tomorrow,
                    ..request
                };
                // What answers nobody is passed over.
                let stray = Header {
                    origin: NtpTimestamp::from_bits(1),
                    ..answer
                };
                for header in [stray, answer] {
                    socket.send_to(&header.to_bytes(), from).await.unwrap();
                }
            }
        });
        address
    }

    #[tokio::test]
    async fn the_second_request_counts_too_and_offsets_have_a_sign() {
        let server = server().await;
        let offset = offset(server).await.unwrap();
        assert!((86_399.0..86_401.0).contains(&offset), "{offset}");
        assert!(is_answered(server, 232).await);
    }

    #[test]
    fn requests_have_the_length_that_is_asked_for() {
        let request = |length| request(NtpTimestamp::from_bits(1), length);
        for (wanted, length) in [
            (0, 48),
            (48, 48),
            (72, 48),
            (73, 76),
            (76, 76),
            (230, 232),
            (988, 988),
        ] {
            let octets = request(wanted);
            assert_eq!(octets.len(), length, "{wanted}");
            let packet = Packet::parse(&octets).unwrap();
            assert_eq!(packet.unique_identifier.only().is_some(), length > 48);
            assert!(packet.authenticator.is_none());
        }
    }
}
