//! JSON as the same tree that TOML gives, so that a [`Section`](super::Section) reads either.
//!
//! Every value keeps its place in the text. Nothing here knows a key.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// Lists and objects within each other; no configuration needs so many.
const DEEPEST: usize = 16;

/// What is wrong with a text, and the offset of the octet where that shows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Defect {
    pub(super) offset: usize,
    pub(super) message: String,
}

/// The object in `text`; a list is taken for an object in which it stands under the key `list`.
pub(super) fn parse<'t>(text: &'t str, list: &'static str) -> Result<DeTable<'t>, Defect> {
    let root: &RawValue = serde_json::from_str(text).map_err(|error| Defect {
        offset: offset_of_line(text, error.line()),
        message: message(&error),
    })?;
    let tree = Tree { text };
    match tree.value(root, 0)? {
        Some(DeValue::Table(table)) => Ok(table),
        Some(value @ DeValue::Array(_)) => {
            let span = tree.span(root);
            let key = Spanned::new(span.clone(), Cow::Borrowed(list));
            Ok(DeTable::from_iter([(key, Spanned::new(span, value))]))
        }
        _ => Err(tree.defect(root, "write an object `{ … }` or a list `[ … ]`")),
    }
}

struct Tree<'t> {
    text: &'t str,
}

impl<'t> Tree<'t> {
    /// The value at `raw`, below so many others; `None` for null.
    fn value(&self, raw: &'t RawValue, depth: usize) -> Result<Option<DeValue<'t>>, Defect> {
        if depth > DEEPEST {
            return Err(self.defect(raw, "too many lists and objects within each other"));
        }
        let value = match raw.get().as_bytes().first() {
            Some(b'{') => DeValue::Table(self.object(raw, depth)?),
            Some(b'[') => DeValue::Array(self.list(raw, depth)?),
            Some(b'"') => DeValue::String(self.read::<Text<'t>>(raw)?.0),
            Some(b't') => DeValue::Boolean(true),
            Some(b'f') => DeValue::Boolean(false),
            Some(b'n') => return Ok(None),
            // Every number of JSON is one of TOML.
            _ => DeValue::parse(raw.get())
                .map_err(|error| self.defect(raw, error.message()))?
                .into_inner(),
        };
        Ok(Some(value))
    }

    fn object(&self, raw: &'t RawValue, depth: usize) -> Result<DeTable<'t>, Defect> {
        let mut table = DeTable::new();
        for (key, value) in self.read::<Entries<'t>>(raw)?.0 {
            let name = self.read::<Text<'t>>(key)?.0;
            let Some(content) = self.value(value, depth + 1)? else {
                continue;
            };
            let name = Spanned::new(self.span(key), name);
            let content = Spanned::new(self.span(value), content);
            if table.insert(name, content).is_some() {
                return Err(self.defect(key, "the same key for a second time"));
            }
        }
        Ok(table)
    }

    fn list(&self, raw: &'t RawValue, depth: usize) -> Result<DeArray<'t>, Defect> {
        let mut array = DeArray::new();
        for entry in self.read::<Vec<&'t RawValue>>(raw)? {
            let value = self
                .value(entry, depth + 1)?
                .ok_or_else(|| self.defect(entry, "null in a list; take it out"))?;
            array.push(Spanned::new(self.span(entry), value));
        }
        Ok(array)
    }

    fn read<T: Deserialize<'t>>(&self, raw: &'t RawValue) -> Result<T, Defect> {
        serde_json::from_str(raw.get()).map_err(|error| self.defect(raw, &message(&error)))
    }

    /// Where `raw`, a part of the text, stands in it.
    fn span(&self, raw: &'t RawValue) -> std::ops::Range<usize> {
        let part = raw.get();
        let start = part.as_ptr().addr() - self.text.as_ptr().addr();
        start..start + part.len()
    }

    fn defect(&self, raw: &'t RawValue, message: &str) -> Defect {
        Defect {
            offset: self.span(raw).start,
            message: message.to_owned(),
        }
    }
}

/// A string, borrowed from the text where it holds no escapes.
#[derive(serde::Deserialize)]
struct Text<'t>(#[serde(borrow)] Cow<'t, str>);

/// The entries of an object as they stand, a key that is there twice included.
struct Entries<'t>(Vec<(&'t RawValue, &'t RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

/// What the parser says, without the place, which a problem shows anyway.
fn message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((message, _)) => message.to_owned(),
        None => text,
    }
}

/// The offset of the line of this number, counted from 1.
fn offset_of_line(text: &str, line: usize) -> usize {
    let lines = text.split_inclusive('\n');
    lines.take(line.saturating_sub(1)).map(str::len).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn defect(text: &str) -> (usize, String) {
        let defect = parse(text, "list").unwrap_err();
        (defect.offset, defect.message)
    }

    /// The tree as TOML shows it.
    fn shown(text: &str) -> String {
        toml::Value::try_from(
            parse(text, "list")
                .unwrap()
                .into_iter()
                .map(|(key, value)| {
                    let value: toml::Value = serde::de::Deserialize::deserialize(
                        serde::de::IntoDeserializer::into_deserializer(value),
                    )
                    .unwrap();
                    (key.into_inner().into_owned(), value)
                })
                .collect::<toml::Table>(),
        )
        .unwrap()
        .to_string()
    }

    #[test]
    fn every_kind_of_value_is_taken_over() {
        assert_eq!(
            shown(
                r#"{"t": "ä\n\u0041", "i": -12, "f": 1.5e3, "b": [true, false], "n": null, "o": {"x": 0}}"#
            ),
            shown(r#"{"b": [true, false], "f": 1500.0, "i": -12, "o": {"x": 0}, "t": "ä\nA"}"#),
        );
        assert_eq!(shown(r#" [{"x": 1}] "#), "{ list = [{ x = 1 }] }");
    }

    #[test]
    fn every_value_keeps_its_place() {
        let text = "{\n \"a\": \"x\",\n \"b\": [10, 20] }";
        let table = parse(text, "list").unwrap();
        for (key, value) in &table {
            let quoted = format!("\"{}\"", key.get_ref());
            assert_eq!(text[key.span()], quoted);
            match value.get_ref() {
                DeValue::String(_) => assert_eq!(&text[value.span()], "\"x\""),
                DeValue::Array(list) => assert_eq!(&text[list[1].span()], "20"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn texts_without_escapes_are_not_copied() {
        let table = parse(r#"{"token": "secret"}"#, "list").unwrap();
        let (_, value) = table.iter().next().unwrap();
        assert!(matches!(
            value.get_ref(),
            DeValue::String(Cow::Borrowed("secret"))
        ));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        assert_eq!(
            defect("{\n\"a\": 1,\n}"),
            (10, "key must be a string".to_owned())
        );
        assert_eq!(
            defect(r#"{"a": 1, "a": 2}"#),
            (9, "the same key for a second time".to_owned())
        );
        assert_eq!(
            defect("[1, null]"),
            (4, "null in a list; take it out".to_owned())
        );
        assert_eq!(
            defect("12"),
            (0, "write an object `{ … }` or a list `[ … ]`".to_owned())
        );
        assert_eq!(
            defect(r#"{"a": "\ud800"}"#).0,
            6,
            "half of a pair of surrogates"
        );
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(
            defect(&deep),
            (
                DEEPEST + 1,
                "too many lists and objects within each other".to_owned()
            )
        );
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in r#"[\[\]{}":,\\a-z0-9.+\-eEnult \n]{0,60}"#) {
            let _ = parse(&text, "list");
        }
    }
}
