//! Reading the files that a configuration names, with a look at who else may touch them.

use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::located::Located;
use super::problem::{Place, Problem, Problems};
use crate::regular_file;

/// No file that a configuration names is longer: 64 MiB.
pub const MAX_FILE_SIZE: u64 = 64 << 20;

const GROUP_OR_OTHERS_WRITE: u32 = 0o022;
const OTHERS_WRITE: u32 = 0o002;
const OTHERS_READ: u32 = 0o004;

/// Reads a file that is no secret. `None` after the problem has been reported.
pub fn read_file(path: &Located<PathBuf>, problems: &Problems) -> Option<Vec<u8>> {
    let (_, octets) = read(path, path.place(), problems)?;
    Some(octets.to_vec())
}

/// Reads a private key or token. `None` after the problem has been reported.
///
/// A file that the group or others can write to is refused, as anybody could have put his own
/// secret there. That others can read it is a warning.
pub fn read_secret_file(
    path: &Located<PathBuf>,
    problems: &Problems,
) -> Option<Zeroizing<Vec<u8>>> {
    let (mode, octets) = read(path, path.place(), problems)?;
    let shown = path.display();
    if mode & GROUP_OR_OTHERS_WRITE != 0 {
        problems.error(
            path.place(),
            format!(
                "other users can write to `{shown}` (mode {:03o}), so its secret cannot be \
                 trusted; run `chmod 600 '{shown}'` and make a new secret",
                mode & 0o777
            ),
        );
        return None;
    }
    if mode & OTHERS_READ != 0 {
        problems.warning(
            path.place(),
            format!(
                "every user of this machine can read `{shown}` (mode {:03o}); \
                 run `chmod 600 '{shown}'`",
                mode & 0o777
            ),
        );
    }
    Some(octets)
}

/// A configuration file. Its text may hold tokens, so it is overwritten when dropped.
pub(super) struct ConfigText {
    pub(super) text: Zeroizing<String>,
    pub(super) others_can_read: bool,
}

/// Reads a configuration file that is named at `named`: UTF-8; that others can write to it is a
/// warning.
pub(super) fn read_config(path: &Path, named: &Place, problems: &Problems) -> Option<ConfigText> {
    let place = Place::file(path);
    let (mode, octets) = read(path, named, problems)?;
    if mode & OTHERS_WRITE != 0 {
        problems.warning(
            &place,
            format!(
                "others can write to this file; run `chmod o-w '{}'`",
                path.display()
            ),
        );
    }
    match std::str::from_utf8(&octets) {
        Ok(text) => Some(ConfigText {
            text: Zeroizing::new(text.to_owned()),
            others_can_read: mode & OTHERS_READ != 0,
        }),
        Err(error) => {
            let before = octets.iter().take(error.valid_up_to());
            let line = 1 + before.filter(|octet| **octet == b'\n').count();
            problems.error(
                &place.at_line(line),
                "not UTF-8 text; save the file in the encoding UTF-8",
            );
            None
        }
    }
}

/// The mode and content of a regular file; never waits for anybody.
fn read(path: &Path, place: &Place, problems: &Problems) -> Option<(u32, Zeroizing<Vec<u8>>)> {
    let outcome = regular_file::open(path).and_then(|(file, metadata)| {
        if metadata.len() > MAX_FILE_SIZE {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        // One allocation of the right size, so that no copy of a secret stays behind.
        let size = usize::try_from(metadata.len()).unwrap_or_default();
        let mut octets = Zeroizing::new(Vec::with_capacity(size + 1));
        file.take(MAX_FILE_SIZE).read_to_end(&mut octets)?;
        Ok((metadata.mode(), octets))
    });
    outcome
        .map_err(|error| problems.push(unreadable(path, place, &error)))
        .ok()
}

/// Says why a file could not be read, and what to do about it.
fn unreadable(path: &Path, place: &Place, error: &io::Error) -> Problem {
    let shown = match std::env::current_dir() {
        Ok(here) if path.is_relative() => {
            format!(
                "`{}` (in the working directory `{}`)",
                path.display(),
                here.display()
            )
        }
        _ => format!("`{}`", path.display()),
    };
    let message = match error.kind() {
        io::ErrorKind::NotFound if path.is_relative() => format!(
            "there is no file {shown}; correct the path: a relative one counts from the \
             working directory"
        ),
        io::ErrorKind::NotFound => format!("there is no file {shown}; correct the path"),
        io::ErrorKind::PermissionDenied => {
            format!("no permission to read {shown}; let this program's user read it")
        }
        io::ErrorKind::IsADirectory => format!("{shown} is a directory; name a file in it"),
        io::ErrorKind::InvalidInput => {
            format!("{shown} is a pipe, a socket or a device; name a regular file")
        }
        io::ErrorKind::FileTooLarge => {
            format!("{shown} is longer than 64 MiB; is it the right file?")
        }
        _ => format!("cannot read {shown}: {error}; make it a readable file"),
    };
    Problem::error(place.clone(), message)
}
