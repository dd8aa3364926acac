//! What a source does wrong.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use super::seen::Seen;
use crate::wire::Record;

/// What a source does; by default everything right.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// When somebody connects.
    pub connect: Connect,
    /// When somebody asks what it supports.
    pub info: Answer,
    /// When somebody sends keys.
    pub fixed_key: Answer,
}

impl Script {
    /// Everything right up to the Fixed Key Request, which gets this answer.
    pub fn on_fixed_key(answer: Answer) -> Self {
        Self {
            fixed_key: answer,
            ..Self::default()
        }
    }

    /// Everything right but the answer to info requests.
    pub fn on_info(answer: Answer) -> Self {
        Self {
            info: answer,
            ..Self::default()
        }
    }

    /// Does not get as far as a request.
    pub fn on_connect(connect: Connect) -> Self {
        Self {
            connect,
            ..Self::default()
        }
    }
}

/// What happens to a new connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connect {
    /// It is served.
    #[default]
    Serve,
    /// It is accepted and closed at once.
    Close,
    /// There is none: nobody listens.
    Refuse,
    /// There is none: the system drops every SYN, as a black hole would.
    Lost,
    /// It is accepted, and nothing ever comes back.
    Silent,
    /// The handshake succeeds, then nothing comes back.
    SilentAfterHandshake,
}

/// What a request gets. Whatever is not [`Answer::Good`] or an edit that keeps Keep Alive ends
/// the connection.
#[derive(Clone, Default)]
pub enum Answer {
    /// The right answer.
    #[default]
    Good,
    /// The right answer with changes to its records.
    Edited(Arc<dyn Fn(Vec<Record>) -> Vec<Record> + Send + Sync>),
    /// Exactly these octets, then close_notify.
    Octets(Vec<u8>),
    /// Half of the right answer, then TCP is cut off.
    Half,
    /// Nothing; TCP is cut off.
    Cut,
    /// Nothing, for as long as the other side waits.
    Silence,
    /// The right answer once the gate is open.
    Held(Gate),
    /// What this makes of all that the source has seen, the present request last.
    Decided(Arc<dyn Fn(&Seen) -> Answer + Send + Sync>),
}

impl Answer {
    /// The right answer with changes to its records.
    pub fn edited(edit: impl Fn(&mut Vec<Record>) + Send + Sync + 'static) -> Self {
        Self::Edited(Arc::new(move |mut records| {
            edit(&mut records);
            records
        }))
    }

    /// The right answer without records of this type.
    pub fn without(record_type: u16) -> Self {
        Self::edited(move |records| records.retain(|record| record.record_type() != record_type))
    }

    /// The right answer with another body in each record of this type.
    pub fn with_body(record_type: u16, body: &[u8]) -> Self {
        let body = body.to_vec();
        Self::edited(move |records| {
            for record in records
                .iter_mut()
                .filter(|it| it.record_type() == record_type)
            {
                record.body.clone_from(&body);
            }
        })
    }

    /// An answer that depends on what the source has seen, the present request last.
    pub fn decided(decide: impl Fn(&Seen) -> Self + Send + Sync + 'static) -> Self {
        Self::Decided(Arc::new(decide))
    }

    /// The right answer and one more record.
    pub fn with_record(wire_type: u16, body: &[u8]) -> Self {
        let record = Record::new(wire_type, body);
        Self::edited(move |records| records.push(record.clone()))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "Good",
            Self::Edited(_) => "Edited",
            Self::Octets(_) => "Octets",
            Self::Half => "Half",
            Self::Cut => "Cut",
            Self::Silence => "Silence",
            Self::Held(_) => "Held",
            Self::Decided(_) => "Decided",
        })
    }
}

/// Holds answers back until a test opens it.
#[derive(Clone, Debug)]
pub struct Gate(watch::Sender<bool>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets everything pass from now on.
    pub fn open(&self) {
        self.0.send_replace(true);
    }

    pub(super) async fn pass(&self) {
        let _ = self.0.subscribe().wait_for(|open| *open).await;
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}
