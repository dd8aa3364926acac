//! From a file to its root [`Section`], and from the problems to a result.

use std::path::{Path, PathBuf};

use toml::de::DeTable;
use zeroize::Zeroizing;

use super::files;
use super::problem::{Place, Problem, Problems};
use super::section::Section;

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The configuration.
    pub value: T,
    /// What a person should look at nevertheless: warnings only.
    pub warnings: Problems,
}

/// Reads the configuration file at `path` and lets `read` make a `T` of its root section.
///
/// The file must be readable, at most [`MAX_FILE_SIZE`](super::MAX_FILE_SIZE) long, UTF-8 and
/// TOML; that others can write to it is a warning. A relative path counts from the working
/// directory, as do all paths inside the file.
///
/// # Errors
/// All problems, ordered by line, if at least one of them is an error. `read` returning `None`
/// without having reported an error is a mistake of the caller, and reported as such.
pub fn load<T>(
    path: impl AsRef<Path>,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Result<Loaded<T>, Problems> {
    let path = path.as_ref();
    let problems = Problems::new();
    let value =
        files::read_config(path, &problems).and_then(|text| evaluate(path, &text, &problems, read));
    conclude(path, value, problems)
}

/// The same as [`load`] for a text that is already here; `name` stands for the file in problems.
///
/// # Errors
/// As [`load`].
pub fn parse<T>(
    name: impl AsRef<Path>,
    text: &str,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Result<Loaded<T>, Problems> {
    let problems = Problems::new();
    let value = evaluate(name.as_ref(), text, &problems, read);
    conclude(name.as_ref(), value, problems)
}

fn evaluate<T>(
    path: &Path,
    text: &str,
    problems: &Problems,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Option<T> {
    let file = SourceFile::new(path, text);
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let section = Section::root(&file, problems, root.get_ref());
        let value = read(&section);
        section.finish();
        return value;
    }
    for error in errors {
        let line = file.line(error.span().map_or(0, |span| span.start));
        problems.push(Problem::error(
            Place::file(path).at_line(line),
            format!("not TOML: {}; correct this line", one_line(error.message())),
        ));
    }
    None
}

fn conclude<T>(path: &Path, value: Option<T>, problems: Problems) -> Result<Loaded<T>, Problems> {
    problems.sort();
    match value {
        Some(value) if !problems.has_errors() => Ok(Loaded {
            value,
            warnings: problems,
        }),
        _ => {
            if !problems.has_errors() {
                problems.push(Problem::error(
                    Place::file(path),
                    "refused without a reason; this is a defect of the program, please report it",
                ));
            }
            Err(problems)
        }
    }
}

/// A message of the TOML parser on one line, as problems are printed one per line.
pub(super) fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text of a file and where its lines begin.
pub(super) struct SourceFile<'t> {
    path: PathBuf,
    text: &'t str,
    line_starts: Vec<usize>,
}

impl<'t> SourceFile<'t> {
    fn new(path: &Path, text: &'t str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0)
            .chain(breaks.map(|(at, _)| at + 1))
            .collect();
        Self {
            path: path.to_owned(),
            text,
            line_starts,
        }
    }

    /// The line, counted from 1, that holds the octet at `offset`.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.line_starts
            .partition_point(|start| *start <= offset)
            .max(1)
    }

    /// The place of the octet at `offset`.
    pub(super) fn place(&self, offset: usize) -> Place {
        Place::file(&self.path).at_line(self.line(offset))
    }

    /// The text as written at `span`.
    pub(super) fn text(&self, span: std::ops::Range<usize>) -> &'t str {
        self.text.get(span).unwrap_or_default()
    }
}

/// The text of a configuration file: overwritten when dropped, as it may hold tokens.
pub(super) type ConfigText = Zeroizing<String>;
