//! One NTS exchange over NTPv4 with AEAD 15, octet for octet, from both ends' point of view.
//!
//! Master key `40…5f` under id 1; C2S `00…1f`, S2C `20…3f`; cookie nonces `60…6f` (request),
//! `70…7f` and `80…8f` (response); unique identifier `c0…df`; request nonce `e0…ef`, response
//! nonce `f0…ff`; one placeholder, so two cookies come back.

use super::{ScriptedRng, range};
use crate::ke::keys::SessionKeys;
use crate::keyset::KeySet;
use crate::ntp::header::{LeapIndicator, ReferenceId};
use crate::server::SystemState;
use crate::time::{NtpShort, NtpTimestamp};

pub(crate) const REQUEST_COOKIE: &str = concat!(
    "00000001606162636465666768696a6b6c6d6e6f286432f022363c72f61d2ae34188d258a96936fb",
    "c2cc30b6d1f55462fc3eed53d4c9f70018ca718df295a5aa3c31ff4ee54bd68efd7945e7d1951ba7",
    "31e44046d097540bf0999678248925515043a410c5780b42"
);

pub(crate) const RESPONSE_COOKIES: [&str; 2] = [
    concat!(
        "00000001707172737475767778797a7b7c7d7e7f332efa8706c0c27c36d5fe83ed08ba856a046597",
        "ee77db8add3e19697082e4599728a7c7f83f34c44bcfa7c829a9e90bbe8a67e714e592b7d28da250",
        "dea6fefc475ca6240fff823b4709acf7f2467b296be914fd"
    ),
    concat!(
        "00000001808182838485868788898a8b8c8d8e8f0a281851f35d2a9fcab06d1d1d19c60ebb7fceb7",
        "f8dbb6274e46e47cb0bc0eae2e0dce676436be267482ecd8e53a2b5ea51190a3c489f99cf6c9ac32",
        "5871eeb4140d8289dd55a8abadb73748adbbc02d4e9173c5"
    ),
];

const REQUEST_HEADER: &str = concat!(
    "230000200000000000000000000000000000000000000000",
    "000000000000000000000000000000000123456789abcdef"
);

const UNIQUE_IDENTIFIER: &str =
    "01040024c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf";

const REQUEST_AUTHENTICATOR: &str =
    "0404002800100010e0e1e2e3e4e5e6e7e8e9eaebecedeeef1e0efdce8c4bd52feaa78b9966c01587";

const RESPONSE_HEADER: &str = concat!(
    "240200e90000032000000640c0000201ec9f3c0000000000",
    "0123456789abcdefec9f3c8040000000ec9f3c8040010000"
);

const RESPONSE_AUTHENTICATOR: &str = concat!(
    "04040100001000e8f0f1f2f3f4f5f6f7f8f9fafbfcfdfeffeb2080a0d0b1ba32becdba0cc7693651",
    "225f66ee7a2f781ca67aa86578a4f060982c70926e1235a7cde4cd7c2dbd796ad9bcd5630a09a4fc",
    "b16d721ccdce89cb9c6d4f54c18a04ecae9614f760161541d6ac78eb66c909abf102eb5a0a771d24",
    "f3ded57eea1337d208971c31468ddc971400b35b514eb17ccb14cd286085b002375057237f9636e9",
    "afd9666aee71177766bd8bd38f6a6a21d8df2312ca009d89154d896404a1ce353caf43dea7115ec4",
    "aa128480eda7a42695ee3112d856b77f0f772bb86fdf2a454723f66d25e0a3b92a7ebfedb4165eb2",
    "0176d86c872756a7f12e34806213af2a"
);

pub(crate) const NAK: &str = concat!(
    "e400000000000000000000004e54534e00000000000000000123456789abcdef",
    "0000000000000000000000000000000001040024c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3",
    "d4d5d6d7d8d9dadbdcdddedf"
);

/// The request, 340 octets.
pub(crate) fn request() -> Vec<u8> {
    let placeholder = format!("0304006c{}", "00".repeat(104));
    let text = format!(
        "{REQUEST_HEADER}{UNIQUE_IDENTIFIER}0204006c{REQUEST_COOKIE}{placeholder}\
         {REQUEST_AUTHENTICATOR}"
    );
    hex::decode(text).unwrap()
}

/// The response, 340 octets.
pub(crate) fn response() -> Vec<u8> {
    let text = format!("{RESPONSE_HEADER}{UNIQUE_IDENTIFIER}{RESPONSE_AUTHENTICATOR}");
    hex::decode(text).unwrap()
}

/// The session's keys.
pub(crate) fn session_keys() -> SessionKeys {
    SessionKeys::new(&range(0x00, 32), &range(0x20, 32)).unwrap()
}

/// The server's master key; the next one is all zeros.
pub(crate) fn key_set() -> KeySet {
    let mut script = ScriptedRng::new(&[&1_u32.to_le_bytes(), &range(0x40, 32), &[0; 32]]);
    KeySet::new(&mut script, 7)
}

/// What the server says about its clock.
pub(crate) fn system_state() -> SystemState {
    SystemState {
        leap: LeapIndicator::NoWarning,
        stratum: 2,
        precision: -23,
        root_delay: NtpShort::from_bits(0x320),
        root_dispersion: NtpShort::from_bits(0x640),
        reference_id: ReferenceId::from_bytes([192, 0, 2, 1]),
        reference: NtpTimestamp::from_bits(0xec9f_3c00_0000_0000),
    }
}

/// T2.
pub(crate) const SERVER_RECEIVED: NtpTimestamp = NtpTimestamp::from_bits(0xec9f_3c80_4000_0000);
/// T3.
pub(crate) const SERVER_SENT: NtpTimestamp = NtpTimestamp::from_bits(0xec9f_3c80_4001_0000);
