//! Whether every user can work with the cookies: step `cookies`.

use nts_proto::cookie::Cookie;
use nts_proto::cookie_quirks::CookieQuirks;
use nts_proto::ke::response::MAX_COOKIES;

use super::report::{Report, Step};

/// chrony takes no longer ones, in octets; NTPsec's limit is
/// [`LONGEST_FOR_ALL`](nts_proto::cookie_quirks::LONGEST_FOR_ALL).
const LONGEST_FOR_CHRONY: usize = 256;

/// Looks at number and lengths.
pub fn check_cookies(report: &mut Report<'_>, cookies: &[Cookie]) {
    report.add(judge(cookies));
}

fn judge(cookies: &[Cookie]) -> Step {
    const ID: &str = "cookies";
    let mut lengths: Vec<usize> = cookies.iter().map(Cookie::len).collect();
    lengths.dedup();
    let quirks = CookieQuirks::of(cookies);
    let shown: Vec<_> = lengths.iter().map(usize::to_string).collect();
    let text = format!("{} of {} octets", cookies.len(), shown.join(", "));
    let step = if !quirks.is_none() {
        let who = match lengths.iter().any(|length| *length > LONGEST_FOR_CHRONY) {
            true => "chrony (up to 256, multiples of 4) and NTPsec (up to 192, all equal)",
            false => "chrony (multiples of 4) or NTPsec (up to 192, all equal)",
        };
        Step::warning(
            ID,
            format!("{text}: {quirks}"),
            format!("users with {who} drop such cookies: have the server's software corrected"),
        )
    } else if cookies.len() < MAX_COOKIES {
        Step::warning(
            ID,
            text,
            "users want 8, and without a store of them they come back sooner (RFC 8915 §4.1.6): \
             have the server give 8",
        )
    } else {
        Step::ok(ID, text)
    };
    step.with("count", cookies.len()).with("lengths", lengths)
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::*;

    #[track_caller]
    fn check(lengths: &[usize], verdict: Verdict, text: &str) {
        let cookies: Vec<_> = lengths.iter().map(|it| Cookie::new(vec![0; *it])).collect();
        let step = judge(&cookies);
        assert_eq!((step.verdict(), step.text()), (verdict, text));
    }

    #[test]
    fn eight_good_ones_and_others() {
        check(&[104; 8], Verdict::Ok, "8 of 104 octets");
        check(&[104; 7], Verdict::Warning, "7 of 104 octets");
        check(
            &[102; 8],
            Verdict::Warning,
            "8 of 102 octets: not a multiple of 4 octets long",
        );
        check(
            &[260; 8],
            Verdict::Warning,
            "8 of 260 octets: longer than 192 octets",
        );
    }

    #[test]
    fn chrony_is_named_from_257_octets_on() {
        let advice = |length: usize| {
            let cookies = vec![Cookie::new(vec![0; length]); 8];
            judge(&cookies).advice().unwrap().contains("up to 256")
        };
        assert!(!advice(256));
        assert!(advice(260));
    }
}
