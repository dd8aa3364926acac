//! One look at files.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::config::MAX_FILE_SIZE;
use crate::regular_file;

/// What was seen of each file.
pub(super) type Looks = BTreeMap<PathBuf, Look>;

/// What was seen of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// A file with this hash of content, owner and mode, which all matter to who loads it.
    Content(u64),
    /// There is none, or none that can be read.
    Nothing(io::ErrorKind),
    /// Nothing could be seen for want of resources: this says nothing about the file.
    Unknown,
}

const CHUNK: usize = 64 << 10;

/// Who looks: the key of the hash.
#[derive(Clone, Debug)]
pub(super) struct Eye(RandomState);

impl Eye {
    pub(super) fn new() -> Self {
        Self(RandomState::new())
    }

    /// Looks at each of the files, where waiting for a disk holds up nobody.
    pub(super) async fn look_at(&self, files: Vec<PathBuf>) -> Looks {
        let eye = self.clone();
        let unknown: Looks = files.iter().map(|it| (it.clone(), Look::Unknown)).collect();
        let look = move || {
            let look = |file: PathBuf| {
                let look = eye.look(&file);
                (file, look)
            };
            files.into_iter().map(look).collect()
        };
        // An error means that the program ends.
        tokio::task::spawn_blocking(look).await.unwrap_or(unknown)
    }

    fn look(&self, file: &Path) -> Look {
        match self.hash(file) {
            Ok(hash) => Look::Content(hash),
            Err(error) => match error.kind() {
                kind @ (io::ErrorKind::NotFound
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::InvalidInput) => Look::Nothing(kind),
                _ => Look::Unknown,
            },
        }
    }

    fn hash(&self, file: &Path) -> io::Result<u64> {
        let (file, metadata) = regular_file::open(file)?;
        let mut hasher = self.0.build_hasher();
        hasher.write_u32(metadata.mode());
        hasher.write_u32(metadata.uid());
        // Longer files are not loaded anyway.
        hasher.write_u8(u8::from(metadata.len() > MAX_FILE_SIZE));
        let mut file = file.take(MAX_FILE_SIZE);
        let mut chunk = Zeroizing::new(vec![0; CHUNK]);
        loop {
            match file.read(&mut chunk) {
                Ok(0) => return Ok(hasher.finish()),
                Ok(count) => hasher.write(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
