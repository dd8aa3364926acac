//! "Did you mean": the known key that is nearest to a misspelt one.

/// The key of `known` that a person most likely meant by `written`, if any is near enough.
///
/// Near is one edit per three letters, transpositions counting as one; case, `_` and `-` do not
/// count, so that `log_level` always finds `log-level`.
pub(super) fn nearest<'k>(
    written: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    let plain = |key: &str| key.to_ascii_lowercase().replace('_', "-");
    let written = plain(written);
    let limit = (written.chars().count() / 3).clamp(1, 4);
    known
        .into_iter()
        .map(|key| (strsim::damerau_levenshtein(&written, &plain(key)), key))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_what_was_meant() {
        let known = [
            "listen",
            "private-key-path",
            "certificate-chain-path",
            "port",
        ];
        assert_eq!(nearest("lisetn", known), Some("listen"));
        assert_eq!(nearest("private_key_path", known), Some("private-key-path"));
        assert_eq!(nearest("PORT", known), Some("port"));
        assert_eq!(
            nearest("certficate-chain-pth", known),
            Some("certificate-chain-path")
        );
    }

    #[test]
    fn stays_silent_when_nothing_is_near() {
        assert_eq!(nearest("colour", ["listen", "port"]), None);
        assert_eq!(nearest("x", ["port"]), None);
        assert_eq!(nearest("port", []), None);
    }
}
