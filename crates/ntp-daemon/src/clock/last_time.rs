//! `last-time-file`: the last time that was known to be right, for machines whose clock starts in
//! the past: they could not check certificates, and so could never ask what time it is.
//!
//! Certificates are checked by the system's clock or by that time, whichever is later. So a
//! certificate may be taken that has expired since, never one that had expired then. What never
//! happens here: setting a clock.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nts_service::tls;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

use crate::private_file;

/// The end of the year 9999 in Unix seconds. Later is damage, and there are times so late that no
/// date can be made of them.
const GREATEST: u64 = 253_402_300_799;

/// The file, and the time that it had at the start.
#[derive(Debug)]
pub(crate) struct LastTime {
    path: PathBuf,
    /// Unix seconds; 0 once the system's clock is known to be right.
    known: AtomicU64,
}

impl LastTime {
    /// Reads the file; one that is not there tells nothing, one that cannot be used is a warning.
    pub(crate) fn open(path: &Path) -> Self {
        let known = read(path).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "cannot use the last known time");
            0
        });
        let now = unix_now();
        if now < known {
            let date = |seconds| tls::date(UNIX_EPOCH + Duration::from_secs(seconds));
            tracing::warn!(
                "this machine's clock says {}, but it was {} already when this daemon ran last \
                 ({}): until the clock is set, certificates are checked by the latter",
                date(now),
                date(known),
                path.display()
            );
        }
        Self {
            path: path.to_owned(),
            known: AtomicU64::new(known),
        }
    }

    /// From now on the system's clock alone counts.
    pub(crate) fn trust_the_system(&self) {
        self.known.store(0, Ordering::Relaxed);
    }

    /// Writes `seconds` since 1970, which are known to be right.
    pub(crate) fn store(&self, seconds: i64) {
        if let Err(error) = private_file::replace(&self.path, format!("{seconds}\n").as_bytes()) {
            tracing::warn!(path = %self.path.display(), %error, "cannot write the last known time");
        }
    }
}

impl TimeProvider for LastTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = unix_now().max(self.known.load(Ordering::Relaxed));
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn read(path: &Path) -> io::Result<u64> {
    match std::fs::read_to_string(path) {
        Ok(text) => text
            .trim()
            .parse()
            .ok()
            .filter(|seconds| *seconds <= GREATEST)
            .ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "it does not hold a number of seconds since 1970",
                )
            }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

fn unix_now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_both_times_counts_until_the_clock_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("time");
        let seconds = |time: &LastTime| time.current_time().unwrap().as_secs();
        let now = unix_now();
        let time = LastTime::open(&path);
        assert!((now..now + 60).contains(&seconds(&time)));
        let later = now + 86_400;
        time.store(later.try_into().unwrap());
        assert!(seconds(&time) < later, "read at the start only");
        let time = LastTime::open(&path);
        assert_eq!(seconds(&time), later);
        time.trust_the_system();
        assert!((now..now + 60).contains(&seconds(&time)));
        let too_late = (GREATEST + 1).to_string();
        for damaged in ["yesterday", "-1", &too_late, "18446744073709551615"] {
            std::fs::write(&path, damaged).unwrap();
            let seconds = seconds(&LastTime::open(&path));
            assert!((now..now + 60).contains(&seconds), "{damaged}");
        }
    }
}
