//! How one user's connection went: what is counted, and the line in the log.

use std::time::Duration;

use crate::error::ExchangeError;
use crate::exchange::Report;
use crate::selection::Family;

/// How one user's connection went.
pub(crate) struct Outcome {
    /// Cookies, or why not.
    pub(crate) result: Result<(), ExchangeError>,
    /// What happened on the way.
    pub(crate) report: Report,
    /// From accepting to the end.
    pub(crate) total: Duration,
    /// The user's address family; nothing else of his address is kept.
    pub(crate) family: Family,
    /// Whose exchange it was.
    pub(crate) kind: Kind,
}

/// Whose an exchange is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A user's.
    User,
    /// That of somebody who only wants to know whether the pool works.
    Monitor,
}

impl Kind {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::User, Self::Monitor];

    /// The name in metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Monitor => "monitor",
        }
    }
}

impl Outcome {
    /// The label of all outcomes that end with cookies.
    pub(crate) const OK: &'static str = "ok";

    /// The outcome label in metrics.
    pub(crate) fn label(&self) -> &'static str {
        match &self.result {
            Ok(()) => Self::OK,
            Err(error) => error.label(),
        }
    }
}
