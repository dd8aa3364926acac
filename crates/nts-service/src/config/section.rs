//! A cursor over one table of a configuration.
//!
//! A [`Section`] remembers which keys were asked for; what remains when it is dropped is
//! reported as unknown. Therefore a caller asks for all keys it knows before it gives up.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Deref, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{SourceFile, one_line};
use super::problem::{Place, Problem, Problems};
use super::secret::Secret;
use super::suggest;

/// A value and the place it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    value: T,
    place: Place,
}

impl<T> Located<T> {
    /// Puts a value and its place together.
    pub fn new(value: T, place: Place) -> Self {
        Self { value, place }
    }

    /// Where the value stands.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The value alone.
    pub fn into_inner(self) -> T {
        self.value
    }

    /// The same place with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Located<U> {
        Located {
            value: f(self.value),
            place: self.place,
        }
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// One table of a configuration file.
///
/// All methods that take a key mark it as known. They report what is wrong and give `None`, the
/// default, or what is left of a list.
pub struct Section<'d> {
    file: &'d SourceFile<'d>,
    problems: &'d Problems,
    table: &'d DeTable<'d>,
    /// Where the table begins, for what is missing in it.
    place: Place,
    path: String,
    known: RefCell<BTreeSet<&'static str>>,
    secret: RefCell<BTreeSet<&'static str>>,
}

impl<'d> Section<'d> {
    pub(super) fn root(
        file: &'d SourceFile<'d>,
        problems: &'d Problems,
        table: &'d DeTable<'d>,
    ) -> Self {
        Self::new(file, problems, table, file.place(0), String::new())
    }

    fn new(
        file: &'d SourceFile<'d>,
        problems: &'d Problems,
        table: &'d DeTable<'d>,
        place: Place,
        path: String,
    ) -> Self {
        let (known, secret) = Default::default();
        Self {
            file,
            problems,
            table,
            place,
            path,
            known,
            secret,
        }
    }

    /// Ends the section: every key that nobody asked for is reported. Dropping does the same.
    pub fn finish(self) {}

