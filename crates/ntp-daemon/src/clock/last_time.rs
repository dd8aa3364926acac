//! `last-time-file`: the last time that was known to be right, for machines whose clock starts in
//! the past: they could not check certificates, and so could never ask what time it is.
//!
//! Certificates are checked by the system's clock or by that time, whichever is later. So a
//! certificate may be taken that has expired since, never one that had expired then. What never
//! happens here: setting a clock.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use nts_service::tls;
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

use crate::private_file;
use crate::unix_time;

/// When this was written, in Unix seconds: 2026-11-01. Whatever a clock says, it is not earlier.
const WRITTEN: u64 = 1_793_491_200;

/// The file may be so many seconds, 20 years, ahead of the clock and of [`WRITTEN`]. What is later is
/// damage, and would make all certificates expired ones.
const MOST_AHEAD: u64 = 20 * 31_557_600;

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
        let now = unix_time::now();
        let known = read(path, now).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "cannot use the last known time");
            0
        });
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
        let seconds = unix_time::now().max(self.known.load(Ordering::Relaxed));
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// The time in the file, if it can have been right where the clock says `now`.
fn read(path: &Path, now: u64) -> io::Result<u64> {
    let text = match private_file::read_text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let damaged = |what| Err(io::Error::new(io::ErrorKind::InvalidData, what));
    match text.trim().parse::<u64>() {
        Ok(seconds) if seconds <= now.max(WRITTEN).saturating_add(MOST_AHEAD) => Ok(seconds),
        Ok(_) => damaged("it holds a time that is more than 20 years ahead"),
        Err(_) => damaged("it does not hold a number of seconds since 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_later_of_both_times_counts_until_the_clock_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("time");
        let seconds = |time: &LastTime| time.current_time().unwrap().as_secs();
        let now = unix_time::now();
        let time = LastTime::open(&path);
        assert!((now..now + 60).contains(&seconds(&time)));
        let later = now + 86_400;
        time.store(later.try_into().unwrap());
        assert!(seconds(&time) < later, "read at the start only");
        let time = LastTime::open(&path);
        assert_eq!(seconds(&time), later);
        time.trust_the_system();
        assert!((now..now + 60).contains(&seconds(&time)));
        let too_late = (now + MOST_AHEAD + 60).to_string();
        for damaged in ["yesterday", "-1", &too_late, "18446744073709551615"] {
            std::fs::write(&path, damaged).unwrap();
            let seconds = seconds(&LastTime::open(&path));
            assert!((now..now + 60).contains(&seconds), "{damaged}");
        }
    }

    #[test]
    fn a_time_that_cannot_be_is_not_used_wherever_the_clock_begins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("time");
        let read_at = |seconds: u64, now| {
            std::fs::write(&path, seconds.to_string()).unwrap();
            read(&path, now).ok()
        };
        // A machine without a clock of its own begins in 1970, or where the system puts it.
        for (now, latest) in [
            (0, WRITTEN + MOST_AHEAD),
            (WRITTEN, WRITTEN + MOST_AHEAD),
            (WRITTEN + 1000, WRITTEN + 1000 + MOST_AHEAD),
        ] {
            assert_eq!(read_at(latest, now), Some(latest));
            assert_eq!(read_at(latest + 1, now), None);
        }
        std::fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = read(&path, 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
