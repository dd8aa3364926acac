mod files;
mod sections;
mod values;

use super::*;

/// The lines that a person sees when `read` reads `text`; panics if nothing was wrong.
fn problems<T: std::fmt::Debug>(
    text: &str,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Vec<String> {
    let problems = match parse("c.toml", text, read) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems,
    };
    problems.to_string().lines().map(str::to_owned).collect()
}

/// What `read` makes of `text`; panics with the problems if there are any.
fn good<T: std::fmt::Debug>(text: &str, read: impl FnOnce(&Section<'_>) -> Option<T>) -> T {
    let loaded = parse("c.toml", text, read).unwrap_or_else(|problems| panic!("{problems}"));
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    loaded.value
}
