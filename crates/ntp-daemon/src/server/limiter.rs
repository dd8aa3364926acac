//! Who asks too often: a table of fixed size that all threads share without a lock.
//!
//! Each entry is the token bucket of one IPv4 address or one IPv6 /64. A bucket holds up to
//! `burst` tokens, one of which comes back per interval. It is kept as one 64-bit atomic: a
//! fingerprint of the owner, and the moment when the bucket will be full again (the "theoretical
//! arrival time" of the generic cell rate algorithm), so that taking a token is one exchange of one
//! word.
//!
//! An address belongs to one set of eight entries, a cache line; a newcomer takes the place of the
//! fullest bucket of its set, about which the least is known. The hash that places and names owners
//! is keyed, so nobody can choose to collide, and a flood from forged addresses pushes out those
//! who asked little, not those who are limited.
//!
//! What never happens here: reading a clock, or drawing a random number that is not needed.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Entries of a set.
const WAYS: usize = 8;

/// An interval is counted in at least this many ticks.
const TICKS: u64 = 256;

/// Times that a token is asked for while others change the same entry.
const TRIES: usize = 4;

/// How much a client may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Time in which one token comes back.
    pub(crate) interval: Duration,
    /// Tokens of a full bucket, at most 65535: what a client may ask at once.
    pub(crate) burst: u16,
    /// Of the requests of an empty bucket one in this many is let through, for otherwise whoever
    /// forges the address of a client could silence it; `None` lets none through.
    pub(crate) leak: Option<NonZeroU32>,
}

/// Decides whether an address asked too often.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    sets: Box<[Set]>,
    clock: TickClock,
    /// Ticks in which one token comes back.
    cost: u32,
    /// Ticks in which an empty bucket becomes full.
    capacity: u32,
    leak: Option<NonZeroU32>,
    hasher: RandomState,
}

/// A cache line of buckets; zero is an entry of nobody.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([AtomicU64; WAYS]);

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
    /// A limiter that remembers at least `size` addresses; `None` if `size`, the interval or the
    /// burst is zero, which turn it off.
    pub(crate) fn new(size: usize, allowance: Allowance) -> Option<Self> {
        if size == 0 || allowance.interval.is_zero() || allowance.burst == 0 {
            return None;
        }
        let clock = TickClock::fit(allowance.interval);
        let cost = clock.ticks(allowance.interval).max(1);
        Some(Self {
            sets: (0..size.div_ceil(WAYS)).map(|_| Set::default()).collect(),
            clock,
            cost,
            // At most 2^9 × 2^16 ticks, far from where they wrap.
            capacity: cost.saturating_mul(allowance.burst.into()),
            leak: allowance.leak,
            hasher: RandomState::new(),
        })
    }

    /// Takes a token for a request of `address`; false if it should not be served. `random` is
    /// asked only when the bucket is empty.
    pub(crate) fn admit(
        &self,
        address: IpAddr,
        now: Instant,
        random: impl FnOnce() -> u32,
    ) -> bool {
        let hash = self.hasher.hash_one(Owner::of(address));
        let (fingerprint, place) = halves(hash);
        // The remainder is smaller than the number of sets, which is a usize.
        let index = usize::try_from(u64::from(place) % self.sets.len() as u64).unwrap_or(0);
        let Some(set) = self.sets.get(index) else {
            return true;
        };
        self.take(set, fingerprint | 1, self.clock.at(now))
            || self
                .leak
                .is_some_and(|leak| random().is_multiple_of(leak.get()))
    }

    /// Takes a token of the bucket of `owner`.
    fn take(&self, set: &Set, owner: u32, now: u32) -> bool {
        for _ in 0..TRIES {
            let (entry, seen) = self.find(set, owner, now);
            let (found, full_at) = halves(seen);
            let missing = if found == owner {
                self.missing(full_at, now)
            } else {
                0
            };
            let after = missing.saturating_add(self.cost);
            if after > self.capacity {
                return false;
            }
            let new = u64::from(owner) << 32 | u64::from(now.wrapping_add(after));
            if entry.compare_exchange(seen, new, Relaxed, Relaxed).is_ok() {
                return true;
            }
        }
        // Others ask for the same client, or for its place, at this very moment: that they were
        // counted is enough.
        true
    }

    /// The entry of `owner` with its value, else the one that it may take over.
    fn find<'s>(&self, set: &'s Set, owner: u32, now: u32) -> (&'s AtomicU64, u64) {
        let [first, others @ ..] = &set.0;
        let (mut best, mut best_value) = (first, first.load(Relaxed));
        let mut least = self.claim(best_value, owner, now);
        for entry in others {
            if least == 0 {
                break;
            }
            let value = entry.load(Relaxed);
            let claim = self.claim(value, owner, now);
            if claim < least {
                (best, best_value, least) = (entry, value, claim);
            }
        }
        (best, best_value)
    }

    /// How strongly an entry is held against `owner`: 0 is its own.
    fn claim(&self, value: u64, owner: u32, now: u32) -> u32 {
        let (found, full_at) = halves(value);
        match found {
            _ if found == owner => 0,
            0 => 1,
            _ => 2 + self.missing(full_at, now),
        }
    }

    /// Ticks until a bucket is full; one that was not used for so long that ticks have wrapped may
    /// look like one of the future, and is full.
    fn missing(&self, full_at: u32, now: u32) -> u32 {
        let missing = full_at.wrapping_sub(now);
        if missing > self.capacity { 0 } else { missing }
    }
}

