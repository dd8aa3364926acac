//! The result of a key exchange as the client keeps it: two keys and up to eight cookies.
//!
//! Every cookie is handed out once, and there is no way to put one back (RFC 8915 §5.7).

use std::collections::VecDeque;

use super::MAX_COOKIES;
use crate::aead::{AeadKey, InvalidAeadKey};
use crate::code_points::AeadAlgorithm;
use crate::cookie::Cookie;
use crate::ke::keys::SessionKeys;
use crate::ke::response::MAX_COOKIE_LENGTH;

/// Why a key exchange gave nothing to work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSession {
    /// Packets cannot be protected with this algorithm and these keys.
    #[error(transparent)]
    Key(#[from] InvalidAeadKey),
    /// None of the cookies has a usable length.
    #[error("no usable cookie")]
    NoCookies,
}

/// Keys and cookies for one time source.
#[derive(Debug)]
pub struct NtsSession {
    pub(super) c2s: AeadKey,
    pub(super) s2c: AeadKey,
    pub(super) cookies: CookieJar,
    keys: SessionKeys,
}

/// What a session consists of.
#[derive(Debug)]
pub struct SessionParts {
    /// What the keys are for.
    pub algorithm: AeadAlgorithm,
    /// The key of each direction.
    pub keys: SessionKeys,
    /// Cookies that were never sent, oldest first.
    pub cookies: Vec<Cookie>,
}

impl NtsSession {
    /// Takes what a key exchange gave. Cookies that are empty, longer than 1024 octets, or
    /// beyond the eighth are left out.
    ///
    /// # Errors
    /// [`InvalidSession`] if the algorithm is not supported, the keys do not fit it, or no cookie
    /// is left.
    pub fn new(
        algorithm: AeadAlgorithm,
        keys: &SessionKeys,
        cookies: Vec<Cookie>,
    ) -> Result<Self, InvalidSession> {
        let c2s = AeadKey::new(algorithm, keys.c2s())?;
        let s2c = AeadKey::new(algorithm, keys.s2c())?;
        let mut jar = CookieJar::default();
        for cookie in cookies {
            jar.add(cookie);
        }
        if jar.len() == 0 {
            return Err(InvalidSession::NoCookies);
        }
        Ok(Self {
            c2s,
            s2c,
            cookies: jar,
            keys: keys.second_set(),
        })
    }

    /// Takes it apart, to be kept until the next run of the program: [`NtsSession::new`] makes the
    /// same session of it. Whoever keeps it must see to it that no cookie is used twice.
    pub fn into_parts(self) -> SessionParts {
        SessionParts {
            algorithm: self.c2s.algorithm(),
            keys: self.keys,
            cookies: self.cookies.0.into(),
        }
    }
}

/// At most eight cookies, oldest first.
#[derive(Debug, Default)]
pub(super) struct CookieJar(VecDeque<Cookie>);

impl CookieJar {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds a cookie, unless its length is not usable or the jar is full.
    pub(super) fn add(&mut self, cookie: Cookie) {
        let usable = (1..=MAX_COOKIE_LENGTH).contains(&cookie.len());
        if usable && self.0.len() < MAX_COOKIES {
            self.0.push_back(cookie);
        }
    }

    /// Takes the oldest cookie out, for good.
    pub(super) fn take(&mut self) -> Option<Cookie> {
        self.0.pop_front()
    }
}
