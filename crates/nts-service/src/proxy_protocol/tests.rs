use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use proptest::prelude::*;
use tokio::io::{AsyncRead, ReadBuf};

use super::*;
use crate::config;

const SIGNATURE: &str = "0d0a0d0a000d0a515549540a";
/// 198.51.100.7:40000 to 192.0.2.1:4460.
const V4: &str = "c6336407 c0000201 9c40 116c";
const V6: &str = "20010db8000000000000000000000007 20010db8000000000000000000000001 9c40 116c";

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<_> = hex.chars().filter(char::is_ascii_hexdigit).collect();
    let octet = |pair: &[char]| u8::from_str_radix(&String::from_iter(pair), 16).unwrap();
    digits.chunks(2).map(octet).collect()
}

/// A header of this version and command, family and content.
fn header(command: &str, family: &str, content: &str) -> Vec<u8> {
    let content = octets(content);
    let fixed = format!("{SIGNATURE} {command} {family} {:04x}", content.len());
    [octets(&fixed), content].concat()
}

/// What is read, after which the user's octets must still be there.
async fn read_from(mut header: Vec<u8>) -> Result<Forwarded, HeaderError> {
    header.extend(b"user");
    let mut rest = header.as_slice();
    let forwarded = read_header(&mut rest).await?;
    assert_eq!(rest, b"user");
    Ok(forwarded)
}

async fn error(header: Vec<u8>) -> String {
    read_from(header).await.unwrap_err().to_string()
}

#[tokio::test]
async fn users_of_both_families_are_told() {
    for (family, content, user) in [
        ("11", V4, "198.51.100.7:40000"),
        ("21", V6, "[2001:db8::7]:40000"),
        (
            "21",
            "00000000000000000000ffffc6336407 00000000000000000000ffffc0000201 9c40 116c",
            "198.51.100.7:40000",
        ),
    ] {
        let expected = Forwarded {
            user: Some(user.parse().unwrap()),
            ..Forwarded::default()
        };
        let read = read_from(header("21", family, content)).await.unwrap();
        assert_eq!(read, expected);
    }
}

#[tokio::test]
async fn a_balancer_that_does_not_know_the_user_tells_no_address() {
    for content in ["", V4] {
        let read = read_from(header("21", "00", content)).await.unwrap();
        assert_eq!(read, Forwarded::default());
    }
}

#[tokio::test]
async fn a_health_check_may_hold_anything() {
    let expected = Forwarded {
        health_check: true,
        ..Forwarded::default()
    };
    for (family, content) in [("00", ""), ("11", V4), ("11", ""), ("ff", "010203")] {
        let read = read_from(header("20", family, content)).await.unwrap();
        assert_eq!(read, expected);
    }
}

#[tokio::test]
async fn the_unique_id_is_kept_in_printable_form() {
    for (field, shown) in [
        ("05 0004 61622d31", "ab-1"),
        ("04 0002 0000 05 0002 00ff", "00ff"),
        ("05 0003 610a62", "610a62"),
    ] {
        let read = read_from(header("21", "11", &format!("{V4} {field}"))).await;
        let id = read.unwrap().unique_id.unwrap();
        assert_eq!(id.to_string(), shown);
    }
    for length in [0, UniqueId::MAX_LENGTH + 1] {
        let field = format!("{V4} 05 {length:04x} {}", "61".repeat(length));
        let read = read_from(header("21", "11", &field)).await.unwrap();
        assert_eq!(read.unique_id, None);
    }
}

#[tokio::test]
async fn what_is_no_header_of_version_2_is_refused() {
    let no_header = "no PROXY header of version 2 (`send-proxy-v2`)";
    let version_1 = b"PROXY TCP4 198.51.100.7 192.0.2.1 40000 4460\r\n".to_vec();
    assert_eq!(error(version_1).await, no_header);
    assert_eq!(
        error(octets("16030100ff010000fb0303").repeat(9)).await,
        no_header
    );
    for command in ["11", "22", "31", "2f"] {
        assert_eq!(error(header(command, "11", V4)).await, no_header);
    }
}

#[tokio::test]
async fn what_contradicts_itself_is_refused() {
    let malformed = "malformed PROXY header";
    for (family, content) in [
        ("11", "c6336407"),
        ("21", V4),
        // UDP, a Unix socket, unknown families and protocols.
        ("12", V4),
        ("31", &"00".repeat(216)),
        ("41", V4),
        ("13", V4),
        // A field longer than the header.
        ("11", &format!("{V4} 05 0009 61")),
        ("11", &format!("{V4} 05")),
    ] {
        let text = error(header("21", family, content)).await;
        assert_eq!(text, malformed, "{family} {content}");
    }
    // Larger than any that makes sense: not a single octet more is read.
    let mut large = header("21", "11", &"00".repeat(MAX_LENGTH + 1));
    assert_eq!(
        error(large.clone()).await,
        "a PROXY header of 1025 octets is too long"
    );
    large.truncate(16);
    let mut rest = large.as_slice();
    assert!(matches!(
        read_header(&mut rest).await,
        Err(HeaderError::TooLong(1025))
    ));
    let largest = format!("{V4} 04 {:04x} {}", 1009, "00".repeat(1009));
    assert!(read_from(header("21", "11", &largest)).await.is_ok());
}

