//! Leap seconds: whether one is coming, and whether it is today.

use nts_proto::ntp::header::LeapIndicator;
use nts_proto::time::NtpTimestamp;

/// 2050-01-01 in Unix seconds: dates are those within 68 years of it.
const ERA_PIVOT: i64 = 2_524_608_000;

/// Seconds per day.
const DAY: i64 = 86_400;

/// What more than half of the sources say; `None` if they are divided. Sources that say nothing
/// about it (leap indicator 3) have no vote.
pub(crate) fn majority(votes: impl Iterator<Item = LeapIndicator>) -> Option<LeapIndicator> {
    let votes: Vec<_> = votes
        .filter(|leap| *leap != LeapIndicator::Unsynchronized)
        .collect();
    [
        LeapIndicator::NoWarning,
        LeapIndicator::Leap61,
        LeapIndicator::Leap59,
    ]
    .into_iter()
    .find(|leap| 2 * votes.iter().filter(|vote| *vote == leap).count() > votes.len())
}

/// What the kernel is to do at the end of the day: leap seconds come at the end of a month, and
/// some servers announce them days ahead.
pub(crate) fn for_this_day(announced: LeapIndicator, now: NtpTimestamp) -> LeapIndicator {
    let (seconds, _) = now.to_unix(ERA_PIVOT);
    let day = seconds.div_euclid(DAY);
    let announces = matches!(announced, LeapIndicator::Leap61 | LeapIndicator::Leap59);
    if announces && month(day) != month(day + 1) {
        announced
    } else {
        LeapIndicator::NoWarning
    }
}

/// Month, counted from March, of a day since 1970-01-01 in the proleptic Gregorian calendar.
fn month(day: i64) -> i64 {
    // Days since 0000-03-01, within 400 years.
    let day = (day + 719_468).rem_euclid(146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    (5 * day_of_year + 2) / 153
}

#[cfg(test)]
mod tests {
    use super::*;
    use LeapIndicator::{Leap59, Leap61, NoWarning, Unsynchronized};

    fn vote(votes: &[LeapIndicator]) -> Option<LeapIndicator> {
        majority(votes.iter().copied())
    }

    #[test]
    fn more_than_half_decide() {
        assert_eq!(vote(&[]), None);
        assert_eq!(vote(&[Unsynchronized]), None);
        assert_eq!(vote(&[Leap61]), Some(Leap61));
        assert_eq!(vote(&[Leap61, NoWarning]), None);
        assert_eq!(
            vote(&[Leap61, NoWarning, Unsynchronized, Leap61]),
            Some(Leap61)
        );
        assert_eq!(vote(&[Leap59, NoWarning, NoWarning]), Some(NoWarning));
        assert_eq!(vote(&[Leap59, Leap61, NoWarning, Leap59]), None);
    }

    #[test]
    fn the_last_day_of_each_month() {
        let mut day = 0;
        for year in 1970..2200 {
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let february = if is_leap { 29 } else { 28 };
            for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
                for date in 1..=length {
                    let is_last = month(day) != month(day + 1);
                    assert_eq!(is_last, date == length, "{year}, {date}.");
                    day += 1;
                }
            }
        }
    }

    #[test]
    fn the_kernel_is_told_on_the_last_day_only() {
        // 2016-12-31 had a leap second; and one in NTP's next era.
        for midnight in [1_483_228_800_i64, 2_456_179_200] {
            let at = |seconds| NtpTimestamp::from_unix(midnight + seconds, 0);
            assert_eq!(for_this_day(Leap61, at(-86_401)), NoWarning);
            assert_eq!(for_this_day(Leap61, at(-86_400)), Leap61);
            assert_eq!(for_this_day(Leap59, at(-1)), Leap59);
            assert_eq!(for_this_day(Leap61, at(0)), NoWarning);
            assert_eq!(for_this_day(NoWarning, at(-1)), NoWarning);
            assert_eq!(for_this_day(Unsynchronized, at(-1)), NoWarning);
        }
    }
}
