//! What is wrong with a configuration, where, and how it is mended.
//!
//! [`Problems`] is filled through a shared reference, because sections, files and certificates
//! all report into the same list. Nothing here decides whether a program starts; it only tells
//! errors from warnings.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The configuration works, but a person should look at it.
    Warning,
    /// The configuration cannot be used.
    Error,
}

/// Where a problem lies: a file, and where known the line and the key in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    file: PathBuf,
    line: Option<usize>,
    key: Option<String>,
}

impl Place {
    /// A whole file.
    pub fn file(file: impl Into<PathBuf>) -> Self {
        Self {
            file: file.into(),
            line: None,
            key: None,
        }
    }

    /// The same file, at `line` (counted from 1).
    #[must_use]
    pub fn at_line(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    /// The same place, at the key `key` (its full dotted path).
    #[must_use]
    pub fn at_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The configuration file.
    pub fn path(&self) -> &Path {
        &self.file
    }

    /// The line, counted from 1.
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The full dotted path of the key; entries of lists are counted from 1: `source[2].address`.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(key) = &self.key {
            write!(f, ": {key}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong, in words for the person who wrote the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    severity: Severity,
    place: Place,
    value: Option<String>,
    message: String,
}

impl Problem {
    /// An error at `place`. `message` says what is wrong and, after a semicolon, the cure.
    pub fn error(place: Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place,
            value: None,
            message: message.into(),
        }
    }

    /// A warning at `place`; `message` as for [`Problem::error`].
    pub fn warning(place: Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(place, message)
        }
    }

    /// The error for something that only exists in builds with the feature `feature`.
    pub fn needs_feature(place: Place, feature: &str) -> Self {
        Self::error(
            place,
            format!(
                "this program was built without the feature `{feature}`; \
                 build it with `cargo build --release --features {feature}` or take this out"
            ),
        )
    }

    /// Adds the offending value, as it stands in the file. Never a secret.
    #[must_use]
    pub fn with_value(mut self, value: impl Into<String>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Error or warning.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// What is wrong, with the cure.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// `error: FILE:LINE: KEY = VALUE: MESSAGE; CURE`, without what is not known.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}: {}", self.place)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// All problems of one configuration, in the order of their lines once loading is done.
#[derive(Debug, Default)]
pub struct Problems {
    list: RefCell<Vec<Problem>>,
}

impl Problems {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a problem.
    pub fn push(&self, problem: Problem) {
        self.list.borrow_mut().push(problem);
    }

    /// Adds an error; see [`Problem::error`].
    pub fn error(&self, place: &Place, message: impl Into<String>) {
        self.push(Problem::error(place.clone(), message));
    }

    /// Adds a warning; see [`Problem::warning`].
    pub fn warning(&self, place: &Place, message: impl Into<String>) {
        self.push(Problem::warning(place.clone(), message));
    }

    /// Whether the configuration cannot be used.
    pub fn has_errors(&self) -> bool {
        self.list
            .borrow()
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// Whether nothing at all was found.
    pub fn is_empty(&self) -> bool {
        self.list.borrow().is_empty()
    }

    /// The problems themselves.
    pub fn into_vec(self) -> Vec<Problem> {
        self.list.into_inner()
    }

    /// Orders the list by file and line. Problems of the same line keep their order.
    pub(super) fn sort(&self) {
        self.list
            .borrow_mut()
            .sort_by(|a, b| (&a.place.file, a.place.line).cmp(&(&b.place.file, b.place.line)));
    }
}

/// One problem per line, without a final line break.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.borrow().iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