/// Gives its octets and then the end, and counts how often it is asked.
struct Counting<'o> {
    octets: &'o [u8],
    asked: usize,
}

impl AsyncRead for Counting<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.asked += 1;
        Pin::new(&mut self.octets).poll_read(context, buffer)
    }
}

#[tokio::test]
async fn proxy_eof_no_spin() {
    let whole = header("21", "11", V4);
    for length in 0..whole.len() {
        let mut stream = Counting {
            octets: &whole[..length],
            asked: 0,
        };
        let error = read_header(&mut stream).await.unwrap_err();
        assert!(matches!(error, HeaderError::Cut(_)), "{error}");
        assert!(stream.asked <= 3, "asked {} times", stream.asked);
    }
}

proptest! {
    #[test]
    fn no_header_is_read_beyond_its_end(
        command in 0x20..0x23_u8, family: u8, content in prop::collection::vec(any::<u8>(), 0..1100)
    ) {
        let mut octets = header("20", "00", "");
        octets[12..14].copy_from_slice(&[command, family]);
        let length = u16::try_from(content.len()).unwrap();
        octets[14..16].copy_from_slice(&length.to_be_bytes());
        octets.extend(&content);
        octets.extend(b"user");
        let mut rest = octets.as_slice();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let read = runtime.block_on(read_header(&mut rest));
        prop_assert!(rest.ends_with(b"user"));
        prop_assert!(read.is_err() || rest == b"user");
    }
}

#[test]
fn only_those_on_the_list_may_forward() {
    let networks = ["192.0.2.0/28", "2001:db8::/64"].map(|text| text.parse().unwrap());
    let proxy = ProxyProtocol::from_networks(networks).unwrap();
    for (peer, admitted) in [
        ("192.0.2.15", true),
        ("192.0.2.16", false),
        ("::ffff:192.0.2.1", true),
        ("2001:db8::1", true),
        ("2001:db8:0:1::1", false),
    ] {
        assert_eq!(proxy.admits(peer.parse().unwrap()), admitted, "{peer}");
    }
    assert_eq!(ProxyProtocol::from_networks([]), None);
}

fn section(text: &str) -> Result<Option<ProxyProtocol>, String> {
    let loaded = config::parse("c.toml", text, |root| {
        Some(root.section("proxy-protocol").and_then(|it| read(&it)))
    });
    loaded
        .map(|loaded| loaded.value)
        .map_err(|problems| problems.to_string())
}

#[test]
fn the_section_is_off_unless_required() {
    for text in [
        "",
        "[proxy-protocol]",
        "[proxy-protocol]\nmode = 'off'\nallow = ['192.0.2.0/28']",
    ] {
        assert_eq!(section(text), Ok(None), "{text}");
    }
    let text = "[proxy-protocol]\nmode = 'required'\nallow = ['192.0.2.0/28', '2001:db8::1/128']";
    let proxy = section(text).unwrap().unwrap();
    assert_eq!(proxy.networks().len(), 2);
    assert_eq!(section(&proxy.to_string()), Ok(Some(proxy)));
}

#[test]
fn without_an_allow_list_there_is_no_proxy_protocol() {
    let required = |rest: &str| format!("[proxy-protocol]\nmode = 'required'\n{rest}");
    for (text, problem) in [
        (
            required(""),
            "1: proxy-protocol.allow: missing; add `allow = …` to this section",
        ),
        (
            required("allow = []"),
            "3: proxy-protocol.allow = []: nobody could connect; write the networks of the \
             balancers, like [\"192.0.2.0/28\"]",
        ),
        (
            required("allow = ['0.0.0.0/0']"),
            "3: proxy-protocol.allow[1]: anybody could claim any address; name the balancers alone",
        ),
        (
            required("allow = ['balancer']"),
            "3: proxy-protocol.allow[1]: no network; write an address and a length like \
             `192.0.2.1/32` or `2001:db8::/64`",
        ),
    ] {
        assert_eq!(section(&text), Err(format!("error: c.toml:{problem}")));
    }
    let wrong = section("[proxy-protocol]\nmode = 'v1'").unwrap_err();
    assert!(wrong.contains("proxy-protocol.mode = 'v1'"), "{wrong}");
}
