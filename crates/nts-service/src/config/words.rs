//! Serde's messages in words for people who have never seen a Rust type.

use super::suggest;

/// Says the same as `message`, a message of serde, with what should be written instead. What is
/// not recognised (messages of our own types) stays as it is.
pub(super) fn plain(message: &str) -> String {
    let message = one_line(message);
    let Some((what, expected)) = message.rsplit_once(", expected ") else {
        return match message.strip_prefix("missing field ") {
            Some(field) => format!("{field} is missing; add it"),
            None => message,
        };
    };
    if what.starts_with("invalid type: ") {
        return format!("wrong type; write {}", type_in_words(expected));
    }
    if what.starts_with("invalid value: ") || what.starts_with("invalid length ") {
        return format!("out of range; write {}", type_in_words(expected));
    }
    for (start, name) in [("unknown variant ", "word"), ("unknown field ", "key")] {
        if let Some(written) = what.strip_prefix(start) {
            return unknown(name, written, expected);
        }
    }
    message
}

/// A text on one line, as problems are printed one per line.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `expected` is a list of words in backquotes.
fn unknown(name: &str, written: &str, expected: &str) -> String {
    let known = expected.split('`').skip(1).step_by(2);
    let meant = match suggest::nearest(written.trim_matches('`'), known) {
        Some(word) => format!("did you mean `{word}`? Known are"),
        None => "known are".to_owned(),
    };
    let list = expected.strip_prefix("one of ").unwrap_or(expected);
    format!("unknown {name}; {meant} {list}")
}

fn type_in_words(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" | "u128" => "a whole number, not below 0",
        "i8" => "a whole number from -128 to 127",
        "i16" => "a whole number from -32768 to 32767",
        "i32" | "i64" | "isize" | "i128" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false, without quotes",
        "a string" | "string or table" => "a text in quotes",
        "path string" => "a path in quotes",
        "a sequence" => "a list `[ … ]`",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn types_become_words() {
        for (message, words) in [
            (
                "invalid type: string \"x\", expected u16",
                "wrong type; write a whole number from 0 to 65535",
            ),
            (
                "invalid value: integer `-1`, expected u8",
                "out of range; write a whole number from 0 to 255",
            ),
            (
                "invalid type: string \", expected u16\", expected a boolean",
                "wrong type; write true or false, without quotes",
            ),
            ("missing field `max`", "`max` is missing; add it"),
            (
                "unknown variant `sytem`, expected one of `only`, `system`",
                "unknown word; did you mean `system`? Known are `only`, `system`",
            ),
            (
                "unknown field `x`, expected `min` or `max`",
                "unknown key; known are `min` or `max`",
            ),
            ("no such\n  port; write one", "no such port; write one"),
        ] {
            assert_eq!(plain(message), words);
        }
    }
}
