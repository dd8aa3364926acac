//! Which record numbers a source understands, and how this pool proves itself to it
//! (protocol §2.4, §3.2).

use nts_proto::ke::number_set::NumberSet;

/// What the configuration says about the records that a source understands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// Found out with requests that carry no keys: first the numbers 8 to 14, then 0x400x.
    #[default]
    Auto,
    /// The numbers 8 to 14 (draft-ietf-ntp-nts-keyexchange-pool-01).
    Ietf,
    /// The numbers 0x400x with a token.
    DraftToken,
    /// The numbers 0x400x with a client certificate only.
    DraftMtls,
}

/// One way to phrase a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Phrasing {
    /// The numbers of the pool's records.
    pub(crate) number_set: NumberSet,
    /// Whether the source's token, if it has one, goes into each request.
    pub(crate) with_token: bool,
    /// Whether to ask for protocols and for keeping the connection: the first implementation
    /// knows neither.
    pub(crate) modern: bool,
}

impl Dialect {
    /// The ways to phrase a request that are worth trying, best first.
    pub(crate) fn phrasings(self) -> &'static [Phrasing] {
        const IETF: Phrasing = Phrasing {
            number_set: NumberSet::Ietf,
            with_token: true,
            modern: true,
        };
        const DRAFT_TOKEN: Phrasing = Phrasing {
            number_set: NumberSet::Draft,
            with_token: true,
            modern: true,
        };
        const DRAFT_MTLS: Phrasing = Phrasing {
            number_set: NumberSet::Draft,
            with_token: false,
            modern: true,
        };
        const FIRST_IMPLEMENTATION: Phrasing = Phrasing {
            modern: false,
            ..DRAFT_MTLS
        };
        match self {
            Self::Auto => &[IETF, DRAFT_TOKEN],
            Self::Ietf => &[IETF],
            Self::DraftToken => &[DRAFT_TOKEN],
            Self::DraftMtls => &[DRAFT_MTLS, FIRST_IMPLEMENTATION],
        }
    }

    /// The value as it stands in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ietf => "ietf",
            Self::DraftToken => "draft-token",
            Self::DraftMtls => "draft-mtls",
        }
    }
}
