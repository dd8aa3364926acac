//! A cursor over one table of a configuration: its tables, its problems, its unknown keys. How
//! single values are read stands in `leaves`.
//!
//! A [`Section`] remembers which keys were asked for; what remains when it is dropped is
//! reported as unknown. Therefore a caller asks for all keys it knows before it gives up.

use std::cell::RefCell;
use std::collections::BTreeSet;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem, Problems};
use super::source::SourceFile;
use super::{suggest, words};

/// One table of a configuration file.
///
/// All methods that take a key mark it as known. They report what is wrong and give `None`, the
/// default, or what is left of a list.
pub struct Section<'d> {
    pub(super) file: &'d SourceFile<'d>,
    problems: &'d Problems,
    table: &'d DeTable<'d>,
    /// Where the table begins, for what is missing in it.
    place: Place,
    path: String,
    known: RefCell<BTreeSet<&'static str>>,
    pub(super) secret: RefCell<BTreeSet<&'static str>>,
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

    /// Whether the key is there and a list without entries.
    pub fn is_empty_list(&self, key: &'static str) -> bool {
        self.get(key)
            .and_then(|value| value.get_ref().as_array())
            .is_some_and(|list| list.is_empty())
    }

    /// How many entries the list at `key` has; 0 if the key is missing or no list.
    pub fn list_length(&self, key: &'static str) -> usize {
        self.get(key)
            .and_then(|value| value.get_ref().as_array())
            .map_or(0, |list| list.len())
    }

    /// A table that may be left out.
    pub fn section(&self, key: &'static str) -> Option<Section<'d>> {
        let value = self.get(key)?;
        self.table(value, self.place(key))
    }

    /// A table that must be there.
    pub fn required_section(&self, key: &'static str) -> Option<Section<'d>> {
        if !self.has(key) {
            let message = format!("missing; add a section `[{}]`", self.full(key));
            self.problems.error(&self.place(key), message);
        }
        self.section(key)
    }

    /// A list of tables, written inline or as `[[key]]`; empty if the key is missing.
    pub fn sections(&self, key: &'static str) -> Vec<Section<'d>> {
        if self.is_table(key) {
            let message = format!(
                "one table where a list of tables belongs; write `[[{}]]`, or `[ {{ … }} ]`",
                self.full(key)
            );
            self.error(key, message);
            return Vec::new();
        }
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

    pub(super) fn require(&self, key: &'static str) {
        if !self.has(key) {
            self.problems.error(
                &self.place(key),
                format!("missing; add `{key} = …` to this section"),
            );
        }
    }

    pub(super) fn get(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.known.borrow_mut().insert(key);
        self.table
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(_, value)| value)
    }

    /// The entries of a list, each with its place.
    pub(super) fn entries(
        &self,
        key: &'static str,
    ) -> Option<Vec<(&'d Spanned<DeValue<'d>>, Place)>> {
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

    /// A value as it stands in the file, on one line and not too long.
    pub(super) fn shown(&self, value: &Spanned<DeValue<'_>>) -> String {
        const LONGEST: usize = 60;
        match value.get_ref() {
            DeValue::Array(list) if list.is_empty() => return "[]".to_owned(),
            DeValue::Array(_) | DeValue::Table(_) => return "…".to_owned(),
            _ => {}
        }
        let text = words::one_line(self.file.text(value.span()));
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

pub(super) fn kind(value: &Spanned<DeValue<'_>>) -> &'static str {
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
