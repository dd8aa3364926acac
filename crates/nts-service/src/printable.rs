//! Text from elsewhere as it may be shown on a terminal.

/// No text is longer, in characters: what a server says about itself has no other bound.
const LONGEST: usize = 1200;

/// The same text without anything that a terminal would obey: control characters and those that
/// change the direction of writing are spelled out. At most 1200 characters of it.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (count, character) in text.chars().enumerate() {
        if count == LONGEST {
            shown.push('…');
            break;
        }
        if character.is_control() || is_invisible(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Marks of direction, separators of lines, and characters without width.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_get_nothing_to_obey() {
        for (text, shown) in [
            ("a.test", "a.test"),
            ("Bär & Söhne", "Bär & Söhne"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("two\nlines\r", "two\\u{a}lines\\u{d}"),
            ("\u{9b}1m", "\\u{9b}1m"),
            ("tset.\u{202e}moc", "tset.\\u{202e}moc"),
        ] {
            assert_eq!(printable(text), shown);
        }
    }

    #[test]
    fn long_text_is_cut() {
        let shown = printable(&"x".repeat(LONGEST + 1));
        assert_eq!(shown.chars().count(), LONGEST + 1);
        assert!(shown.ends_with("x…"));
        assert_eq!(printable(&"x".repeat(LONGEST)), "x".repeat(LONGEST));
    }
}
