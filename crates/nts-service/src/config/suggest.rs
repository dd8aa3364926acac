//! "Did you mean": the known key that is nearest to a misspelt one.

/// The key of `known` that a person most likely meant by `written`, if any is near enough.
///
/// Near is one edit per three letters, transpositions counting as one; case, `_` and `-` do not
/// count, so that `log_level` always finds `log-level`. If none is near, it is the only key that
/// goes on where `written` ends: `private-key` finds `private-key-path`.
pub(super) fn nearest<'k>(
    written: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    let plain = |key: &str| key.to_ascii_lowercase().replace('_', "-");
    let written = plain(written);
    let limit = (written.chars().count() / 3).clamp(1, 4);
    let (mut nearest, mut longer) = (None, Vec::new());
    for key in known {
        let candidate = plain(key);
        let distance = strsim::damerau_levenshtein(&written, &candidate);
        if distance <= limit && nearest.is_none_or(|least| (distance, key) < least) {
            nearest = Some((distance, key));
        }
        if candidate
            .strip_prefix(written.as_str())
            .is_some_and(|rest| rest.starts_with('-'))
        {
            longer.push(key);
        }
    }
    match (nearest, longer.as_slice()) {
        (Some((_, key)), _) => Some(key),
        (None, [key]) => Some(key),
        (None, _) => None,
    }
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

    #[test]
    fn a_key_that_stops_early_is_completed_if_only_one_goes_on() {
        let known = [
            "private-key-path",
            "prefix-rate",
            "prefix-burst",
            "listener",
        ];
        assert_eq!(nearest("private_key", known), Some("private-key-path"));
        assert_eq!(nearest("prefix", known), None);
        assert_eq!(nearest("li", known), None);
    }
}
