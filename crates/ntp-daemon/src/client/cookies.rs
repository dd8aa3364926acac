//! `cookie-storage-path`: keys and unused cookies kept over a restart, so that a fleet that starts
//! again does not ask all at once for new ones.
//!
//! The file is written when the daemon stops and removed when it starts, before any cookie of it is
//! used: no cookie goes out twice, whatever happens in between. What never happens here: a
//! decision about a source, or a word about what is in the file.

mod format;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nts_proto::association::NtsSession;
use nts_proto::ke::name::NtpServerName;

use crate::private_file::{self, ReadError};
use crate::unix_time;

/// Cookies older than this are of no use any more: servers change their keys.
const MAX_AGE: Duration = Duration::from_secs(7 * 86_400);

/// A session with a time source, and whose it is.
#[derive(Debug)]
pub(super) struct Kept {
    /// Mode and address of the configured source, and whom it trusts.
    pub(super) configured: String,
    /// Name of the time source.
    pub(super) remote_name: NtpServerName,
    /// Where it answers.
    pub(super) address: SocketAddr,
    /// Keys and cookies.
    pub(super) session: NtsSession,
}

/// What the last run left, and what this one will leave.
#[derive(Debug)]
pub(super) struct CookieStore {
    path: PathBuf,
    found: Mutex<Vec<Kept>>,
    /// `None` as long as the daemon does not stop.
    leaving: Mutex<Option<Vec<Kept>>>,
}

impl CookieStore {
    /// Takes what the last run left; the file is gone then.
    pub(super) fn open(path: &Path) -> Self {
        let found = take(path).unwrap_or_else(|message| {
            tracing::warn!(
                path = %path.display(),
                "cannot use the stored NTS cookies, so new key exchanges are needed: {message}"
            );
            Vec::new()
        });
        if !found.is_empty() {
            tracing::info!(
                sources = found.len(),
                "NTS cookies of the last run are used"
            );
        }
        Self {
            path: path.to_owned(),
            found: Mutex::new(found),
            leaving: Mutex::new(None),
        }
    }

    /// What was left for the source `configured`, once.
    pub(super) fn found(&self, configured: &str) -> Vec<Kept> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found
            .extract_if(.., |kept| kept.configured == configured)
            .collect()
    }

    /// From now on sources that end do so because the daemon stops.
    pub(super) fn begin_to_leave(&self) {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        *leaving = Some(Vec::new());
    }

    /// Keeps a session for the next run, if the daemon stops.
    pub(super) fn leave(&self, kept: impl FnOnce() -> Option<Kept>) {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(leaving) = leaving.as_mut() {
            leaving.extend(kept());
        }
    }

    /// Writes the file, if there is anything to keep.
    pub(super) fn save(&self) {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        let leaving = leaving.take().unwrap_or_default();
        if leaving.is_empty() {
            return;
        }
        let octets = format::encode(leaving, unix_time::now());
        if let Err(error) = private_file::replace(&self.path, &octets) {
            tracing::warn!(path = %self.path.display(), %error, "cannot store the NTS cookies");
        }
    }
}

/// Reads the file and removes it. Cookies that would stay in it are not used.
fn take(path: &Path) -> Result<Vec<Kept>, String> {
    let octets = match private_file::read(path) {
        Ok(octets) => octets,
        Err(ReadError::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Vec::new());
        }
        Err(ReadError::Io(error)) => return Err(error.to_string()),
        Err(ReadError::Mode(message)) => return Err(message),
    };
    private_file::remove(path).map_err(|error| format!("it cannot be removed: {error}"))?;
    let (kept, saved) = format::decode(&octets).ok_or("it is not whole")?;
    // A clock that is wrong at start must not make cookies last for ever, nor cost them all.
    let age = Duration::from_secs(unix_time::now().saturating_sub(saved));
    Ok(if age <= MAX_AGE { kept } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use nts_proto::code_points::AeadAlgorithm;
    use nts_proto::cookie::Cookie;
    use nts_proto::ke::keys::SessionKeys;

    use super::*;

    const CONFIGURED: &str = "nts pool.test:4460";

    pub(super) fn kept(configured: &str, host: u8) -> Kept {
        let keys = SessionKeys::new(&[host; 32], &[host + 1; 32]).unwrap();
        let cookies = (0..3).map(|number| Cookie::new([number; 104])).collect();
        Kept {
            configured: configured.to_owned(),
            remote_name: format!("{host}.test").parse().unwrap(),
            address: SocketAddr::from(([192, 0, 2, host], 123)),
            session: NtsSession::new(AeadAlgorithm::AesSivCmac256, &keys, cookies).unwrap(),
        }
    }

    fn stop(store: &CookieStore, all: Vec<Kept>) {
        store.begin_to_leave();
        for kept in all {
            store.leave(|| Some(kept));
        }
        store.save();
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cookies");
        (folder, path)
    }

    #[test]
    fn what_one_run_leaves_the_next_one_finds_once() {
        let (_folder, path) = folder();
        let store = CookieStore::open(&path);
        assert!(store.found(CONFIGURED).is_empty());
        stop(
            &store,
            vec![kept(CONFIGURED, 1), kept("nts other.test:4460", 2)],
        );
        assert!(path.exists());

        let store = CookieStore::open(&path);
        assert!(!path.exists(), "gone before a cookie is used");
        let found = store.found(CONFIGURED);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].remote_name.as_str(), "1.test");
        assert_eq!(found[0].address, SocketAddr::from(([192, 0, 2, 1], 123)));
        assert!(store.found(CONFIGURED).is_empty());
        // A crash: nothing is written, so the next run starts with nothing.
        drop(store);
        assert!(
            CookieStore::open(&path)
                .found("nts other.test:4460")
                .is_empty()
        );
    }

    #[test]
    fn sources_that_end_while_the_daemon_runs_leave_nothing() {
        let (_folder, path) = folder();
        let store = CookieStore::open(&path);
        store.leave(|| panic!("not asked for"));
        store.save();
        assert!(!path.exists());
    }

    #[test]
    fn nobody_else_may_read_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, path) = folder();
        let store = CookieStore::open(&path);
        stop(&store, vec![kept(CONFIGURED, 1)]);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(CookieStore::open(&path).found(CONFIGURED).is_empty());
    }

    #[test]
    fn a_pipe_instead_of_the_file_holds_up_nobody() {
        let (_folder, path) = folder();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let store = CookieStore::open(&path);
        assert!(store.found(CONFIGURED).is_empty());
        stop(&store, vec![kept(CONFIGURED, 1)]);
        assert_eq!(CookieStore::open(&path).found(CONFIGURED).len(), 1);
    }

    #[test]
    fn old_cookies_and_broken_files_are_not_used() {
        let (_folder, path) = folder();
        let week_ago = unix_time::now() - MAX_AGE.as_secs();
        for (octets, usable) in [
            (
                format::encode(vec![kept(CONFIGURED, 1)], week_ago + 60),
                true,
            ),
            (
                format::encode(vec![kept(CONFIGURED, 1)], week_ago - 60),
                false,
            ),
            // The clock was set back, or was wrong when the file was written.
            (
                format::encode(vec![kept(CONFIGURED, 1)], unix_time::now() + 86_400),
                true,
            ),
            (b"NTSC".to_vec().into(), false),
        ] {
            private_file::replace(&path, &octets).unwrap();
            let found = CookieStore::open(&path).found(CONFIGURED);
            assert_eq!(found.len(), usize::from(usable));
        }
    }
}
