//! Whether the program can do its work: a set of conditions with names, so that whoever asks learns
//! which of them fails.

use std::fmt;
use std::sync::Arc;

type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// A set of named conditions. Clones are the same set.
#[derive(Clone, Default)]
pub struct Readiness {
    conditions: Vec<(&'static str, Check)>,
}

impl Readiness {
    /// No conditions: ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition; its error says what is wrong. It must not wait for anything.
    #[must_use]
    pub fn when(
        mut self,
        name: &'static str,
        holds: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.conditions.push((name, Arc::new(holds)));
        self
    }

    /// Whether all conditions hold.
    ///
    /// # Errors
    /// One line, `name: what is wrong`, for each that does not.
    pub fn check(&self) -> Result<(), String> {
        let failed = self.conditions.iter().filter_map(|(name, holds)| {
            let reason = holds().err()?;
            Some(format!("{name}: {reason}"))
        });
        let failed: Vec<_> = failed.collect();
        match failed.is_empty() {
            true => Ok(()),
            false => Err(failed.join("\n")),
        }
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.conditions.iter().map(|(name, _)| name);
        f.debug_set().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn each_condition_that_fails_is_named() {
        assert_eq!(Readiness::new().check(), Ok(()));
        let good = Arc::new(AtomicBool::new(true));
        let seen = Arc::clone(&good);
        let readiness = Readiness::new()
            .when("running", || Ok(()))
            .when("certificate", move || match seen.load(Ordering::Relaxed) {
                true => Ok(()),
                false => Err("it expired".to_owned()),
            })
            .when("sources", || Err("none works".to_owned()));
        assert_eq!(readiness.check(), Err("sources: none works".to_owned()));
        good.store(false, Ordering::Relaxed);
        assert_eq!(
            readiness.check(),
            Err("certificate: it expired\nsources: none works".to_owned())
        );
        assert_eq!(
            format!("{readiness:?}"),
            r#"{"running", "certificate", "sources"}"#
        );
    }
}
