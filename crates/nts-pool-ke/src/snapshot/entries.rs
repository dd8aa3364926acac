//! A file of sources as what stands in a signed list. It has been checked before.

use std::path::Path;

use serde_json::{Map, Value};

use super::MAX_LENGTH;
use super::cache;

const IN_FILES: &str = "key-exchange-servers";
const IN_LISTS: &str = "sources";

/// What a file of sources says, TOML or JSON by the end of its name.
pub(super) fn read(file: &Path) -> Result<Map<String, Value>, String> {
    let octets = cache::read(file, MAX_LENGTH).map_err(|error| error.to_string())?;
    let octets = octets.ok_or_else(|| "it is longer than 64 MiB".to_owned())?;
    let text = String::from_utf8(octets).map_err(|error| error.to_string())?;
    let is_toml = file
        .extension()
        .is_some_and(|extension| extension == "toml");
    let value = match is_toml {
        true => toml::from_str(&text).map_err(|error| error.message().to_owned()),
        false => serde_json::from_str(&text).map_err(|error| error.to_string()),
    };
    let mut entries = match value? {
        Value::Object(entries) => entries,
        list => Map::from_iter([(IN_FILES.to_owned(), list)]),
    };
    if let Some(sources) = entries.remove(IN_FILES) {
        entries.insert(IN_LISTS.to_owned(), sources);
    }
    Ok(entries.into_iter().filter_map(without_nulls).collect())
}

/// A null says as much as nothing.
fn without_nulls((key, value): (String, Value)) -> Option<(String, Value)> {
    let value = match value {
        Value::Null => return None,
        Value::Object(entries) => {
            Value::Object(entries.into_iter().filter_map(without_nulls).collect())
        }
        Value::Array(entries) => {
            let entries = entries.into_iter();
            let entries = entries.filter_map(|it| without_nulls((String::new(), it)));
            entries.map(|(_, entry)| entry).collect()
        }
        value => value,
    };
    Some((key, value))
}
