//! The cookies of one key exchange, each sent once.

use nts_proto::association::{MAX_COOKIES, NtsSession};
use nts_proto::code_points::AeadAlgorithm;
use nts_proto::cookie::Cookie;
use nts_proto::ke::keys::SessionKeys;

use super::client::Client;

/// What a key exchange gave.
pub struct Keys<'k> {
    /// The AEAD algorithm.
    pub algorithm: AeadAlgorithm,
    /// The keys of the session.
    pub keys: &'k SessionKeys,
    /// At least one.
    pub cookies: &'k [Cookie],
}

/// Gives clients with cookies that were not sent before.
pub(super) struct Supply<'k> {
    keys: &'k Keys<'k>,
    used: usize,
}

impl<'k> Supply<'k> {
    pub(super) fn new(keys: &'k Keys<'k>) -> Self {
        Self { keys, used: 0 }
    }

    /// A client whose first request asks for one cookie: as short as it can be.
    pub(super) fn content_client(&mut self) -> Option<Client> {
        let cookie = self.next()?;
        // It will send the first; the others only make it content.
        self.client(vec![cookie; MAX_COOKIES])
    }

    /// A client whose first request asks for as many cookies as there may be: as long as it gets.
    pub(super) fn hungry_client(&mut self) -> Option<Client> {
        let cookie = self.next()?;
        self.client(vec![cookie])
    }

    fn next(&mut self) -> Option<Cookie> {
        let cookie = self.keys.cookies.get(self.used)?;
        self.used += 1;
        Some(cookie.clone())
    }

    fn client(&self, cookies: Vec<Cookie>) -> Option<Client> {
        let session = NtsSession::new(self.keys.algorithm, self.keys.keys, cookies).ok()?;
        Some(Client::new(session))
    }
}
