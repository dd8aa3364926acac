//! `[shutdown]`: how much time the end of a server takes.

use std::fmt;
use std::time::Duration;

use crate::config::Section;

/// How much time the end of a server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How long connections are accepted after it was told that the end comes: a balancer needs
    /// time to notice.
    pub delay: Duration,
    /// How long running exchanges may take to finish after that.
    pub timeout: Duration,
}

impl Default for Drain {
    /// No delay, and 5 s to finish.
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            timeout: Duration::from_secs(5),
        }
    }
}

const LONGEST: Duration = Duration::from_secs(600);

impl Drain {
    /// Reads the section: `drain-delay-ms` and `timeout-ms`.
    pub fn read(section: &Section<'_>) -> Self {
        let default = Self::default();
        let time = |key, default| section.milliseconds(key, default, Duration::ZERO..=LONGEST);
        Self {
            delay: time("drain-delay-ms", default.delay),
            timeout: time("timeout-ms", default.timeout),
        }
    }
}

/// The section as it is in effect.
impl fmt::Display for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[shutdown]")?;
        writeln!(f, "drain-delay-ms = {}", self.delay.as_millis())?;
        writeln!(f, "timeout-ms = {}", self.timeout.as_millis())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn read(text: &str) -> Result<Drain, String> {
        let loaded = config::parse("c.toml", text, |root| {
            Some(root.section("shutdown").map(|it| Drain::read(&it)))
        });
        let drain = loaded.map_err(|problems| problems.to_string())?.value;
        Ok(drain.unwrap_or_default())
    }

    #[test]
    fn what_is_shown_reads_the_same() {
        let text = "[shutdown]\ndrain-delay-ms = 15000\ntimeout-ms = 1\n";
        let drain = read(text).unwrap();
        assert_eq!(drain.to_string(), text);
        assert_eq!(read("").unwrap(), Drain::default());
        assert_eq!(read("[shutdown]").unwrap(), Drain::default());
    }

    #[test]
    fn the_end_comes_within_ten_minutes() {
        assert_eq!(
            read("[shutdown]\ntimeout-ms = 600001").unwrap_err(),
            "error: c.toml:2: shutdown.timeout-ms = 600001: out of range; write a \
             number from 0 to 600000 milliseconds"
        );
    }
}
