//! What came of a run.

use std::fmt;
use std::time::Duration;

/// Everything has to be as before so soon after an outage.
const SOON: Duration = Duration::from_secs(5);
const BETRAYED: &str = "keys were sent to two sources";

/// A set of durations.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    pub(super) fn note(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time which so many hundredths of all do not exceed; zero if there are none.
    pub fn percentile(&self, hundredths: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        let at = last * hundredths.min(100) / 100;
        sorted.get(at).copied().unwrap_or_default()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let [half, most, all] = [50, 90, 100].map(|part| self.percentile(part).as_secs_f64());
        let count = self.count();
        write!(
            f,
            "p50 {half:.2} s, p90 {most:.2} s, max {all:.2} s ({count})"
        )
    }
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was run.
    pub name: String,
    /// Whether most sources were cut off for a time.
    pub is_outage: bool,
    /// Users who came.
    pub users: u64,
    /// Users who got cookies.
    pub served: u64,
    /// Users for whom nobody was eligible.
    pub no_source: u64,
    /// Users all of whose candidates failed before keys.
    pub before_keys: u64,
    /// Users whose source failed after it had the keys.
    pub after_keys: u64,
    /// Exchanges in which keys were sent.
    pub keys_sent: u64,
    /// Exchanges in which the same source was sent the keys once more.
    pub keys_repeated: u64,
    /// How often keys were sent to a second source.
    pub keys_betrayed: u64,
    /// Candidates beyond the first of an exchange.
    pub failovers: u64,
    /// Sources that were got ready beside one that took long.
    pub hedges: u64,
    /// How long exchanges took that went well.
    pub exchange_times: Times,
    /// Whether shares are measured: where anything may go wrong there are none to be expected.
    pub measures_shares: bool,
    /// Half the sum of all deviations of first picks from effective weight, as a part of all.
    pub share_distance: f64,
    /// The largest relative deviation of one source beyond four standard deviations.
    pub worst_share: f64,
    /// Ejections of sources that had faults.
    pub ejections: u64,
    /// Ejections of sources that never had any.
    pub innocent_ejections: u64,
    /// The most sources that were out of service at the same time.
    pub most_out: usize,
    /// From the beginning of a fault to the moment from which no user was sent there.
    pub detection: Times,
    /// From the end of a fault to the moment from which users were sent there again.
    pub readmission: Times,
    /// How often everything seemed to fail.
    pub panics: u64,
    /// After the outage: until everybody was admitted.
    pub all_admitted_after: Option<Duration>,
    /// After the outage: when the last user came who got nothing.
    pub last_failure_after: Option<Duration>,
    /// Key-free checks.
    pub checks: u64,
}

impl Report {
    /// The part of all users who got cookies.
    pub fn success(&self) -> f64 {
        self.served as f64 / self.users.max(1) as f64
    }

    /// What is worse than it has to be, with so many users served at least; nothing, if all is
    /// well. Without a number nothing is asked for but that the rule about keys holds.
    pub fn shortcomings(&self, success: Option<f64>) -> Vec<String> {
        let Some(success) = success else {
            let betrayed = self.keys_betrayed > 0;
            return betrayed.then(|| BETRAYED.to_owned()).into_iter().collect();
        };
        let soon = |time: Option<Duration>| time.is_some_and(|time| time <= SOON);
        let outage = self.is_outage;
        let rules = [
            (self.success() < success, "too few users were served"),
            (self.keys_betrayed > 0, BETRAYED),
            (
                self.share_distance > 0.02,
                "shares are off by more than 2 %",
            ),
            (
                self.worst_share > 0.02,
                "one source's share is off by more than 2 %",
            ),
            (self.innocent_ejections > 0, "healthy sources were ejected"),
            (!outage && self.panics > 0, "there was panic without reason"),
            (
                outage && self.panics != 1,
                "there was no panic, or more than one",
            ),
            (
                outage && !soon(self.all_admitted_after),
                "not everybody was admitted within 5 s after the outage",
            ),
            (
                outage && self.last_failure_after.is_some_and(|time| time > SOON),
                "users failed more than 5 s after the outage",
            ),
        ];
        let broken = rules.into_iter().filter(|(broken, _)| *broken);
        broken.map(|(_, rule)| rule.to_owned()).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name)?;
        writeln!(
            f,
            "  users        {} of {} served: {:.4} %",
            self.served,
            self.users,
            self.success() * 100.0
        )?;
        writeln!(
            f,
            "  failed       {} without a source, {} before keys, {} after keys",
            self.no_source, self.before_keys, self.after_keys
        )?;
        writeln!(
            f,
            "  exchanges    {}; {} failovers, {} hedges",
            self.exchange_times, self.failovers, self.hedges
        )?;
        writeln!(
            f,
            "  keys         seen in {} exchanges, {} times again by the same source, {} times by \
             another",
            self.keys_sent, self.keys_repeated, self.keys_betrayed
        )?;
        if self.measures_shares {
            writeln!(
                f,
                "  shares       {:.2} % off effective weight in all; worst source {:.2} % beyond \
                 chance",
                self.share_distance * 100.0,
                self.worst_share * 100.0
            )?;
        }
        writeln!(
            f,
            "  ejections    {} of sources with faults, {} of others; {} sources out at most",
            self.ejections, self.innocent_ejections, self.most_out
        )?;
        writeln!(f, "  detection    {}", self.detection)?;
        writeln!(f, "  readmission  {}", self.readmission)?;
        write!(f, "  checks       {}; panics: {}", self.checks, self.panics)?;
        if !self.is_outage {
            return Ok(());
        }
        match self.all_admitted_after {
            Some(time) => write!(
                f,
                "\n  after        everybody admitted within {:.1} s",
                time.as_secs_f64()
            )?,
            None => write!(f, "\n  after        not everybody admitted")?,
        }
        match self.last_failure_after {
            Some(time) => write!(f, "; a user failed {:.1} s later", time.as_secs_f64()),
            None => write!(f, "; no user failed who came later"),
        }
    }
}
