//! A view of a whole datagram: its header and what NTS needs to know about its fields.

use super::authenticator::Authenticator;
use super::extension::{ExtensionField, ExtensionFields};
use super::header::{HEADER_LENGTH, Header, Version};
use crate::code_points::ExtensionFieldType;

/// Not an NTP packet: shorter than a header, or with a field whose lengths do not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an NTP packet")]
pub struct MalformedPacket;

/// A field of which there should be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Occurrence<'a> {
    /// There is none.
    #[default]
    None,
    /// There is one, with this value.
    One(&'a [u8]),
    /// There are several.
    Several,
}

impl<'a> Occurrence<'a> {
    fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Self::None => Self::One(value),
            Self::One(_) | Self::Several => Self::Several,
        };
    }

    /// The value, if there is exactly one.
    pub fn only(self) -> Option<&'a [u8]> {
        match self {
            Self::One(value) => Some(value),
            Self::None | Self::Several => None,
        }
    }
}

/// A datagram as a packet.
///
/// Only fields *before* the authenticator are seen, as what follows it is not authenticated and
/// must be ignored (RFC 8915 §5.7). Versions other than 4 have no extension fields.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    /// The header.
    pub header: Header,
    /// The unique identifier.
    pub unique_identifier: Occurrence<'a>,
    /// The cookie in clear.
    pub cookie: Occurrence<'a>,
    /// The authenticator, if there is one.
    pub authenticator: Option<Authenticator<'a>>,
    after_header: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Looks at a datagram.
    ///
    /// # Errors
    /// [`MalformedPacket`] if it is shorter than a header or a field up to and including the
    /// authenticator is malformed.
    pub fn parse(datagram: &'a [u8]) -> Result<Self, MalformedPacket> {
        let (header, after_header) = datagram
            .split_first_chunk::<HEADER_LENGTH>()
            .ok_or(MalformedPacket)?;
        let mut packet = Self {
            header: Header::from_bytes(header),
            unique_identifier: Occurrence::None,
            cookie: Occurrence::None,
            authenticator: None,
            after_header,
        };
        if packet.header.version != Version::V4 {
            packet.after_header = &[];
        }
        for field in ExtensionFields::clear(packet.after_header) {
            let field = field.map_err(|_| MalformedPacket)?;
            match field.field_type {
                ExtensionFieldType::UniqueIdentifier => packet.unique_identifier.add(field.value),
                ExtensionFieldType::NtsCookie => packet.cookie.add(field.value),
                ExtensionFieldType::NtsAuthenticator => {
                    let end = HEADER_LENGTH + field.offset;
                    let before = datagram.get(..end).ok_or(MalformedPacket)?;
                    let parsed = Authenticator::parse(before, field.value);
                    packet.authenticator = Some(parsed.ok_or(MalformedPacket)?);
                    break;
                }
                _ => {}
            }
        }
        Ok(packet)
    }

    /// The fields before the authenticator, once more.
    pub fn clear_fields(&self) -> impl Iterator<Item = ExtensionField<'a>> {
        ExtensionFields::clear(self.after_header)
            .map_while(Result::ok)
            .take_while(|field| field.field_type != ExtensionFieldType::NtsAuthenticator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(flags: u8, fields: &str) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LENGTH];
        bytes[0] = flags;
        bytes.extend(hex::decode(fields).unwrap());
        bytes
    }

    fn identifier(octet: u8) -> String {
        format!("01040024{}", hex::encode([octet; 32]))
    }

    const COOKIE: &str = "02040010c00c1ec00c1ec00c1ec00c1e";
    const AUTHENTICATOR: &str =
        "040400280010001000000000000000000000000000000000000000000000000000000000000000000";

    fn authenticator() -> &'static str {
        &AUTHENTICATOR[..80]
    }

    #[test]
    fn too_short() {
        for length in 0..HEADER_LENGTH {
            assert!(Packet::parse(&vec![0x23; length]).is_err());
        }
        assert!(Packet::parse(&[0x23; HEADER_LENGTH]).is_ok());
    }

    #[test]
    fn fields_are_found_in_any_order() {
        let bytes = packet(
            0x23,
            &(COOKIE.to_owned() + &identifier(7) + authenticator()),
        );
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.unique_identifier.only(), Some([7; 32].as_slice()));
        assert_eq!(packet.cookie.only().map(<[u8]>::len), Some(12));
        let authenticator = packet.authenticator.unwrap();
        assert_eq!(authenticator.associated_data, &bytes[..48 + 16 + 36]);
        assert_eq!(packet.clear_fields().count(), 2);
    }

    #[test]
    fn repeated_fields_are_told() {
        let bytes = packet(
            0x23,
            &(identifier(1) + &identifier(2) + COOKIE + COOKIE + authenticator()),
        );
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.unique_identifier, Occurrence::Several);
        assert_eq!(packet.cookie, Occurrence::Several);
        assert_eq!(packet.unique_identifier.only(), None);
    }

    #[test]
    fn what_follows_the_authenticator_is_not_seen() {
        let garbage = "ff".repeat(40);
        let tail = authenticator().to_owned() + &identifier(1) + COOKIE + &garbage;
        let bytes = packet(0x23, &tail);
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.unique_identifier, Occurrence::None);
        assert_eq!(packet.cookie, Occurrence::None);
        assert_eq!(packet.clear_fields().count(), 0);
    }

    #[test]
    fn malformed_fields_up_to_the_authenticator_spoil_the_packet() {
        let bad = "ff".repeat(40);
        assert!(Packet::parse(&packet(0x23, &bad)).is_err());
        assert!(Packet::parse(&packet(0x23, &(identifier(1) + &bad))).is_err());
        let no_nonce = format!("0404002800000010{}", "00".repeat(32));
        assert!(Packet::parse(&packet(0x23, &no_nonce)).is_err());
    }

    #[test]
    fn version_3_has_no_extension_fields() {
        let bytes = packet(0x1b, &"ff".repeat(40));
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!(packet.header.version, Version::V3);
        assert_eq!(packet.clear_fields().count(), 0);
    }
}
