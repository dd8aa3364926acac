//! Paths of files that the daemon writes itself: their folder must be there already.

use std::path::{Path, PathBuf};

use nts_service::config::Section;

use crate::private_file;

/// The file at `key`.
pub(super) fn file(section: &Section<'_>, key: &'static str) -> Option<PathBuf> {
    let path = section.path(key)?.into_inner();
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if folder.is_dir() {
        return Some(path);
    }
    let message = format!("there is no folder `{}`; make it first", folder.display());
    section.error(key, message);
    None
}

/// The file of secrets at `key`; an error if others may know what is in it.
pub(super) fn secret_file(section: &Section<'_>, key: &'static str) -> Option<PathBuf> {
    let path = file(section, key)?;
    match private_file::check_permissions(&path) {
        Ok(()) => Some(path),
        Err(message) => {
            section.error(key, message);
            None
        }
    }
}
