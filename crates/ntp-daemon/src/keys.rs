//! The cookie keys in use, their rotation and their file.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Refuses a key file that others may read or write.
///
/// # Errors
/// What is wrong, with the cure.
pub(crate) fn check_permissions(path: &Path) -> Result<(), String> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.mode() & 0o077 != 0 => Err(format!(
            "others can read or write `{0}` (mode {1:03o}), so its keys are not secret; \
             run `rm '{0}'`, new keys are then made",
            path.display(),
            metadata.mode() & 0o777
        )),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(format!("cannot look at `{}`: {error}", path.display())),
    }
}
