//! How many files the process may have open, and what that allows.
//!
//! Nothing here opens one.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::telemetry::metrics::{Kind, Registry};

/// With fewer a key exchange service cannot do its work.
pub const LEAST: u64 = 256;

/// Too few files may be open.
#[derive(Debug, thiserror::Error)]
#[error(
    "only {0} files may be open, at least {LEAST} are needed; raise the limit (`ulimit -n`, \
     LimitNOFILE)"
)]
pub struct TooFew(u64);

/// Raises the limit as far as the system allows. The usual 1024 are for programs that call `select`;
/// each user may need two, and the connections kept to sources come on top.
///
/// # Errors
/// If the system refuses; the limit is then what it was.
pub fn raise_limit() -> io::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    Ok(())
}

/// How many files may be open at the same time; [`LEAST`] if the system does not tell.
pub fn limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(LEAST, |(present, _)| present)
}

/// How many files are open now, this look included; `None` if the system does not tell.
pub fn open() -> Option<u64> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    u64::try_from(entries.count()).ok()
}

/// Shows in `registry` how much of what may be open is open, as a gauge whose name begins with
/// `prefix` (like `nts_pool_ke`). Where not even a look is possible, it is all of it.
pub fn show_usage(registry: &Registry, prefix: &str) {
    let name = format!("{prefix}_fd_used_ratio");
    registry.collect(move |page| {
        let help = "Open files, as a share of those that may be open.";
        page.family(&name, Kind::Gauge, help);
        let ratio = open().map_or(1.0, |open| open as f64 / limit().max(1) as f64);
        page.sample(&name, &[], (ratio * 1000.0).round() / 1000.0);
    });
}

/// Whether a key exchange service can work with `limit` open files.
///
/// # Errors
/// [`TooFew`], with the cure.
pub fn check(limit: u64) -> Result<(), TooFew> {
    match limit {
        LEAST.. => Ok(()),
        _ => Err(TooFew(limit)),
    }
}

/// How many of `limit` open files are for the connections of users: 60 %. Connections to sources
/// have half as many, users who have their answer and are leaving an eighth as many; the rest is
/// reserve.
pub fn share_of_users(limit: u64) -> usize {
    usize::try_from(limit / 5 * 3).unwrap_or(usize::MAX)
}

/// How many of `limit` open files are for connections to sources that wait for a user: 20 %, so that
/// some are left for those that are in use.
pub fn share_of_idle(limit: u64) -> usize {
    usize::try_from(limit / 5).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_get_three_fifths() {
        let shares = [0, 64, 256, 1024, u64::MAX].map(share_of_users);
        assert_eq!(shares[..4], [0, 36, 153, 612]);
        assert!(shares[4] > 1 << 60);
    }

    #[test]
    fn idle_connections_get_one_fifth() {
        assert_eq!([0, 256, 1024].map(share_of_idle), [0, 51, 204]);
    }

    #[test]
    fn open_files_are_counted() {
        let files: Vec<_> = (0..50)
            .map(|_| std::fs::File::open("/dev/null").unwrap())
            .collect();
        assert!(open().unwrap() > 50);
        let registry = Registry::new();
        show_usage(&registry, "test");
        let page = registry.render();
        let line = page
            .lines()
            .find_map(|it| it.strip_prefix("test_fd_used_ratio "));
        let ratio: f64 = line.unwrap().parse().unwrap();
        assert!((0.0..=1.0).contains(&ratio), "{page}");
        drop(files);
    }

    #[test]
    fn too_few_files_are_said_with_the_cure() {
        assert!(check(256).is_ok());
        assert_eq!(
            check(255).unwrap_err().to_string(),
            "only 255 files may be open, at least 256 are needed; raise the limit (`ulimit -n`, \
             LimitNOFILE)"
        );
    }
}
