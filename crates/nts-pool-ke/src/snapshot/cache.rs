//! The copy on the disk of the list that is in use: what a pool begins with.
//!
//! It is what the registry published, signature and all, and is believed no more than that.

use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nts_service::config::{Located, Problems, read_file};
use nts_service::regular_file;
use tempfile::NamedTempFile;

use super::document::{Document, Trust};

/// What is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskCopy {
    /// A list that can be used.
    Good,
    /// Nothing yet.
    Missing,
    /// Something that cannot be used, as was reported.
    Refused,
}

/// Reads the copy. What is wrong with it is a warning: the registry will give another.
pub(crate) fn load(
    file: &Located<PathBuf>,
    trust: &Trust,
    problems: &Problems,
) -> Result<Document, DiskCopy> {
    const MEANWHILE: &str = "users get Error 2 unless the registry gives another";
    let shown = file.display();
    if let Err(error) = tempfile::tempfile_in(folder(file)) {
        let message = format!(
            "no list can be kept in the folder `{}`: {error}; make it, and let the user write there \
             whom the pool runs as, else a restart begins without sources while the registry is gone",
            folder(file).display()
        );
        problems.warning(file.place(), message);
    }
    if file
        .metadata()
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    {
        let message = format!(
            "there is no list of sources in `{shown}` yet; users get Error 2 until the registry \
             gives one"
        );
        problems.warning(file.place(), message);
        return Err(DiskCopy::Missing);
    }
    let unread = Problems::new();
    let Some(octets) = read_file(file, &unread) else {
        for problem in unread.into_vec() {
            problems.warning(problem.place(), problem.message());
        }
        return Err(DiskCopy::Refused);
    };
    Document::open(octets, trust).map_err(|rejection| {
        let message =
            format!("the list of sources in `{shown}` is not taken: {rejection}; {MEANWHILE}");
        problems.warning(file.place(), message);
        DiskCopy::Refused
    })
}

/// The mode of a file for its owner only.
pub(super) const PRIVATE: u32 = 0o600;
/// The mode of a file for everybody to read.
pub(super) const PUBLIC: u32 = 0o644;

/// Puts `document` into the place of the copy. Waits for the disk.
///
/// # Errors
/// As [`replace`].
fn store(file: &Path, document: &Document) -> io::Result<()> {
    replace(file, document.octets(), PRIVATE)
}

/// The same, unless that is the copy already. A pipe or a device is left alone.
///
/// # Errors
/// As [`replace`], and if it is no file that stands there.
pub(crate) fn keep(file: &Path, document: &Document) -> io::Result<()> {
    match holds(file, document.octets()) {
        Ok(true) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Err(error),
        _ => store(file, document),
    }
}

/// Whether the file holds these octets.
fn holds(file: &Path, octets: &[u8]) -> io::Result<bool> {
    let there = read(file, octets.len())?;
    Ok(there.is_some_and(|there| there == octets))
}

/// What is in a file, unless that is more than `most` octets. Waits for nobody who should write.
///
/// # Errors
/// If it cannot be read, or is no file.
pub(super) fn read(file: &Path, most: usize) -> io::Result<Option<Vec<u8>>> {
    let (file, _) = regular_file::open(file)?;
    let mut octets = Vec::new();
    // It may be of any length, and grow.
    file.take(most as u64 + 1).read_to_end(&mut octets)?;
    Ok((octets.len() <= most).then_some(octets))
}

/// Puts `octets` into the place of a file, in one moment, and makes sure that they have reached the
/// disk.
///
/// # Errors
/// If it cannot be written; the file is then as it was.
pub(super) fn replace(file: &Path, octets: &[u8], mode: u32) -> io::Result<()> {
    write(file, octets, mode)?.persist(file)?;
    sync_folder(file);
    Ok(())
}

/// The same for a file that must not be there yet.
///
/// # Errors
/// If it is there, or cannot be written.
pub(super) fn create(file: &Path, octets: &[u8], mode: u32) -> io::Result<()> {
    write(file, octets, mode)?.persist_noclobber(file)?;
    sync_folder(file);
    Ok(())
}

/// A file beside `file`.
fn write(file: &Path, octets: &[u8], mode: u32) -> io::Result<NamedTempFile> {
    let mut new = tempfile::Builder::new()
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder(file))?;
    new.write_all(octets)?;
    new.as_file().sync_all()?;
    Ok(new)
}

/// A change of names must reach the disk too; some file systems cannot do that for a folder.
fn sync_folder(file: &Path) {
    let _ = File::open(folder(file)).and_then(|folder| folder.sync_all());
}

/// Where the file is, or is to be.
pub(super) fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::time::UNIX_EPOCH;

    use nts_service::config::Place;
    use serde_json::Map;

    use super::super::{Header, SigningKey, sign};
    use super::*;

    fn list(serial: u64, key: &SigningKey) -> Document {
        let header = Header {
            pool: "pool.test".to_owned(),
            serial,
            issued: UNIX_EPOCH,
        };
        sign(&header, Map::new(), key).unwrap()
    }

    #[test]
    fn the_copy_is_what_was_stored_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        let file = Located::new(path.clone(), Place::file("pool.toml").at_key("cache-path"));
        let key = SigningKey::generate().unwrap();
        let trust = Trust {
            keys: vec![key.public()],
            pool: None,
        };
        let load = || {
            let problems = Problems::new();
            let loaded = load(&file, &trust, &problems);
            assert!(!problems.has_errors());
            (loaded, problems.to_string())
        };
        let (missing, problem) = load();
        assert_eq!(missing, Err(DiskCopy::Missing));
        assert!(
            problem.contains("there is no list of sources in"),
            "{problem}"
        );
        for serial in [1, 2] {
            keep(&path, &list(serial, &key)).unwrap();
            assert_eq!(load(), (Ok(list(serial, &key)), String::new()));
        }
        let written = || fs::metadata(&path).unwrap().ino();
        let before = written();
        keep(&path, &list(2, &key)).unwrap();
        assert_eq!(written(), before);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        let mut octets = fs::read(&path).unwrap();
        *octets.last_mut().unwrap() = b' ';
        fs::write(&path, octets).unwrap();
        let (refused, problem) = load();
        assert_eq!(refused, Err(DiskCopy::Refused));
        assert!(problem.contains("its signature is not one of"), "{problem}");
        fs::remove_file(&path).unwrap();
        let nowhere = Located::new(folder.path().join("no/list"), file.place().clone());
        let problems = Problems::new();
        super::load(&nowhere, &trust, &problems).unwrap_err();
        let problem = problems.to_string();
        let expected = format!(
            "no list can be kept in the folder `{}/no`: ",
            folder.path().display()
        );
        assert!(problem.contains(&expected), "{problem}");
        fs::create_dir(&path).unwrap();
        let (refused, problem) = load();
        assert_eq!(refused, Err(DiskCopy::Refused));
        assert!(problem.contains("is a directory"), "{problem}");
        assert!(keep(&path, &list(3, &key)).is_err());
        assert!(keep(&folder.path().join("no/list"), &list(3, &key)).is_err());
        assert!(keep(Path::new("/dev/null"), &list(3, &key)).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
