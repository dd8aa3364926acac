//! Whether it is a source that cannot be reached, or this machine that reaches nobody.
//!
//! "No route" says that packets do not leave this machine, or get lost near it. That is no fault of
//! the source, unless others can be reached meanwhile. Pure: `now` is an argument.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// When this machine last reached any source.
#[derive(Debug, Default)]
pub(crate) struct LastReached(Mutex<Option<Instant>>);

/// Since when there is no route to one source.
#[derive(Debug, Default)]
pub(super) struct LostSince(Mutex<Option<Instant>>);

impl LostSince {
    /// Somebody answered at the source's address, be it with a refusal.
    pub(super) fn reached(&self, anybody: &LastReached, now: Instant) {
        *lock(&self.0) = None;
        *lock(&anybody.0) = Some(now);
    }

    /// There is no route to the source. Gives whether that is the fault of this machine: it has
    /// reached nobody since that began.
    pub(super) fn is_own_fault(&self, anybody: &LastReached, now: Instant) -> bool {
        let since = *lock(&self.0).get_or_insert(now);
        lock(&anybody.0).is_none_or(|last| last <= since)
    }
}

/// Whether this means that there is no route, or no address to send from.
pub(super) fn is_no_route(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::NetworkUnreachable
            | Kind::HostUnreachable
            | Kind::AddrNotAvailable
            | Kind::NetworkDown
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn without_a_route_to_anybody_it_is_this_machine() {
        let (anybody, one, other) = Default::default();
        let now = Instant::now();
        let second = |count| now + Duration::from_secs(count);
        assert!(LostSince::is_own_fault(&one, &anybody, second(0)));
        assert!(LostSince::is_own_fault(&other, &anybody, second(0)));
        // Even if all was well before.
        one.reached(&anybody, second(1));
        other.reached(&anybody, second(1));
        for time in 2..9 {
            assert!(one.is_own_fault(&anybody, second(time)));
            assert!(other.is_own_fault(&anybody, second(time)));
        }
    }

    #[test]
    fn if_others_are_reached_meanwhile_it_is_the_source() {
        let (anybody, lost, well) = <(LastReached, LostSince, LostSince)>::default();
        let now = Instant::now();
        let second = |count| now + Duration::from_secs(count);
        well.reached(&anybody, second(0));
        assert!(lost.is_own_fault(&anybody, second(1)));
        well.reached(&anybody, second(2));
        assert!(!lost.is_own_fault(&anybody, second(3)));
        lost.reached(&anybody, second(4));
        assert!(lost.is_own_fault(&anybody, second(5)));
    }

    #[test]
    fn what_no_route_looks_like() {
        // ENETDOWN, ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL of Linux.
        for code in [100, 101, 113, 99] {
            assert!(is_no_route(&io::Error::from_raw_os_error(code)), "{code}");
        }
        // ECONNREFUSED, ETIMEDOUT, ECONNRESET, EMFILE.
        for code in [111, 110, 104, 24] {
            assert!(!is_no_route(&io::Error::from_raw_os_error(code)), "{code}");
        }
    }
}
