//! Extension fields (RFC 7822): `type (2) ‖ length (2) ‖ value ‖ padding`, where the length counts
//! the whole field and is a multiple of 4.
//!
//! Padding cannot be told from value, so a value here includes it.

use crate::code_points::ExtensionFieldType;

/// Type and length.
pub const FIELD_HEADER_LENGTH: usize = 4;

/// The shortest field after a header (RFC 7822 §3).
const LEAST_CLEAR_LENGTH: usize = 16;

/// The longest legacy MAC: as many octets or fewer at the end of a datagram are not an extension
/// field (RFC 7822 §3).
const LONGEST_MAC: usize = 24;

/// One extension field in a datagram, or in the plaintext of an authenticator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtensionField<'a> {
    /// What it is.
    pub field_type: ExtensionFieldType,
    /// Its value with padding.
    pub value: &'a [u8],
    /// Where its first octet stands, counted from where the fields begin.
    pub offset: usize,
}

/// A length that is too small, not a multiple of 4, or reaches past the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("extension field with a wrong length")]
pub struct MalformedField;

/// The fields in a stretch of octets. Ends after the first error.
#[derive(Debug, Clone)]
pub struct ExtensionFields<'a> {
    rest: &'a [u8],
    offset: usize,
    least_length: usize,
    longest_mac: usize,
}

impl<'a> ExtensionFields<'a> {
    /// The fields that follow a header. A remainder of up to 24 octets is taken for a legacy MAC
    /// and not looked at.
    pub fn clear(octets: &'a [u8]) -> Self {
        Self {
            rest: octets,
            offset: 0,
            least_length: LEAST_CLEAR_LENGTH,
            longest_mac: LONGEST_MAC,
        }
    }

    /// The fields in the plaintext of an authenticator, which may be as short as their header and
    /// fill it completely (RFC 8915 §5.6).
    pub fn encrypted(plaintext: &'a [u8]) -> Self {
        Self {
            rest: plaintext,
            offset: 0,
            least_length: FIELD_HEADER_LENGTH,
            longest_mac: 0,
        }
    }

    fn split_field(&self) -> Option<(ExtensionField<'a>, &'a [u8])> {
        let ([t0, t1, l0, l1], _) = self.rest.split_first_chunk()?;
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        if length < self.least_length || !length.is_multiple_of(4) {
            return None;
        }
        let (field, rest) = self.rest.split_at_checked(length)?;
        let field = ExtensionField {
            field_type: u16::from_be_bytes([*t0, *t1]).into(),
            value: field.get(FIELD_HEADER_LENGTH..)?,
            offset: self.offset,
        };
        Some((field, rest))
    }
}

impl<'a> Iterator for ExtensionFields<'a> {
    type Item = Result<ExtensionField<'a>, MalformedField>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.len() <= self.longest_mac {
            return None;
        }
        let Some((field, rest)) = self.split_field() else {
            self.rest = &[];
            return Some(Err(MalformedField));
        };
        self.offset += self.rest.len() - rest.len();
        self.rest = rest;
        Some(Ok(field))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clear(hex_text: &str) -> Vec<Result<(u16, usize, usize), MalformedField>> {
        collect(ExtensionFields::clear(&hex::decode(hex_text).unwrap()))
    }

    fn encrypted(hex_text: &str) -> Vec<Result<(u16, usize, usize), MalformedField>> {
        collect(ExtensionFields::encrypted(&hex::decode(hex_text).unwrap()))
    }

    fn collect(fields: ExtensionFields<'_>) -> Vec<Result<(u16, usize, usize), MalformedField>> {
        fields
            .map(|field| field.map(|f| (f.field_type.code(), f.offset, f.value.len())))
            .collect()
    }

    fn field(field_type: u16, length: u16, value: usize) -> String {
        format!("{field_type:04x}{length:04x}{}", "00".repeat(value))
    }

    #[test]
    fn fields_follow_each_other() {
        let text = field(0x0104, 36, 32) + &field(0xf323, 16, 12) + &field(0x0204, 28, 24);
        assert_eq!(
            clear(&text),
            [
                Ok((0x0104, 0, 32)),
                Ok((0xf323, 36, 12)),
                Ok((0x0204, 52, 24))
            ]
        );
    }

    #[test]
    fn up_to_24_octets_at_the_end_are_a_mac() {
        for mac in [0, 1, 4, 20, 24] {
            assert_eq!(clear(&"ff".repeat(mac)), []);
            let text = field(0x0104, 36, 32) + &"ff".repeat(mac);
            assert_eq!(clear(&text), [Ok((0x0104, 0, 32))]);
        }
        assert_eq!(clear(&"ff".repeat(25)), [Err(MalformedField)]);
    }

    #[test]
    fn wrong_lengths_end_it() {
        for length in [0, 3, 4, 12, 15, 17, 30, 36] {
            let text = field(0x0104, length, 28);
            assert_eq!(clear(&text), [Err(MalformedField)], "length {length}");
        }
        let second = field(0x0104, 16, 12) + &field(0x0204, 0xfffc, 40);
        assert_eq!(clear(&second), [Ok((0x0104, 0, 12)), Err(MalformedField)]);
    }

    #[test]
    fn encrypted_fields_may_be_short_and_fill_the_plaintext() {
        assert_eq!(encrypted(""), []);
        assert_eq!(
            encrypted("0204000403040008ffffffff"),
            [Ok((0x0204, 0, 0)), Ok((0x0304, 4, 4))]
        );
        for text in ["02", "020400", "02040003", "02040006ffff", "02040008ffff"] {
            assert_eq!(encrypted(text), [Err(MalformedField)], "{text}");
        }
    }
}
