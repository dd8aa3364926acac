//! Reading the values of a [`Section`]: typed, within their ranges, secrets unseen.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::Spanned;
use toml::de::DeValue;

use super::located::Located;
use super::problem::{Place, Problem};
use super::secret::Secret;
use super::section::{Section, kind};
use super::words;

impl<'d> Section<'d> {
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
        let wrong = || outside(range.start(), range.end(), unit);
        // What `T` cannot hold is out of range as well; the bounds of `T` say nothing to a reader.
        if self.get(key).is_some_and(|value| {
            value.get_ref().is_integer()
                && T::deserialize(value.clone().into_deserializer()).is_err()
        }) {
            self.error(key, wrong());
            return default;
        }
        let check = |number: T| match range.contains(&number) {
            true => Ok(number),
            false => Err(wrong()),
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

    fn leaf<T: DeserializeOwned>(
        &self,
        value: &Spanned<DeValue<'d>>,
        place: &Place,
    ) -> Option<Located<T>> {
        match T::deserialize(value.clone().into_deserializer()) {
            Ok(leaf) => Some(Located::new(leaf, place.clone())),
            Err(error) => {
                let problem = Problem::error(place.clone(), words::plain(error.message()));
                self.problems().push(problem.with_value(self.shown(value)));
                None
            }
        }
    }

    fn secret_leaf(&self, value: &Spanned<DeValue<'d>>, place: Place) -> Option<Located<Secret>> {
        self.file.warn_if_others_can_read(&place, self.problems());
        let Some(text) = value.get_ref().as_str() else {
            let message = format!("{} where a text belongs; write it in quotes", kind(value));
            self.problems().push(Problem::error(place, message));
            return None;
        };
        Some(Located::new(Secret::new(text.to_owned()), place))
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
