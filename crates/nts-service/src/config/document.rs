//! From a file to its root [`Section`], and from the problems to a result.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::located::Located;
use super::problem::{Place, Problem, Problems};
use super::section::Section;
use super::source::SourceFile;
use super::{files, json, words};

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
/// TOML; that others can write to it is a warning, and so is that others can read it if it
/// holds secrets. A relative path counts from the working
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
    let value = files::read_config(path, &Place::file(path), &problems).and_then(|config| {
        let file = SourceFile::new(path, &config.text, config.others_can_read);
        evaluate(&file, &problems, read)
    });
    conclude(path, value, problems)
}

/// Reads a further file that a configuration names, TOML or JSON by the end of its name, and lets
/// `read` make a `T` of its root section. For its text the same holds as in [`load`].
///
/// A JSON file may consist of a mere list: that list then is the value of the key `list`. A value
/// `null` is the same as no value.
///
/// Gives `None` after a problem was reported, or if `read` does.
pub fn load_part<T>(
    path: &Located<PathBuf>,
    list: &'static str,
    problems: &Problems,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Option<T> {
    let is_json = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => false,
        Some("json") => true,
        _ => {
            let message = "its name does not tell what is in it; let it end in `.toml` or `.json`";
            problems.error(path.place(), message);
            return None;
        }
    };
    let config = files::read_config(path, path.place(), problems)?;
    let file = SourceFile::new(path, &config.text, config.others_can_read);
    match is_json {
        false => evaluate(&file, problems, read),
        true => evaluate_json(&file, list, problems, read),
    }
}

/// Reads a JSON text that is already here, as [`load_part`] does a file; `name` stands for the file
/// in problems.
///
/// Gives `None` after a problem was reported, or if `read` does.
pub fn read_json<T>(
    name: &Path,
    text: &str,
    list: &'static str,
    problems: &Problems,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Option<T> {
    evaluate_json(&SourceFile::new(name, text, false), list, problems, read)
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
    let file = SourceFile::new(name.as_ref(), text, false);
    let value = evaluate(&file, &problems, read);
    conclude(name.as_ref(), value, problems)
}

fn evaluate<T>(
    file: &SourceFile<'_>,
    problems: &Problems,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Option<T> {
    let (root, errors) = DeTable::parse_recoverable(file.whole());
    if errors.is_empty() {
        let section = Section::root(file, problems, root.get_ref());
        let value = read(&section);
        section.finish();
        return value;
    }
    for error in errors {
        problems.push(Problem::error(
            file.place(error.span().map_or(0, |span| span.start)),
            format!(
                "not TOML: {}; correct this line",
                words::one_line(error.message())
            ),
        ));
    }
    None
}

fn evaluate_json<T>(
    file: &SourceFile<'_>,
    list: &'static str,
    problems: &Problems,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Option<T> {
    let table = json::parse(file.whole(), list).map_err(|defect| {
        let message = format!("not JSON that can be used: {}", defect.message);
        problems.error(&file.place(defect.offset), message);
    });
    read(&Section::root(file, problems, &table.ok()?))
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
