//! What the tests of NTS-KE share: the inputs of all vectors, and hexadecimal text.

use super::keys::SessionKeys;
use super::message::{Message, REQUEST_LIMIT, RESPONSE_LIMIT};
use super::name::NtpServerName;
use super::token::AuthenticationToken;
use crate::cookie::Cookie;

pub(crate) const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The octets that a text stands for; blanks and line ends do not count.
pub(crate) fn octets(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    hex::decode(&digits).expect("hexadecimal text")
}

/// The message that a text stands for.
pub(crate) fn message(text: &str) -> Message {
    Message::decode(&octets(text), RESPONSE_LIMIT).expect("a well-formed message")
}

/// Text without the blanks, for messages put together in tests.
pub(crate) fn text(octets: impl AsRef<[u8]>) -> String {
    hex::encode(octets)
}

pub(crate) fn token() -> AuthenticationToken {
    AuthenticationToken::new(TOKEN).expect("a valid token")
}

pub(crate) fn name(text: &str) -> NtpServerName {
    text.parse().expect("a valid name")
}

/// C2S `00 … 1f`, S2C `20 … 3f`.
pub(crate) fn keys() -> SessionKeys {
    let octets: Vec<u8> = (0..64).collect();
    SessionKeys::new(&octets[..32], &octets[32..]).expect("keys of one length")
}

/// The two sample cookies.
pub(crate) fn cookies() -> Vec<Cookie> {
    vec![cookie(0xa0), cookie(0xb0)]
}

pub(crate) fn cookie(first: u8) -> Cookie {
    Cookie::new((first..first + 16).collect::<Vec<u8>>())
}

/// A request must be readable under the limit for requests as well.
pub(crate) fn request_message(text: &str) -> Message {
    Message::decode(&octets(text), REQUEST_LIMIT).expect("a well-formed request")
}
