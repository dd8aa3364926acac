//! The two number sets of the pool extension's records, in one table.
//!
//! draft-ietf-ntp-nts-keyexchange-pool-01 uses the numbers 8 to 14; the drafts before it used
//! private numbers, whose order differs. The sets do not overlap. A server answers in the set of
//! the request.

use crate::code_points::RecordType;

/// Which numbers the records of the pool extension have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NumberSet {
    /// 8 to 14 (ietf-01).
    Ietf,
    /// 0x4000 to 0x4006 (venhoek-00 to ietf-00).
    Draft,
}

/// A record of the pool extension, whatever its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoolRecord {
    KeepAlive,
    SupportedNextProtocolList,
    SupportedAlgorithmList,
    ListServerNames,
    FixedKeyRequest,
    NtpServerDeny,
    AuthenticationToken,
}

impl PoolRecord {
    const ALL: [Self; 7] = [
        Self::KeepAlive,
        Self::SupportedNextProtocolList,
        Self::SupportedAlgorithmList,
        Self::ListServerNames,
        Self::FixedKeyRequest,
        Self::NtpServerDeny,
        Self::AuthenticationToken,
    ];

    /// The table: critical bit as sent, number in ietf-01, number in the drafts before.
    #[rustfmt::skip]
    const fn row(self) -> (bool, RecordType, RecordType) {
        use RecordType as T;
        match self {
            Self::KeepAlive                 => (false, T::KeepAlive,                 T::DraftKeepAlive),
            Self::SupportedNextProtocolList => (true,  T::SupportedNextProtocolList, T::DraftSupportedNextProtocolList),
            Self::SupportedAlgorithmList    => (true,  T::SupportedAlgorithmList,    T::DraftSupportedAlgorithmList),
            Self::ListServerNames           => (true,  T::ListServerNames,           T::DraftListServerNames),
            Self::FixedKeyRequest           => (true,  T::FixedKeyRequest,           T::DraftFixedKeyRequest),
            Self::NtpServerDeny             => (false, T::NtpServerDeny,             T::DraftNtpServerDeny),
            Self::AuthenticationToken       => (false, T::AuthenticationToken,       T::DraftAuthenticationToken),
        }
    }

    /// The record that a type and its critical bit stand for, and the set it belongs to.
    ///
    /// 0x4005 is List Server Names with the critical bit (venhoek-03) and Authentication Token
    /// without; elsewhere the bit makes no difference.
    pub(crate) fn classify(record_type: RecordType, critical: bool) -> Option<(NumberSet, Self)> {
        if record_type == RecordType::DraftAuthenticationToken && critical {
            return Some((NumberSet::Draft, Self::ListServerNames));
        }
        Self::ALL.into_iter().find_map(|record| {
            let (_, ietf, draft) = record.row();
            if ietf == record_type {
                Some((NumberSet::Ietf, record))
            } else if draft == record_type {
                Some((NumberSet::Draft, record))
            } else {
                None
            }
        })
    }

    /// The critical bit as sent, and the record's number in `set`.
    pub(crate) const fn number(self, set: NumberSet) -> (bool, RecordType) {
        let (critical, ietf, draft) = self.row();
        match set {
            NumberSet::Ietf => (critical, ietf),
            NumberSet::Draft => (critical, draft),
        }
    }

    /// The record by its present number, for error messages.
    pub(crate) const fn record_type(self) -> RecordType {
        self.row().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_numbers_are_those_of_the_drafts() {
        let wire = |set| {
            PoolRecord::ALL.map(|record| {
                let (critical, record_type) = record.number(set);
                u16::from(critical) << 15 | record_type.code()
            })
        };
        assert_eq!(
            wire(NumberSet::Ietf),
            [0x0008, 0x8009, 0x800a, 0x800b, 0x800c, 0x000d, 0x000e]
        );
        assert_eq!(
            wire(NumberSet::Draft),
            [0x4000, 0xc004, 0xc001, 0xc006, 0xc002, 0x4003, 0x4005]
        );
    }

    #[test]
    fn every_number_is_recognised_with_either_critical_bit() {
        for set in [NumberSet::Ietf, NumberSet::Draft] {
            for record in PoolRecord::ALL {
                let (critical, record_type) = record.number(set);
                assert_eq!(
                    PoolRecord::classify(record_type, critical),
                    Some((set, record))
                );
                if record_type != RecordType::DraftAuthenticationToken {
                    assert_eq!(
                        PoolRecord::classify(record_type, !critical),
                        Some((set, record))
                    );
                }
            }
        }
        assert_eq!(PoolRecord::classify(RecordType::NewCookie, false), None);
        assert_eq!(
            PoolRecord::classify(RecordType::Unknown(0x4007), true),
            None
        );
    }

    #[test]
    fn the_critical_bit_tells_the_two_meanings_of_0x4005_apart() {
        let clash = RecordType::from(0x4005);
        let draft = NumberSet::Draft;
        assert_eq!(
            PoolRecord::classify(clash, true),
            Some((draft, PoolRecord::ListServerNames))
        );
        assert_eq!(
            PoolRecord::classify(clash, false),
            Some((draft, PoolRecord::AuthenticationToken))
        );
    }
}
