//! Every code point of NTS-KE and of NTS over NTPv4 that this crate knows, each with its source.
//!
//! All enumerations are open: a value that is not in the table is kept as `Unknown`, so that
//! whatever came in can go out again unchanged. Two values are equal when their numbers are.

/// Declares an open enumeration over `u16` from one table of names and numbers.
macro_rules! open_enum {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $( $(#[$variant_meta:meta])* $variant:ident = $code:literal, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {
            $( $(#[$variant_meta])* $variant, )*
            /// A number that is not in this table.
            Unknown(u16),
        }

        impl $name {
            /// Every value of the table, in its order.
            pub const KNOWN: &'static [Self] = &[ $( Self::$variant, )* ];

            /// The number on the wire.
            pub const fn code(self) -> u16 {
                match self {
                    $( Self::$variant => $code, )*
                    Self::Unknown(code) => code,
                }
            }
        }

        impl From<u16> for $name {
            fn from(code: u16) -> Self {
                match code {
                    $( $code => Self::$variant, )*
                    code => Self::Unknown(code),
                }
            }
        }

        impl From<$name> for u16 {
            fn from(value: $name) -> Self {
                value.code()
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.code() == other.code()
            }
        }

        impl Eq for $name {}

        impl std::hash::Hash for $name {
            fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
                self.code().hash(state);
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $( Self::$variant => write!(f, concat!(stringify!($variant), " ({})"), $code), )*
                    Self::Unknown(code) => write!(f, "unknown ({code})"),
                }
            }
        }
    };
}

open_enum! {
    /// NTS next protocols (RFC 8915 §7.7).
    pub enum ProtocolId {
        /// Network Time Protocol version 4 (RFC 8915 §7.7).
        Ntpv4 = 0,
    }
}

open_enum! {
    /// AEAD algorithms (IANA registry "AEAD Algorithms", RFC 5116).
    pub enum AeadAlgorithm {
        /// AEAD_AES_SIV_CMAC_256 (RFC 5297), which every NTS implementation has.
        AesSivCmac256 = 15,
        /// AEAD_AES_SIV_CMAC_384 (RFC 5297).
        AesSivCmac384 = 16,
        /// AEAD_AES_SIV_CMAC_512 (RFC 5297).
        AesSivCmac512 = 17,
        /// AEAD_AES_128_GCM_SIV (RFC 8452).
        Aes128GcmSiv = 30,
        /// AEAD_AES_256_GCM_SIV (RFC 8452).
        Aes256GcmSiv = 31,
    }
}

impl AeadAlgorithm {
    /// Length of the key in octets, where the algorithm is known.
    pub const fn key_length(self) -> Option<usize> {
        match self {
            Self::AesSivCmac256 | Self::Aes256GcmSiv => Some(32),
            Self::AesSivCmac384 => Some(48),
            Self::AesSivCmac512 => Some(64),
            Self::Aes128GcmSiv => Some(16),
            Self::Unknown(_) => None,
        }
    }
}

open_enum! {
    /// NTS-KE error codes (RFC 8915 §4.1.3).
    pub enum ErrorCode {
        /// A record with the critical bit was not understood.
        UnrecognizedCriticalRecord = 0,
        /// The request was malformed, incomplete, too long, or not complete in time.
        BadRequest = 1,
        /// Something failed on the server's side.
        InternalServerError = 2,
        /// Private, existing pools: a monitor asked for a time source that is not there.
        NoSuchServer = 0xF000,
        /// Private, existing pools: the time source could not be connected to.
        SourceUnreachable = 0xF001,
        /// Private, existing pools: the time source did not say what it supports.
        SourceCapabilitiesFailed = 0xF002,
        /// Private, existing pools: the time source did not make cookies.
        SourceCookiesFailed = 0xF003,
    }
}

