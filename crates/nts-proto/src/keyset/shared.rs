//! Master keys that several nodes have in common without talking to each other.
//!
//! ```text
//! epoch  = floor(Unix time / interval)
//! key ‖ id = HKDF-SHA-256(salt = "NTS cookie keys, version 1", input = secret,
//!                         info = interval (8) ‖ epoch (8), length = 32 + 4)
//! ```
//!
//! Every node that knows the secret and roughly the time has the same keys: those of the present
//! epoch, of some epochs before, and of the next one, so that a node whose clock is ahead by less
//! than an interval is understood. Of several secrets the first one seals and all open, which is how
//! a secret is changed without a user noticing. What the secret protects against, and what follows
//! from a leak, is written in `docs/shared-keys.md`.

use std::fmt;
use std::num::NonZeroU64;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use super::{Entry, KeySet, MASTER_KEY_LENGTH, MasterKey};

/// Keeps keys for other purposes, or of another layout, apart.
const SALT: &[u8] = b"NTS cookie keys, version 1";

/// Octets of the shortest secret: 128 bits written in hexadecimal.
const SHORTEST: usize = 32;

/// What nodes that share keys have in common. Wiped when dropped; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedSecret(Zeroizing<Vec<u8>>);

/// A secret that could be guessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret of fewer than {SHORTEST} characters can be guessed")]
pub struct WeakSecret;

impl SharedSecret {
    /// Takes the octets of a secret as they stand. They should come from a random source; written
    /// in hexadecimal they are as good.
    ///
    /// # Errors
    /// [`WeakSecret`] if there are fewer than 32.
    pub fn new(octets: &[u8]) -> Result<Self, WeakSecret> {
        if octets.len() < SHORTEST {
            return Err(WeakSecret);
        }
        Ok(Self(Zeroizing::new(octets.to_vec())))
    }

    /// The key of an epoch.
    fn key(&self, interval: NonZeroU64, epoch: u64) -> Entry {
        let info = [interval.get(), epoch].map(u64::to_be_bytes);
        let mut octets = Zeroizing::new([0; MASTER_KEY_LENGTH]);
        let mut id = [0; 4];
        let mut both = Zeroizing::new([0; MASTER_KEY_LENGTH + 4]);
        let (mut pseudorandom, hkdf) = Hkdf::<Sha256>::extract(Some(SALT), &self.0);
        pseudorandom.as_mut_slice().zeroize();
        // Fails only for more than 255 digests.
        let _ = hkdf.expand(info.as_flattened(), both.as_mut_slice());
        for (place, octet) in octets.iter_mut().chain(&mut id).zip(both.iter()) {
            *place = *octet;
        }
        Entry {
            id: u32::from_be_bytes(id),
            key: MasterKey::new(octets),
        }
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(<redacted>)")
    }
}

