//! Finding secrets in a text, in every form in which a log could show octets.

use std::fmt::Write as _;

/// So many octets of a secret in a row count as the secret.
const WINDOW: usize = 9;

/// The forms in which stretches of `secret` would show up in a text.
///
/// # Panics
/// If the secret is too short to be told from chance.
pub fn disguises(secret: &[u8]) -> Vec<String> {
    assert!(
        secret.len() >= WINDOW,
        "a secret of {} octets is too short",
        secret.len()
    );
    // Base64 puts three octets into four characters, so that one of three neighbouring stretches
    // begins where a group begins.
    let starts = [0, 1, 2, secret.len() - WINDOW];
    let stretches = starts
        .iter()
        .filter_map(|start| secret.get(*start..start + WINDOW));
    stretches.flat_map(forms).collect()
}

/// One stretch in all its forms.
fn forms(octets: &[u8]) -> Vec<String> {
    let joined = |separator: &str, each: &dyn Fn(u8) -> String| {
        octets
            .iter()
            .map(|octet| each(*octet))
            .collect::<Vec<_>>()
            .join(separator)
    };
    let lower = |octet| format!("{octet:02x}");
    let upper = |octet| format!("{octet:02X}");
    let decimal = |octet: u8| octet.to_string();
    let mut forms = vec![
        joined("", &lower),
        joined("", &upper),
        joined(":", &lower),
        joined(" ", &lower),
        joined(", ", &lower),
        joined(", ", &upper),
        joined(", ", &|octet| format!("{octet:x}")),
        joined(", ", &decimal),
        joined(", ", &|octet| format!("{octet:#x}")),
        joined(", ", &|octet| format!("{octet:#04x}")),
        joined(",", &decimal),
        octets.escape_ascii().to_string(),
        base64(octets, b'+', b'/'),
        base64(octets, b'-', b'_'),
    ];
    if let Ok(text) = std::str::from_utf8(octets) {
        forms.push(text.to_owned());
    }
    // One element per line, as `{:#?}` prints lists.
    let mut lines = String::new();
    for octet in octets {
        let _ = write!(lines, "{octet},\n    ");
    }
    forms.push(lines);
    forms
}

fn base64(octets: &[u8], c62: u8, c63: u8) -> String {
    let mut alphabet: Vec<u8> = (b'A'..=b'Z')
        .chain(b'a'..=b'z')
        .chain(b'0'..=b'9')
        .collect();
    alphabet.extend([c62, c63]);
    let mut text = String::new();
    for group in octets.chunks_exact(3) {
        let bits = group
            .iter()
            .fold(0_usize, |bits, octet| bits << 8 | usize::from(*octet));
        for shift in [18, 12, 6, 0] {
            text.push(char::from(alphabet[bits >> shift & 0x3f]));
        }
    }
    text
}

/// The secrets that `text` shows, by their labels, with the form in which it does.
pub fn found_in<'s>(
    text: &str,
    secrets: impl IntoIterator<Item = (&'s str, Vec<u8>)>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (label, secret) in secrets {
        if let Some(form) = disguises(&secret)
            .iter()
            .find(|form| text.contains(form.as_str()))
        {
            found.push(format!("{label} as {form:?}"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef\xfe\x00\n\xff0123456789";

    #[test]
    fn secrets_are_found_in_every_form() {
        let hex = hex::encode(SECRET);
        for text in [
            format!("{SECRET:?}"),
            format!("{SECRET:#?}").replace("        ", "    "),
            format!("{SECRET:x?}"),
            format!("{SECRET:02x?}"),
            format!("{SECRET:02X?}"),
            format!("{SECRET:#04x?}").replace("\n    ", " "),
            hex.clone(),
            hex.to_uppercase(),
            SECRET.escape_ascii().to_string(),
            "x0123456789y".to_owned(),
            // The secret with no, one and two octets before it.
            "MDEyMzQ1Njc4OWFiY2RlZv4ACv8wMTIzNDU2Nzg5".to_owned(),
            "eDAxMjM0NTY3ODlhYmNkZWb+AAr/MDEyMzQ1Njc4OQ==".to_owned(),
            "eHgwMTIzNDU2Nzg5YWJjZGVm_gAK_zAxMjM0NTY3ODk".to_owned(),
        ] {
            assert!(found(&text), "{text}");
        }
        for text in ["", "0123456x", "[48, 49, 50, 51]", "MDEyMzQ1Ng=="] {
            assert!(!found(text), "{text}");
        }
    }

    fn found(text: &str) -> bool {
        !found_in(text, [("secret", SECRET.to_vec())]).is_empty()
    }
}
