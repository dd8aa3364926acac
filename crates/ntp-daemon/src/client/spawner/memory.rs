//! Names that a pool gave and that did not serve us: for a while they are denied, so that the pool
//! does not hand them straight back. Pure: time is an argument.

use std::time::Duration;

use nts_proto::ke::name::NtpServerName;
use nts_proto::time::MonotonicTime;

/// How long a name is remembered that denied service or told a wrong time.
pub(super) const REFUSED_FOR: Duration = Duration::from_secs(24 * 3600);

/// How long a name is remembered that failed.
pub(super) const FAILED_FOR: Duration = Duration::from_secs(3600);

/// Greatest number of names remembered.
const CAPACITY: usize = 32;

/// Why a name is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It denied service, or told a wrong time: it is not to be asked again for a day.
    Refused,
    /// It did not answer, or not with valid NTS: another one is better for an hour.
    Failed,
}

#[derive(Debug)]
struct Entry {
    name: NtpServerName,
    fault: Fault,
    until: MonotonicTime,
}

/// Remembered names, oldest first, at most 32.
#[derive(Debug, Default)]
pub(super) struct Memory {
    entries: Vec<Entry>,
}

impl Memory {
    /// Remembers `name`; a name already remembered becomes the newest.
    pub(super) fn remember(&mut self, name: &NtpServerName, fault: Fault, now: MonotonicTime) {
        self.forget(name);
        if self.entries.len() == CAPACITY {
            self.entries.remove(0);
        }
        let lifetime = match fault {
            Fault::Refused => REFUSED_FOR,
            Fault::Failed => FAILED_FOR,
        };
        self.entries.push(Entry {
            name: name.clone(),
            fault,
            until: now + lifetime,
        });
    }

    /// Forgets `name`.
    pub(super) fn forget(&mut self, name: &NtpServerName) {
        self.entries.retain(|entry| !entry.name.same_host(name));
    }

    /// Forgets the name that has been remembered longest.
    pub(super) fn forget_oldest(&mut self) -> Option<NtpServerName> {
        (!self.entries.is_empty()).then(|| self.entries.remove(0).name)
    }

    /// Why `name` is remembered at `now`, if it is.
    pub(super) fn fault(&self, name: &NtpServerName, now: MonotonicTime) -> Option<Fault> {
        self.entries
            .iter()
            .find(|entry| entry.until > now && entry.name.same_host(name))
            .map(|entry| entry.fault)
    }

    /// What is remembered at `now`, newest first.
    pub(super) fn names(&self, now: MonotonicTime) -> impl Iterator<Item = &NtpServerName> {
        self.entries
            .iter()
            .rev()
            .filter(move |entry| entry.until > now)
            .map(|entry| &entry.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NtpServerName {
        text.parse().unwrap()
    }

    fn at(seconds: u64) -> MonotonicTime {
        MonotonicTime::from_duration(Duration::from_secs(seconds))
    }

    fn names(memory: &Memory, now: MonotonicTime) -> Vec<String> {
        memory.names(now).map(ToString::to_string).collect()
    }

    #[test]
    fn refusals_last_a_day_and_failures_an_hour() {
        let mut memory = Memory::default();
        memory.remember(&name("refused.test"), Fault::Refused, at(0));
        memory.remember(&name("failed.test"), Fault::Failed, at(0));
        assert_eq!(names(&memory, at(3599)), ["failed.test", "refused.test"]);
        assert_eq!(names(&memory, at(3600)), ["refused.test"]);
        assert_eq!(
            memory.fault(&name("REFUSED.test."), at(86_399)),
            Some(Fault::Refused)
        );
        assert_eq!(memory.fault(&name("refused.test"), at(86_400)), None);
    }

    #[test]
    fn the_oldest_goes_first_and_a_repeated_name_is_the_newest() {
        let mut memory = Memory::default();
        for text in ["a.test", "b.test", "A.test."] {
            memory.remember(&name(text), Fault::Failed, at(0));
        }
        assert_eq!(names(&memory, at(1)), ["A.test.", "b.test"]);
        assert_eq!(memory.forget_oldest(), Some(name("b.test")));
        assert_eq!(memory.forget_oldest(), Some(name("A.test.")));
        assert_eq!(memory.forget_oldest(), None);
    }

    #[test]
    fn never_more_than_32() {
        let mut memory = Memory::default();
        for number in 0..100 {
            memory.remember(&name(&format!("n{number}.test")), Fault::Failed, at(0));
        }
        let names = names(&memory, at(1));
        assert_eq!(names.len(), 32);
        assert_eq!(names[0], "n99.test");
        assert_eq!(names[31], "n68.test");
    }
}