/// The upper and the lower half.
fn halves(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    (
        u32::from_be_bytes([a, b, c, d]),
        u32::from_be_bytes([e, f, g, h]),
    )
}

/// Time in ticks of a power of two of nanoseconds, modulo 2^32.
#[derive(Clone, Copy, Debug)]
struct TickClock {
    began: Instant,
    shift: u32,
}

impl TickClock {
    /// The clock whose ticks are the longest of which `interval` has [`TICKS`] or more.
    fn fit(interval: Duration) -> Self {
        let shift = (nanoseconds(interval) / TICKS).checked_ilog2().unwrap_or(0);
        Self {
            began: Instant::now(),
            shift,
        }
    }

    fn ticks(&self, time: Duration) -> u32 {
        halves(nanoseconds(time) >> self.shift).1
    }

    fn at(&self, now: Instant) -> u32 {
        self.ticks(now.saturating_duration_since(self.began))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NO_LEAK: fn() -> u32 = || 1;

    fn allowance(burst: u16) -> Allowance {
        Allowance {
            interval: SECOND,
            burst,
            leak: NonZeroU32::new(4),
        }
    }

    fn limiter(size: usize) -> RateLimiter {
        RateLimiter::new(size, allowance(8)).unwrap()
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn admitted(limiter: &RateLimiter, client: IpAddr, now: Instant) -> usize {
        (0..1000)
            .filter(|_| limiter.admit(client, now, NO_LEAK))
            .count()
    }

    #[test]
    fn zero_is_off() {
        assert!(RateLimiter::new(0, allowance(8)).is_none());
        assert!(RateLimiter::new(1, allowance(0)).is_none());
        let never = Allowance {
            interval: Duration::ZERO,
            ..allowance(8)
        };
        assert!(RateLimiter::new(1, never).is_none());
    }

    #[test]
    fn a_burst_passes_and_then_one_per_interval() {
        let limiter = limiter(1);
        let (client, now) = (address("192.0.2.1"), Instant::now());
        assert_eq!(admitted(&limiter, client, now), 8);
        // Being refused costs nothing: a client that goes on is not blocked for ever.
        assert_eq!(admitted(&limiter, client, now + SECOND / 2), 0);
        assert_eq!(admitted(&limiter, client, now + SECOND * 101 / 100), 1);
        assert_eq!(admitted(&limiter, client, now + SECOND * 405 / 100), 3);
        assert_eq!(admitted(&limiter, client, now + SECOND * 1000), 8);
    }

    #[test]
    fn every_interval_is_kept_to_within_half_a_percent() {
        for interval in [1, 7, 1000, 64_000, 86_400_000].map(Duration::from_millis) {
            let limiter = RateLimiter::new(
                1,
                Allowance {
                    interval,
                    ..allowance(1)
                },
            )
            .unwrap();
            let (client, now) = (address("192.0.2.1"), Instant::now());
            assert!(limiter.admit(client, now, NO_LEAK));
            assert!(!limiter.admit(client, now + interval * 99 / 100, NO_LEAK));
            assert!(limiter.admit(client, now + interval * 101 / 100, NO_LEAK));
        }
    }

    #[test]
    fn a_quarter_leaks_through_an_empty_bucket() {
        let limiter = limiter(1);
        let (client, now) = (address("192.0.2.1"), Instant::now());
        assert_eq!(admitted(&limiter, client, now), 8);
        let passed = (0..400)
            .filter(|random| limiter.admit(client, now, || *random))
            .count();
        assert_eq!(passed, 100);
        let strict = Allowance {
            leak: None,
            ..allowance(8)
        };
        let limiter = RateLimiter::new(1, strict).unwrap();
        assert_eq!(admitted(&limiter, client, now), 8);
        assert!(!limiter.admit(client, now, || 0));
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
    fn a_flood_pushes_out_those_who_asked_little() {
        let limiter = limiter(WAYS);
        let (heavy, now) = (address("192.0.2.1"), Instant::now());
        assert_eq!(admitted(&limiter, heavy, now), 8);
        for forged in 0..10_000_u32 {
            let forged = IpAddr::from(forged.to_be_bytes());
            assert!(limiter.admit(forged, now, NO_LEAK), "{forged}");
        }
        assert_eq!(admitted(&limiter, heavy, now), 0);
    }

    #[test]
    fn an_entry_from_before_the_ticks_wrapped_is_a_full_bucket() {
        let limiter = limiter(1);
        let (client, now) = (address("192.0.2.1"), Instant::now());
        assert_eq!(admitted(&limiter, client, now), 8);
        let wrap = Duration::from_nanos((1 << 32) << limiter.clock.shift);
        assert_eq!(admitted(&limiter, client, now + wrap - SECOND * 60), 8);
    }

    #[test]
    fn threads_share_a_bucket() {
        let limiter = limiter(64);
        let (client, now) = (address("192.0.2.1"), Instant::now());
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| admitted(&limiter, client, now)))
                .collect();
            threads.into_iter().map(|it| it.join().unwrap()).sum()
        });
        // Who was overtaken four times is let through, and the others can overtake eight times.
        assert!((8..=16).contains(&passed), "{passed}");
        assert_eq!(admitted(&limiter, client, now), 0);
    }
}
