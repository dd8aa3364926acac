//! JSON that can be written in one way only (RFC 8785), so that a text and what it says are the same
//! thing, to every reader.
//!
//! No blanks; keys in the order of their UTF-16 code units, none twice; in strings only those escapes that must
//! be, the short ones where there are any; numbers without exponent and without a digit too many, so
//! 0.25 but never 0.250, 1.0 or -0. Narrower than the RFC: no null, no number beyond 2^53 - 1, no
//! fraction below a millionth.

use serde_json::{Number, Value};

/// The largest whole number that every reader of JSON knows exactly.
pub(super) const LARGEST: u64 = (1 << 53) - 1;
/// From here on down the RFC writes exponents.
const SMALLEST: f64 = 1e-6;

/// Why a text is not canonical, or a value cannot be written so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCanonical {
    /// It is no JSON at all.
    #[error("it is no JSON: {0}")]
    Syntax(String),
    /// It says the same as another text, from this octet on.
    #[error("it is not in its canonical form (RFC 8785) from octet {0} on")]
    Spelling(usize),
    /// There is a null in it.
    #[error("there is a null in it")]
    Null,
    /// There is such a number in it.
    #[error("the number {0} in it is too large or too small")]
    Number(String),
}

/// What the text says, if it is the canonical one that does.
pub(super) fn parse(text: &str) -> Result<Value, NotCanonical> {
    let value = serde_json::from_str(text);
    let value: Value = value.map_err(|error| NotCanonical::Syntax(error.to_string()))?;
    let written = write(&value)?;
    if written == text {
        return Ok(value);
    }
    let same = std::iter::zip(written.bytes(), text.bytes());
    let same = same.take_while(|(ours, theirs)| ours == theirs);
    Err(NotCanonical::Spelling(same.count()))
}

/// The text of a value.
pub(super) fn write(value: &Value) -> Result<String, NotCanonical> {
    let mut text = String::new();
    append(value, &mut text)?;
    Ok(text)
}

fn append(value: &Value, text: &mut String) -> Result<(), NotCanonical> {
    match value {
        Value::Null => return Err(NotCanonical::Null),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => text.push_str(&shown(number)?),
        Value::String(string) => append_string(string, text),
        Value::Array(entries) => {
            text.push('[');
            for (index, entry) in entries.iter().enumerate() {
                separate(index, text);
                append(entry, text)?;
            }
            text.push(']');
        }
        Value::Object(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            text.push('{');
            for (index, (key, entry)) in entries.into_iter().enumerate() {
                separate(index, text);
                append_string(key, text);
                text.push(':');
                append(entry, text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

fn separate(index: usize, text: &mut String) {
    if index > 0 {
        text.push(',');
    }
}

/// The library's escapes are those of the RFC.
fn append_string(string: &str, text: &mut String) {
    text.push_str(&Value::from(string).to_string());
}

fn shown(number: &Number) -> Result<String, NotCanonical> {
    let refused = || NotCanonical::Number(number.to_string());
    let whole = number
        .as_u64()
        .or_else(|| number.as_i64().map(i64::unsigned_abs));
    if let Some(size) = whole {
        return match size <= LARGEST {
            true => Ok(number.to_string()),
            false => Err(refused()),
        };
    }
    let value = number.as_f64().ok_or_else(refused)?;
    // Zero with a sign or a fraction is written as zero.
    let size = value.abs();
    match size == 0.0 || (SMALLEST..=LARGEST as f64).contains(&size) {
        true => Ok(format!("{}", if size == 0.0 { 0.0 } else { value })),
        false => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn there_is_one_text_for_each_value() {
        let value = json!({
            "b": [true, false, {}, []], "a": "\u{1}\u{7f}\"\\/\n\u{8}ä😀", "c": -12, "d": 0.25, "": 1.0,
        });
        let text = "{\"\":1,\"a\":\"\\u0001\u{7f}\\\"\\\\/\\n\\bä😀\",\"b\":[true,false,{},[]],\
                    \"c\":-12,\"d\":0.25}";
        assert_eq!(write(&value).unwrap(), text);
        assert_eq!(write(&parse(text).unwrap()).unwrap(), text);
    }

    #[test]
    fn keys_stand_in_the_order_of_their_utf_16_units() {
        // The octets of UTF-8 would have it the other way round.
        let text = "{\"a\":1,\"😀\":2,\"\u{e000}\":3}";
        assert_eq!(write(&parse(text).unwrap()).unwrap(), text);
    }

    #[test]
    fn another_spelling_of_the_same_is_refused_at_its_place() {
        for (text, place) in [
            ("{ }", 1),
            ("{}\n", 2),
            ("[1, 2]", 3),
            (r#"{"b":1,"a":2}"#, 2),
            (r#"{"a":1,"a":1}"#, 6),
            (r#"["\u0041"]"#, 2),
            (r#"["\/"]"#, 2),
            (r#"["\u000A"]"#, 3),
            ("[1.0]", 2),
            ("[-0]", 1),
            ("[0.250]", 5),
            ("[25e-2]", 1),
            ("[1E3]", 2),
        ] {
            assert_eq!(parse(text), Err(NotCanonical::Spelling(place)), "{text}");
        }
        assert_eq!(parse("[null]"), Err(NotCanonical::Null));
        for number in ["9007199254740992", "-9007199254740992", "1e300", "1e-7"] {
            let text = format!("[{number}]");
            assert!(
                matches!(parse(&text), Err(NotCanonical::Number(_))),
                "{text}"
            );
        }
        assert!(parse("[9007199254740991,-9007199254740991]").is_ok());
        for text in ["", "{", "[01]", "{\"a\":1}x", r#"["\ud800"]"#] {
            assert!(
                matches!(parse(text), Err(NotCanonical::Syntax(_))),
                "{text}"
            );
        }
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (-1_i64 << 53..1 << 53).prop_map(Value::from),
            (1e-6_f64..1e15).prop_map(Value::from),
            ".*".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 30, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".*", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_canonical(value in values()) {
            if let Ok(text) = write(&value) {
                let read = parse(&text).unwrap();
                prop_assert_eq!(write(&read).unwrap(), text);
            }
        }

        #[test]
        fn nothing_makes_it_panic(text in r#"[\[\]{}":,\\a-z0-9.+\-eEnult \n]{0,60}"#) {
            let _ = parse(&text);
        }
    }
}
