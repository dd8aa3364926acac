//! Whole files, and what is said about wrong ones, word for word.

mod files;
mod ke_server;
mod problems;

use super::*;

/// A configuration without errors.
fn good(text: &str) -> Loaded {
    parse("ntp.toml", text).unwrap_or_else(|problems| panic!("{problems}"))
}

/// All problems of a wrong configuration.
fn problems(text: &str) -> Vec<String> {
    lines(parse("ntp.toml", text).expect_err("accepted"))
}

/// What is likely a mistake in a configuration that can be used.
fn warnings(text: &str) -> Vec<String> {
    lines(good(text).warnings)
}

fn lines(problems: Problems) -> Vec<String> {
    problems
        .into_vec()
        .iter()
        .map(ToString::to_string)
        .collect()
}