    /// Where all problems go, for what is checked beside the section.
    pub fn problems(&self) -> &'d Problems {
        self.problems
    }

    /// The place of `key`, or of the section where the key is missing.
    pub fn place(&self, key: &str) -> Place {
        let place = match self.table.iter().find(|(name, _)| name.get_ref() == key) {
            Some((name, _)) => self.file.place(name.span().start),
            None => self.place.clone(),
        };
        place.at_key(self.full(key))
    }

    /// The place of the section itself.
    pub fn here(&self) -> Place {
        match self.path.as_str() {
            "" => self.place.clone(),
            path => self.place.clone().at_key(path),
        }
    }

    /// Whether the key is there.
    pub fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    /// Whether the key is there and a table, for keys that may be a table or something else.
    pub fn is_table(&self, key: &'static str) -> bool {
        self.get(key)
            .is_some_and(|value| value.get_ref().is_table())
    }

    /// A value that may be left out.
    pub fn optional<T: DeserializeOwned>(&self, key: &'static str) -> Option<T> {
        self.located(key).map(Located::into_inner)
    }

    /// A value that must be there.
    pub fn required<T: DeserializeOwned>(&self, key: &'static str) -> Option<T> {
        self.require(key);
        self.optional(key)
    }

    /// A value with a default. A wrong value is reported, and gives the default too.
    pub fn or<T: DeserializeOwned>(&self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// A value that may be left out, with its place.
    pub fn located<T: DeserializeOwned>(&self, key: &'static str) -> Option<Located<T>> {
        let value = self.get(key)?;
        self.leaf(value, &self.place(key))
    }

    /// A value that `check` must accept; its error says what is wrong and the cure.
    pub fn checked<T: DeserializeOwned, U>(
        &self,
        key: &'static str,
        check: impl FnOnce(T) -> Result<U, String>,
    ) -> Option<U> {
        check(self.optional(key)?)
            .map_err(|message| self.error(key, message))
            .ok()
    }

    /// A number within `range`, counted in `unit` (empty for plain numbers).
    pub fn number<T>(
        &self,
        key: &'static str,
        default: T,
        range: RangeInclusive<T>,
        unit: &str,
    ) -> T
    where
        T: DeserializeOwned + PartialOrd + fmt::Display,
    {
        let check = |number: T| match range.contains(&number) {
            true => Ok(number),
            false => Err(outside(range.start(), range.end(), unit)),
        };
        self.checked(key, check).unwrap_or(default)
    }

    /// A whole number of milliseconds within `range`.
    pub fn milliseconds(
        &self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let check = |number: i64| {
            let duration = u64::try_from(number).map(Duration::from_millis).ok();
            duration
                .filter(|duration| range.contains(duration))
                .ok_or_else(|| {
                    outside(
                        &range.start().as_millis(),
                        &range.end().as_millis(),
                        "milliseconds",
                    )
                })
        };
        self.checked(key, check).unwrap_or(default)
    }

    /// A path that may be left out. Relative paths count from the working directory.
    pub fn path(&self, key: &'static str) -> Option<Located<PathBuf>> {
        let path = self.located::<PathBuf>(key)?;
        if path.as_os_str().is_empty() {
            self.error(key, "an empty path; write the path of a file");
            return None;
        }
        Some(path)
    }

    /// A path that must be there.
    pub fn required_path(&self, key: &'static str) -> Option<Located<PathBuf>> {
        self.require(key);
        self.path(key)
    }

    /// A list, each entry with its own place. Wrong entries are reported and left out; `None` if
    /// the key is missing or no list.
    pub fn list<T: DeserializeOwned>(&self, key: &'static str) -> Option<Vec<Located<T>>> {
        let entries = self.entries(key)?;
        Some(
            entries
                .into_iter()
                .filter_map(|(value, place)| self.leaf(value, &place))
                .collect(),
        )
    }

    /// One value or a list of values; otherwise as [`Section::list`].
    pub fn one_or_many<T: DeserializeOwned>(&self, key: &'static str) -> Option<Vec<Located<T>>> {
        match self.get(key)?.get_ref().is_array() {
            true => self.list(key),
            false => self.located(key).map(|value| vec![value]),
        }
    }

    /// A secret text that may be left out. Its value appears in no problem.
    pub fn secret(&self, key: &'static str) -> Option<Located<Secret>> {
        self.secret.borrow_mut().insert(key);
        self.secret_leaf(self.get(key)?, self.place(key))
    }

    /// A list of secret texts, as [`Section::list`]. No value appears in a problem.
    pub fn secrets(&self, key: &'static str) -> Option<Vec<Located<Secret>>> {
        self.secret.borrow_mut().insert(key);
        let entries = self.entries(key)?;
        Some(
            entries
                .into_iter()
                .filter_map(|(value, place)| self.secret_leaf(value, place))
                .collect(),
        )
    }

    /// A table that may be left out.
    pub fn section(&self, key: &'static str) -> Option<Section<'d>> {
        let value = self.get(key)?;
        self.table(value, self.place(key))
    }

    /// A table that must be there.
    pub fn required_section(&self, key: &'static str) -> Option<Section<'d>> {
        self.require(key);
        self.section(key)
    }

    /// A list of tables, written inline or as `[[key]]`; empty if the key is missing.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'d>> {
        let entries = self.entries(key).unwrap_or_default();
        entries
            .into_iter()
            .filter_map(|(value, place)| self.table(value, place))
            .collect()
    }

    /// Reports an error at `key`, with its value unless that is a secret.
    pub fn error(&self, key: &'static str, message: impl Into<String>) {
        self.report(key, Problem::error(self.place(key), message));
    }

    /// Reports a warning at `key`, with its value unless that is a secret.
    pub fn warning(&self, key: &'static str, message: impl Into<String>) {
        self.report(key, Problem::warning(self.place(key), message));
    }

    /// Reports an error if the key is there: it exists, but not here. Its value is not shown.
    pub fn refuse(&self, key: &'static str, message: impl Into<String>) {
        if self.has(key) {
            self.problems.error(&self.place(key), message);
        }
    }

    /// Reports an error if the key is there: it needs the build feature `feature`.
    pub fn needs_feature(&self, key: &'static str, feature: &str) {
        if self.has(key) {
            self.problems
                .push(Problem::needs_feature(self.place(key), feature));
        }
    }

    /// Reports an error at `key`, whose present *value* needs the build feature `feature`.
    pub fn value_needs_feature(&self, key: &'static str, feature: &str) {
        self.report(key, Problem::needs_feature(self.place(key), feature));
    }

    fn report(&self, key: &'static str, problem: Problem) {
        let value = self
            .get(key)
            .filter(|_| !self.secret.borrow().contains(key));
        self.problems.push(match value {
            Some(value) => problem.with_value(self.shown(value)),
            None => problem,
        });
    }

    fn require(&self, key: &'static str) {
        if !self.has(key) {
            self.problems.error(
                &self.place(key),
                format!("missing; add `{key} = …` to this section"),
            );
        }
    }

    fn get(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.known.borrow_mut().insert(key);
        self.table
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(_, value)| value)
    }

    /// The entries of a list, each with its place.
    fn entries(&self, key: &'static str) -> Option<Vec<(&'d Spanned<DeValue<'d>>, Place)>> {
        let value = self.get(key)?;
        let Some(array) = value.get_ref().as_array() else {
            self.error(
                key,
                format!("{} where a list belongs; write `[ … ]`", kind(value)),
            );
            return None;
        };
        let place = |index: usize, entry: &Spanned<DeValue<'_>>| {
            self.file
                .place(entry.span().start)
                .at_key(format!("{}[{}]", self.full(key), index + 1))
        };
        Some(
            array
                .iter()
                .enumerate()
                .map(|(index, entry)| (entry, place(index, entry)))
                .collect(),
        )
    }

    fn table(&self, value: &'d Spanned<DeValue<'d>>, place: Place) -> Option<Section<'d>> {
        let Some(table) = value.get_ref().as_table() else {
            let message = format!(
                "{} where a table belongs; write `{{ key = value }}`",
                kind(value)
            );
            self.problems.push(Problem::error(place, message));
            return None;
        };
        let path = place.key().unwrap_or_default().to_owned();
        Some(Section::new(self.file, self.problems, table, place, path))
    }

    fn leaf<T: DeserializeOwned>(
        &self,
        value: &Spanned<DeValue<'d>>,
        place: &Place,
    ) -> Option<Located<T>> {
        match T::deserialize(value.clone().into_deserializer()) {
            Ok(leaf) => Some(Located::new(leaf, place.clone())),
            Err(error) => {
                let problem = Problem::error(place.clone(), one_line(error.message()));
                self.problems.push(problem.with_value(self.shown(value)));
                None
            }
        }
    }

    fn secret_leaf(&self, value: &Spanned<DeValue<'d>>, place: Place) -> Option<Located<Secret>> {
        let Some(text) = value.get_ref().as_str() else {
            let message = format!("{} where a text belongs; write it in quotes", kind(value));
            self.problems.push(Problem::error(place, message));
            return None;
        };
        Some(Located::new(Secret::new(text.to_owned()), place))
    }

    /// A value as it stands in the file, on one line and not too long.
    fn shown(&self, value: &Spanned<DeValue<'_>>) -> String {
        const LONGEST: usize = 60;
        if value.get_ref().is_table() || value.get_ref().is_array() {
            return "…".to_owned();
        }
        let text = one_line(self.file.text(value.span()));
        match text.char_indices().nth(LONGEST) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text,
        }
    }

    fn full(&self, key: &str) -> String {
        match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        }
    }

    fn report_unknown_keys(&self) {
        let known = self.known.borrow();
        for (name, _) in self.table {
            if known.contains(name.get_ref().as_ref()) {
                continue;
            }
            let absent = known
                .iter()
                .copied()
                .filter(|key| !self.table.iter().any(|(name, _)| name.get_ref() == key));
            let cure = match suggest::nearest(name.get_ref(), absent) {
                Some(key) => format!("did you mean `{key}`?"),
                None => "take it out, or see the manual for the keys of this section".to_owned(),
            };
            let place = self
                .file
                .place(name.span().start)
                .at_key(self.full(name.get_ref()));
            self.problems
                .push(Problem::error(place, format!("unknown key; {cure}")));
        }
    }
}

impl Drop for Section<'_> {
    fn drop(&mut self) {
        self.report_unknown_keys();
    }
}

fn outside(least: &dyn fmt::Display, greatest: &dyn fmt::Display, unit: &str) -> String {
    let unit = if unit.is_empty() {
        String::new()
    } else {
        format!(" {unit}")
    };
    format!("out of range; write a number from {least} to {greatest}{unit}")
}

fn kind(value: &Spanned<DeValue<'_>>) -> &'static str {
    match value.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
