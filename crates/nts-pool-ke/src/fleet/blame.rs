//! Whose fault a failure is, and how much it counts (pool design §3.1).

/// At which stage, and through whose fault, something failed. Each is a metrics label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// This machine or its network, or the user: no descriptor, no resolver, no route to anything,
    /// no time left, user gone.
    Local,
    /// The source is not there: refused, unreachable, not in time, reset, silent.
    Reach,
    /// The source is not who it should be: certificate wrong, expired or for another name, no ALPN.
    Identity,
    /// The source does not accept this pool: error 0 or 1 to a question about protocols or
    /// algorithms. Not: error 0 to the question about names, which only means that it has no list.
    Auth,
    /// The source does not keep to the protocol: unreadable, not what was asked for, no cookies,
    /// too long, forbidden name.
    Protocol,
    /// The source says that it cannot serve now: error 2. Not: that it does not keep a connection.
    Busy,
}

/// How much a failure counts against a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Not at all.
    None,
    /// It may pass by itself.
    Soft,
    /// Something is wrong that a person has to mend.
    Hard,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Local,
        Self::Reach,
        Self::Identity,
        Self::Auth,
        Self::Protocol,
        Self::Busy,
    ];

    /// The name in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Reach => "reach",
            Self::Identity => "identity",
            Self::Auth => "auth",
            Self::Protocol => "protocol",
            Self::Busy => "busy",
        }
    }

    /// How much it counts against the source.
    pub fn blame(self) -> Blame {
        match self {
            Self::Local => Blame::None,
            Self::Reach | Self::Busy => Blame::Soft,
            Self::Identity | Self::Auth | Self::Protocol => Blame::Hard,
        }
    }
}
