//! Numbers as people read them.

/// Seconds in the unit that keeps the number short, with three digits: `12.3 µs`.
pub(super) fn short(seconds: f64) -> String {
    let (factor, unit) = match seconds.abs() {
        magnitude if magnitude >= 0.999_5 => (1.0, "s"),
        magnitude if magnitude >= 0.999_5e-3 => (1e3, "ms"),
        magnitude if magnitude >= 0.999_5e-6 || magnitude == 0.0 => (1e6, "µs"),
        _ => (1e9, "ns"),
    };
    let value = seconds * factor;
    let digits = match value.abs() {
        magnitude if magnitude >= 99.95 => 0,
        magnitude if magnitude >= 9.995 => 1,
        magnitude if magnitude > 0.0 => 2,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

/// The same with a sign.
pub(super) fn signed(seconds: f64) -> String {
    let text = short(seconds);
    if seconds >= 0.0 {
        format!("+{text}")
    } else {
        text
    }
}

/// A span of time: `3 d 4 h`, `12 min 5 s`, `7 s`.
pub(super) fn span(seconds: f64) -> String {
    // Saturates; nothing runs for longer than u64 seconds.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "casts from floats saturate, which is what is wanted"
    )]
    let seconds = seconds.round().max(0.0) as u64;
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_get_the_unit_that_keeps_them_short() {
        for (seconds, text) in [
            (0.0, "0 µs"),
            (1.0, "1.00 s"),
            (0.9996, "1.00 s"),
            (123.456, "123 s"),
            (-0.012_345, "-12.3 ms"),
            (0.000_999_6, "1.00 ms"),
            (0.000_5, "500 µs"),
            (0.000_001_5, "1.50 µs"),
            (0.000_000_015, "15.0 ns"),
        ] {
            assert_eq!(short(seconds), text, "{seconds}");
        }
        assert_eq!(signed(0.001), "+1.00 ms");
        assert_eq!(signed(-0.001), "-1.00 ms");
    }

    #[test]
    fn spans_show_two_units() {
        for (seconds, text) in [
            (-1.0, "0 s"),
            (7.4, "7 s"),
            (725.0, "12 min 5 s"),
            (3720.0, "1 h 2 min"),
            (273_600.0, "3 d 4 h"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
