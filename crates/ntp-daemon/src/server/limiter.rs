//! The rate limiter: a table of fixed size with one token bucket per slot.
//!
//! A bucket belongs to one IPv4 address or one IPv6 /64 and holds up to [`BURST`] tokens, one of
//! which comes back per cutoff. An address without tokens is still answered a quarter of the
//! time, otherwise whoever forges its address could silence it. Two addresses that share a slot
//! take it from each other; the hash is keyed, so nobody can choose to collide.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Tokens of a full bucket: what a client may send at once when it starts.
const BURST: u32 = 8;

/// One in this many requests is answered when the bucket is empty.
const LEAK: u32 = 4;

/// Decides whether an address asked too often.
#[derive(Debug)]
pub(super) struct RateLimiter {
    slots: Box<[Option<Bucket>]>,
    cutoff: Duration,
    hasher: RandomState,
}

/// The bucket of one address, with its tokens as they were at `since`.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    owner: Owner,
    tokens: u32,
    since: Instant,
}

/// What counts as one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Owner {
    V4(u32),
    V6Prefix64(u64),
}

impl Owner {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(a) => Self::V4(a.to_bits()),
            IpAddr::V6(a) => {
                let [a, b, c, d, ..] = a.segments().map(u64::from);
                Self::V6Prefix64(a << 48 | b << 32 | c << 16 | d)
            }
        }
    }
}

impl RateLimiter {
    /// A limiter that remembers `size` addresses; `None` if `size` or `cutoff` turn it off.
    pub(super) fn new(size: usize, cutoff: Duration) -> Option<Self> {
        (size > 0 && !cutoff.is_zero()).then(|| Self {
            slots: vec![None; size].into_boxed_slice(),
            cutoff,
            hasher: RandomState::new(),
        })
    }

    /// Takes a token for a request of `address`; false if it should get no answer. `random` is
    /// any random number.
    pub(super) fn admit(&mut self, address: IpAddr, now: Instant, random: u32) -> bool {
        let owner = Owner::of(address);
        let index = self.index(owner);
        let Some(slot) = self.slots.get_mut(index) else {
            return true;
        };
        match slot {
            Some(bucket) if bucket.owner == owner => {
                bucket.refill(now, self.cutoff);
                match bucket.tokens.checked_sub(1) {
                    Some(left) => {
                        bucket.tokens = left;
                        true
                    }
                    None => random.is_multiple_of(LEAK),
                }
            }
            _ => {
                *slot = Some(Bucket {
                    owner,
                    tokens: BURST - 1,
                    since: now,
                });
                true
            }
        }
    }

    fn index(&self, owner: Owner) -> usize {
        let size = self.slots.len() as u64;
        // The remainder is smaller than `size`, which came from a usize.
        usize::try_from(self.hasher.hash_one(owner) % size.max(1)).unwrap_or(0)
    }
}

impl Bucket {
    /// Adds the tokens that came back since the last look, and keeps the rest of the time.
    fn refill(&mut self, now: Instant, cutoff: Duration) {
        let elapsed = now.saturating_duration_since(self.since);
        let earned = elapsed.as_nanos() / cutoff.as_nanos().max(1);
        let missing = BURST - self.tokens;
        match u32::try_from(earned) {
            Ok(earned) if earned < missing => {
                self.tokens += earned;
                self.since += cutoff * earned;
            }
            _ => {
                self.tokens = BURST;
                self.since = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NO_LEAK: u32 = 1;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn size_or_cutoff_of_zero_turns_it_off() {
        assert!(RateLimiter::new(0, SECOND).is_none());
        assert!(RateLimiter::new(32, Duration::ZERO).is_none());
    }

    #[test]
    fn a_burst_passes_then_one_per_cutoff() {
        let mut limiter = RateLimiter::new(32, SECOND).unwrap();
        let (client, start) = (address("192.0.2.1"), Instant::now());
        for _ in 0..8 {
            assert!(limiter.admit(client, start, NO_LEAK));
        }
        assert!(!limiter.admit(client, start, NO_LEAK));
        assert!(!limiter.admit(client, start + SECOND / 2, NO_LEAK));
        // A refused request does not put the next token off.
        assert!(limiter.admit(client, start + SECOND, NO_LEAK));
        assert!(!limiter.admit(client, start + SECOND, NO_LEAK));
        // After a long pause the bucket is full again, and no fuller.
        let later = start + 1000 * SECOND;
        for _ in 0..8 {
            assert!(limiter.admit(client, later, NO_LEAK));
        }
        assert!(!limiter.admit(client, later, NO_LEAK));
    }

    #[test]
    fn a_quarter_leaks_through_an_empty_bucket() {
        let mut limiter = RateLimiter::new(1, SECOND).unwrap();
        let (client, now) = (address("192.0.2.1"), Instant::now());
        for _ in 0..8 {
            limiter.admit(client, now, NO_LEAK);
        }
        let passed = (0..400)
            .filter(|random| limiter.admit(client, now, *random))
            .count();
        assert_eq!(passed, 100);
    }

    #[test]
    fn clients_are_ipv4_addresses_and_ipv6_prefixes() {
        let same = |a: &str, b: &str| Owner::of(address(a)) == Owner::of(address(b));
        assert!(same("192.0.2.1", "::ffff:192.0.2.1"));
        assert!(!same("192.0.2.1", "192.0.2.2"));
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1"));
    }

    #[test]
    fn a_new_address_takes_over_a_slot() {
        let mut limiter = RateLimiter::new(1, SECOND).unwrap();
        let now = Instant::now();
        for _ in 0..8 {
            limiter.admit(address("192.0.2.1"), now, NO_LEAK);
        }
        assert!(limiter.admit(address("192.0.2.2"), now, NO_LEAK));
        assert!(limiter.admit(address("192.0.2.1"), now, NO_LEAK));
    }
}