open_enum! {
    /// NTS-KE record types, without the critical bit.
    ///
    /// The records of the pool extension have two numbers: one from the early allocation that
    /// draft-ietf-ntp-nts-keyexchange-pool-01 uses, and a private one (0x400x) from the drafts
    /// before it. [`NumberSet`](crate::ke::number_set::NumberSet) relates the two.
    pub enum RecordType {
        /// Ends every message (RFC 8915 §4.1.1).
        EndOfMessage = 0,
        /// The protocols offered, or the one chosen (RFC 8915 §4.1.2).
        NextProtocolNegotiation = 1,
        /// An error code (RFC 8915 §4.1.3).
        Error = 2,
        /// A warning code (RFC 8915 §4.1.4).
        Warning = 3,
        /// The AEAD algorithms offered, or the one chosen (RFC 8915 §4.1.5).
        AeadAlgorithmNegotiation = 4,
        /// One cookie (RFC 8915 §4.1.6).
        NewCookie = 5,
        /// Name or address of the NTP server (RFC 8915 §4.1.7).
        Ntpv4ServerNegotiation = 6,
        /// UDP port of the NTP server (RFC 8915 §4.1.8).
        Ntpv4PortNegotiation = 7,
        /// Asks for, or grants, another exchange on this connection (pool-01).
        KeepAlive = 8,
        /// Asks for, or lists, the protocols supported (pool-01).
        SupportedNextProtocolList = 9,
        /// Asks for, or lists, the AEAD algorithms supported with their key lengths (pool-01).
        SupportedAlgorithmList = 10,
        /// Asks for the names that the time source gives to users (pool-01).
        ListServerNames = 11,
        /// Carries the user's keys to the time source (pool-01).
        FixedKeyRequest = 12,
        /// Names a time source that the user does not want (pool-01).
        NtpServerDeny = 13,
        /// Proves that the pool is the one the time source knows (pool-01).
        AuthenticationToken = 14,
        /// Both sides use the right exporter context for AEAD 30 (IANA, chrony 4.6.1).
        CompliantAes128GcmSivExporterContext = 1024,
        /// Keep Alive (venhoek-00 to ietf-00).
        DraftKeepAlive = 0x4000,
        /// Supported Algorithm List (venhoek-00 to ietf-00).
        DraftSupportedAlgorithmList = 0x4001,
        /// Fixed Key Request (venhoek-00 to ietf-00).
        DraftFixedKeyRequest = 0x4002,
        /// NTP Server Deny (venhoek-00 to ietf-00).
        DraftNtpServerDeny = 0x4003,
        /// Supported Next Protocol List (venhoek-00 to ietf-00).
        DraftSupportedNextProtocolList = 0x4004,
        /// Authentication Token without, List Server Names with the critical bit
        /// (venhoek-03 to ietf-00).
        DraftAuthenticationToken = 0x4005,
        /// List Server Names (ietf-00).
        DraftListServerNames = 0x4006,
    }
}

open_enum! {
    /// NTPv4 extension field types (RFC 8915 §5, §7.8).
    pub enum ExtensionFieldType {
        /// Unique Identifier (RFC 8915 §5.3).
        UniqueIdentifier = 0x0104,
        /// NTS Cookie (RFC 8915 §5.4).
        NtsCookie = 0x0204,
        /// NTS Cookie Placeholder (RFC 8915 §5.5).
        NtsCookiePlaceholder = 0x0304,
        /// NTS Authenticator and Encrypted Extension Fields (RFC 8915 §5.6).
        NtsAuthenticator = 0x0404,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_survives_the_table() {
        for code in 0..=u16::MAX {
            assert_eq!(ProtocolId::from(code).code(), code);
            assert_eq!(AeadAlgorithm::from(code).code(), code);
            assert_eq!(ErrorCode::from(code).code(), code);
            assert_eq!(RecordType::from(code).code(), code);
            assert_eq!(ExtensionFieldType::from(code).code(), code);
        }
    }

    #[test]
    fn equality_is_by_number() {
        assert_eq!(AeadAlgorithm::Unknown(15), AeadAlgorithm::AesSivCmac256);
        assert_ne!(AeadAlgorithm::Unknown(14), AeadAlgorithm::AesSivCmac256);
    }

    #[test]
    fn key_lengths_are_those_of_the_registry() {
        let lengths: Vec<_> = AeadAlgorithm::KNOWN
            .iter()
            .map(|a| (a.code(), a.key_length()))
            .collect();
        assert_eq!(
            lengths,
            [
                (15, Some(32)),
                (16, Some(48)),
                (17, Some(64)),
                (30, Some(16)),
                (31, Some(32))
            ]
        );
    }

    #[test]
    fn names_are_readable() {
        assert_eq!(AeadAlgorithm::from(17).to_string(), "AesSivCmac512 (17)");
        assert_eq!(AeadAlgorithm::from(99).to_string(), "unknown (99)");
    }
}
