//! What can be wrong with a source, and for how long.

use std::time::Duration;

use nts_pool_ke::fleet::Class;

/// One way to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process is gone: connections are refused, kept ones were closed.
    Refused,
    /// Packets vanish, and kept connections look alive.
    Blackholed,
    /// Connections are accepted, but nothing is answered.
    Silent,
    /// The certificate has expired. The process was restarted with it.
    BadCertificate,
    /// The pool's token is not accepted any more.
    TokenRevoked,
    /// Questions are answered; keys are answered with garbage.
    Broken,
    /// Everything takes two seconds longer.
    Slow,
}

/// What comes of one step towards a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// What should, in time.
    Good,
    /// A failure that shows after one round trip.
    Fails(Class),
    /// The connection ends after one round trip, without an octet.
    Closes,
    /// An answer from which follows that it has nothing to offer to this user.
    HasNothing,
    /// No slot becomes free.
    Full,
    /// No reaction: the step ends when patience does.
    Nothing,
}

impl Reaction {
    /// How the step counts against the source; `None` if it went well.
    pub(super) fn class(self) -> Option<Class> {
        match self {
            Self::Good | Self::HasNothing => None,
            Self::Fails(class) => Some(class),
            Self::Closes | Self::Nothing => Some(Class::Reach),
            Self::Full => Some(Class::Local),
        }
    }

    /// Whether all that was seen is that the source was not ready in its time.
    pub(super) fn is_slowness(self) -> bool {
        matches!(self, Self::Nothing | Self::Full)
    }

    /// What may come of opening a connection, and of a question on it, if anything may.
    pub(super) const BEFORE_KEYS: [Self; 10] = [
        Self::Fails(Class::Local),
        Self::Fails(Class::Reach),
        Self::Fails(Class::Identity),
        Self::Fails(Class::Auth),
        Self::Fails(Class::Protocol),
        Self::Fails(Class::Busy),
        Self::Closes,
        Self::HasNothing,
        Self::Full,
        Self::Nothing,
    ];

    /// What may come of keys on an open connection, if anything may.
    pub(super) const AFTER_KEYS: [Self; 7] = [
        Self::Fails(Class::Local),
        Self::Fails(Class::Reach),
        Self::Fails(Class::Auth),
        Self::Fails(Class::Protocol),
        Self::Fails(Class::Busy),
        Self::Closes,
        Self::Nothing,
    ];
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Refused,
        Self::Blackholed,
        Self::Silent,
        Self::BadCertificate,
        Self::TokenRevoked,
        Self::Broken,
        Self::Slow,
    ];

    /// Whether kept connections end when this begins, so that the pool sees it before it sends.
    pub(super) fn closes_connections(self) -> bool {
        matches!(self, Self::Refused | Self::BadCertificate)
    }

    /// Opening a connection: TCP and TLS.
    pub(super) fn on_opening(self) -> Reaction {
        match self {
            Self::Refused => Reaction::Fails(Class::Reach),
            Self::BadCertificate => Reaction::Fails(Class::Identity),
            Self::Blackholed | Self::Silent | Self::Slow => Reaction::Nothing,
            Self::TokenRevoked | Self::Broken => Reaction::Good,
        }
    }

    /// A question without keys on an open connection.
    pub(super) fn on_question(self) -> Reaction {
        match self {
            Self::TokenRevoked => Reaction::Fails(Class::Auth),
            Self::Broken => Reaction::Good,
            other => other.on_opening(),
        }
    }

    /// A Fixed Key Request on an open connection.
    pub(super) fn on_keys(self) -> Reaction {
        match self {
            Self::TokenRevoked => Reaction::Fails(Class::Auth),
            Self::Broken => Reaction::Fails(Class::Protocol),
            // The connection was open, so it ends.
            Self::Refused | Self::BadCertificate => Reaction::Closes,
            Self::Blackholed | Self::Silent | Self::Slow => Reaction::Nothing,
        }
    }
}

/// A time in which a source has a fault, counted from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spell {
    /// When it begins.
    pub from: Duration,
    /// When it is over.
    pub until: Duration,
    /// What is wrong.
    pub fault: Fault,
}
