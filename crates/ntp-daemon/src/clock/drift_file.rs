//! `drift-file`: the frequency that the clock needs, kept over a restart of the machine, so that
//! the next start does not have to find it anew.
//!
//! One line of text: by how many parts per million the clock has to run faster than by itself.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::private_file;

/// Greatest frequency that is believed, ppm: what the kernel can set.
const GREATEST: f64 = 500.0;

/// Changes below this, s/s, are not worth a write.
const WORTH_WRITING: f64 = 0.01e-6;

/// The file, and what stands in it.
#[derive(Debug)]
pub(crate) struct DriftFile {
    path: PathBuf,
    /// s/s
    written: Option<f64>,
}

/// Why the file does not help.
#[derive(Debug)]
pub(crate) enum DriftFileError {
    Io(io::Error),
    NotAFrequency,
}

impl fmt::Display for DriftFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NotAFrequency => {
                write!(
                    f,
                    "it does not hold a frequency from -{GREATEST} to {GREATEST} ppm"
                )
            }
        }
    }
}

impl DriftFile {
    /// The file at `path`, and the frequency in it, s/s; a file that is not there has none. One
    /// that cannot be used is a warning, and is written anew in time.
    pub(crate) fn open(path: &Path) -> (Self, Option<f64>) {
        let written = match read(path) {
            Ok(frequency) => frequency,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cannot use the drift file");
                None
            }
        };
        let file = Self {
            path: path.to_owned(),
            written,
        };
        (file, written)
    }

    /// Writes `frequency`, s/s, unless the file says the same.
    pub(crate) fn store(&mut self, frequency: f64) {
        let known = |written: f64| (written - frequency).abs() < WORTH_WRITING;
        if !frequency.is_finite() || self.written.is_some_and(known) {
            return;
        }
        match private_file::replace(&self.path, format!("{:.6}\n", frequency * 1e6).as_bytes()) {
            Ok(()) => self.written = Some(frequency),
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "cannot write the drift file");
            }
        }
    }
}

fn read(path: &Path) -> Result<Option<f64>, DriftFileError> {
    let text = match private_file::read_text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DriftFileError::Io(error)),
    };
    // chrony and ntpd write the same number first.
    let first = text.split_whitespace().next();
    let frequency = first.and_then(|word| word.parse::<f64>().ok());
    match frequency {
        Some(ppm) if ppm.abs() <= GREATEST => Ok(Some(ppm / 1e6)),
        _ => Err(DriftFileError::NotAFrequency),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drift");
        (folder, path)
    }

    #[test]
    fn what_was_stored_is_there_at_the_next_start() {
        let (_folder, path) = folder();
        let (mut file, frequency) = DriftFile::open(&path);
        assert_eq!(frequency, None);
        file.store(-12.345_678e-6);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "-12.345678\n");
        let (_, frequency) = DriftFile::open(&path);
        assert!((frequency.unwrap() + 12.345_678e-6).abs() < 1e-15);
    }

    #[test]
    fn only_a_change_is_written() {
        let (_folder, path) = folder();
        let (mut file, _) = DriftFile::open(&path);
        file.store(10e-6);
        std::fs::remove_file(&path).unwrap();
        file.store(10.005e-6);
        file.store(f64::NAN);
        assert!(!path.exists());
        file.store(10.02e-6);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "10.020000\n");
    }

    #[test]
    fn a_pipe_holds_up_nobody_and_makes_way_for_the_file() {
        let (_folder, path) = folder();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (mut file, frequency) = DriftFile::open(&path);
        assert_eq!(frequency, None);
        file.store(1e-6);
        assert_eq!(DriftFile::open(&path).1, Some(1e-6));
    }

    #[test]
    fn what_is_no_frequency_is_not_used() {
        let (_folder, path) = folder();
        for text in ["", "fast", "nan", "inf", "500.1", "-501 0.1"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(DriftFile::open(&path).1, None, "{text}");
        }
        std::fs::write(&path, "  -3.5  0.02\n").unwrap();
        assert_eq!(DriftFile::open(&path).1, Some(-3.5e-6));
    }
}