impl KeySet {
    /// The key set at `unix_time` of all nodes that know `secrets`, of which there is at least one:
    /// of each secret the keys of the present epoch, of `stale_keys` before, and of the next. That
    /// of the first secret and the present epoch seals.
    pub fn derived(
        secrets: &[SharedSecret],
        interval: NonZeroU64,
        stale_keys: usize,
        unix_time: u64,
    ) -> Self {
        let epoch = unix_time / interval;
        let stale = u64::try_from(stale_keys).unwrap_or(u64::MAX);
        let oldest = epoch.saturating_sub(stale);
        let epochs = oldest..=epoch.saturating_add(1);
        let keys = secrets
            .iter()
            .flat_map(|secret| epochs.clone().map(|epoch| secret.key(interval, epoch)));
        Self {
            keys: keys.collect(),
            sealing: usize::try_from(epoch - oldest).unwrap_or(0),
            stale_keys,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;
    use crate::code_points::AeadAlgorithm;
    use crate::ke::keys::SessionKeys;

    const DAY: NonZeroU64 = NonZeroU64::new(86_400).unwrap();
    /// The start of an epoch.
    const NOON: u64 = 20_000 * 86_400;

    fn secret(octet: u8) -> SharedSecret {
        SharedSecret::new(&[octet; 64]).unwrap()
    }

    fn keys_at(secrets: &[u8], time: u64) -> KeySet {
        let secrets: Vec<_> = secrets.iter().map(|octet| secret(*octet)).collect();
        KeySet::derived(&secrets, DAY, 7, time)
    }

    /// Whether `opener` reads the cookies of `sealer`.
    fn reads(opener: &KeySet, sealer: &KeySet) -> bool {
        let session = SessionKeys::new(&[1; 32], &[2; 32]).unwrap();
        let mut rng = StdRng::seed_from_u64(5);
        let cookie = sealer.seal(AeadAlgorithm::AesSivCmac256, &session, &mut rng);
        opener.open(cookie.unwrap().as_bytes()).is_ok()
    }

    /// Made with Python's `hmac` and `hashlib` after RFC 5869.
    #[test]
    fn a_key_octet_for_octet() {
        let entry = secret(b'7').key(DAY, 20_000);
        assert_eq!(
            hex::encode(entry.key.octets()),
            "29f361eebf9ff358fede7ba1027c9aa868ac401dfe5c3caafe1ae5b5cecca1a7"
        );
        assert_eq!(entry.id, 0xfe2c2218);
    }

    #[test]
    fn nodes_read_each_other_as_long_as_a_cookie_lives() {
        let node = keys_at(b"a", NOON);
        assert_eq!(node.key_count(), 9);
        for (later, read) in [(0, true), (7, true), (8, false)] {
            assert_eq!(reads(&keys_at(b"a", NOON + later * 86_400), &node), read);
        }
        assert!(!reads(&keys_at(b"b", NOON), &node));
    }

    #[test]
    fn clocks_may_be_an_interval_apart() {
        // One second before the change of epochs.
        let node = keys_at(b"a", NOON - 1);
        for (skew, read) in [(-86_400, true), (1, true), (86_400, true), (86_401, false)] {
            let other = keys_at(b"a", NOON.checked_add_signed(skew).unwrap() - 1);
            assert_eq!(reads(&node, &other), read, "{skew} s ahead");
            assert!(reads(&other, &node), "{skew} s ahead");
        }
    }

    #[test]
    fn a_secret_is_changed_in_three_steps() {
        let steps: [&[u8]; 4] = [b"a", b"ab", b"ba", b"b"];
        for pair in steps.windows(2) {
            let (before, after) = (keys_at(pair[0], NOON), keys_at(pair[1], NOON));
            // Nodes may be at either step at the same time; at the last step old cookies die.
            assert!(reads(&before, &after));
            assert!(reads(&after, &before));
        }
        assert!(!reads(&keys_at(b"b", NOON), &keys_at(b"a", NOON)));
        assert_eq!(
            keys_at(b"ba", NOON).sealing_id(),
            keys_at(b"b", NOON).sealing_id()
        );
    }

    #[test]
    fn other_intervals_are_other_keys() {
        let hour = NonZeroU64::new(3600).unwrap();
        let other = KeySet::derived(&[secret(b'a')], hour, 7, NOON);
        assert!(!reads(&keys_at(b"a", NOON), &other));
        assert!(!reads(&other, &keys_at(b"a", NOON)));
    }

    #[test]
    fn every_time_has_keys() {
        assert_eq!(keys_at(b"a", 0).key_count(), 2);
        assert!(reads(&keys_at(b"a", 86_400), &keys_at(b"a", 0)));
        let second = NonZeroU64::MIN;
        let last = KeySet::derived(&[secret(b'a')], second, 1, u64::MAX);
        assert!(reads(&last, &last));
    }

    #[test]
    fn keys_that_share_an_id_are_all_tried() {
        let mut keys = keys_at(b"ab", NOON);
        for entry in &mut keys.keys {
            entry.id = 7;
        }
        assert!(reads(&keys, &keys));
    }

    #[test]
    fn a_secret_is_long_and_not_shown() {
        assert_eq!(SharedSecret::new(&[1; 31]), Err(WeakSecret));
        assert_eq!(format!("{:?}", secret(1)), "SharedSecret(<redacted>)");
    }
}
