//! Files that are nobody else's business: mode 0600, always whole (temporary file, fsync, rename).
//!
//! What never happens here: a look at what is in them, and waiting for a pipe or a device that
//! stands where a file should.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use nts_service::regular_file;
use zeroize::Zeroizing;

/// Greatest length of a file that is read; a thousand keys need far less.
const MAX_LENGTH: u64 = 1 << 20;

/// Any right of the group or of others.
const NOT_OWNER: u32 = 0o077;

/// Refuses a file of secrets that others may read or write, or have made; none at all is fine.
///
/// # Errors
/// What is wrong, with the cure.
pub(crate) fn check_permissions(path: &Path) -> Result<(), String> {
    match fs::metadata(path) {
        Ok(metadata) => check(path, metadata.mode(), metadata.uid()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("cannot look at `{}`: {error}", path.display())),
    }
}

fn check(path: &Path, mode: u32, owner: u32) -> Result<(), String> {
    let Some(fault) = fault(path, mode, owner) else {
        return Ok(());
    };
    let path = path.display();
    Err(format!(
        "{fault}, so its keys are no secret; run `rm '{path}'`, and new keys will be made"
    ))
}

/// Why what is in a file is no secret, if it is none.
fn fault(path: &Path, mode: u32, owner: u32) -> Option<String> {
    let path = path.display();
    if mode & NOT_OWNER != 0 {
        let mode = mode & 0o777;
        Some(format!(
            "others can read or write `{path}` (mode {mode:03o})"
        ))
    } else if owner != 0 && owner != geteuid().as_raw() {
        // In a folder like /tmp anybody could have put his own keys there.
        Some(format!("`{path}` belongs to another user ({owner})"))
    } else {
        None
    }
}

/// Why a file gives nothing.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// Others can read or write it, or have made it. The text has the cure.
    Mode(String),
    /// It cannot be read, or is not there.
    Io(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Reads a file of at most 1 MiB that only its owner may read or write, and that is ours or
/// root's.
///
/// # Errors
/// [`ReadError`]
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    read_checked(path, check)
}

/// As [`read`], of a file that a person made: `ReadError::Mode` says how to put it right.
///
/// # Errors
/// [`ReadError`]
pub(crate) fn read_made_by_hand(path: &Path) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    read_checked(path, |path, mode, owner| match fault(path, mode, owner) {
        Some(fault) => Err(format!(
            "{fault}, so it holds no secret; give it to its owner alone with `chmod 600` and \
             `chown`, and change what is in it if anybody may have read it"
        )),
        None => Ok(()),
    })
}

fn read_checked(
    path: &Path,
    check: impl FnOnce(&Path, u32, u32) -> Result<(), String>,
) -> Result<Zeroizing<Vec<u8>>, ReadError> {
    let (file, metadata) = regular_file::open(path)?;
    check(path, metadata.mode(), metadata.uid()).map_err(ReadError::Mode)?;
    Ok(read_all(file, &metadata)?)
}

/// Reads a file of at most 1 MiB that is no secret.
///
/// # Errors
/// If it cannot be read, is not there, or is no text.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let (file, metadata) = regular_file::open(path)?;
    let octets = read_all(file, &metadata)?;
    let text = str::from_utf8(&octets);
    text.map(str::to_owned)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn read_all(file: File, metadata: &Metadata) -> io::Result<Zeroizing<Vec<u8>>> {
    if metadata.len() > MAX_LENGTH {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    // One allocation of the right size, so that no copy of a key stays behind.
    let size = usize::try_from(metadata.len()).unwrap_or_default();
    let mut octets = Zeroizing::new(Vec::with_capacity(size + 1));
    file.take(MAX_LENGTH).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Replaces the file as a whole, or makes it; its folder must exist.
///
/// # Errors
/// If it cannot be written. The old file is then as it was.
pub(crate) fn replace(path: &Path, octets: &[u8]) -> io::Result<()> {
    let temporary = temporary_name(path);
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = write_new(&temporary, octets).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    sync_folder(path);
    Ok(())
}

/// Removes the file for good.
///
/// # Errors
/// If it cannot be removed, or is not there.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    sync_folder(path);
    Ok(())
}

/// A change of names must reach the disk too; some file systems cannot do that for a folder.
fn sync_folder(path: &Path) {
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
    }
}

fn write_new(path: &Path, octets: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(octets)?;
    file.sync_all()
}

fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".tmp");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever opened the pipe would wait for somebody who writes to it.
    #[test]
    fn a_pipe_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let refused = |error: &io::Error| error.kind() == io::ErrorKind::InvalidInput;
        for outcome in [read(&path), read_made_by_hand(&path)] {
            assert!(
                matches!(&outcome, Err(ReadError::Io(error)) if refused(error)),
                "{outcome:?}"
            );
        }
        assert!(refused(&read_text(&path).unwrap_err()));
        assert_eq!(
            read_text(Path::new("/dev/zero")).unwrap_err().to_string(),
            "a pipe, a socket or a device, not a file"
        );
        replace(&path, b"text").unwrap();
        assert_eq!(read_text(&path).unwrap(), "text");
    }

    #[test]
    fn keys_that_others_may_know_are_refused() {
        let path = Path::new("keys");
        let us = geteuid().as_raw();
        assert_eq!(check(path, 0o100_600, us), Ok(()));
        assert_eq!(check(path, 0o100_400, 0), Ok(()));
        let cure = "so its keys are no secret; run `rm 'keys'`, and new keys will be made";
        let refused = |fault: &str| Err(format!("{fault}, {cure}"));
        assert_eq!(
            check(path, 0o100_640, us),
            refused("others can read or write `keys` (mode 640)")
        );
        assert_eq!(
            check(path, 0o100_600, us + 1),
            refused(&format!("`keys` belongs to another user ({})", us + 1))
        );
    }
}
