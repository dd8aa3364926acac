//! Whether everything fails at once: then it is not the sources that are ill, but this node's
//! network.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::SourceKey;
use super::policy::HealthPolicy;

/// Who is failing, and who began to fail only lately.
#[derive(Debug)]
pub(super) struct Outage {
    window: Duration,
    at_least: usize,
    /// Who began to fail within the window, in order; entries outlive a recovery.
    began: VecDeque<(Instant, SourceKey)>,
    /// Of these, how many still fail.
    fresh: usize,
    /// How many fail for longer than that.
    stale: usize,
    /// Who began before is not in `began` any more.
    horizon: Option<Instant>,
    panic: Option<Panic>,
}

/// The state in which nobody is ejected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panic {
    /// Since when anything works.
    pub(super) working_since: Option<Instant>,
    /// Since when hardly anybody fails.
    pub(super) calm_since: Option<Instant>,
    /// When to look again whether it is over.
    pub(super) look: Instant,
}

impl Outage {
    pub(super) fn new(policy: &HealthPolicy) -> Self {
        Self {
            window: policy.outage_window,
            at_least: policy.outage_at_least,
            began: VecDeque::new(),
            fresh: 0,
            stale: 0,
            horizon: None,
            panic: None,
        }
    }

    /// Goes by other constants from now on.
    pub(super) fn set_policy(&mut self, policy: &HealthPolicy) {
        self.window = policy.outage_window;
        self.at_least = policy.outage_at_least;
    }

    /// A source fails now, and did not before.
    pub(super) fn began_failing(&mut self, source: SourceKey, now: Instant) {
        self.began.push_back((now, source));
        self.fresh += 1;
    }

    /// A source that has been failing since `since` does no more, or is gone.
    pub(super) fn stopped_failing(&mut self, since: Instant) {
        let counted = if self.horizon.is_none_or(|horizon| since >= horizon) {
            &mut self.fresh
        } else {
            &mut self.stale
        };
        *counted = counted.saturating_sub(1);
    }

    /// Whether everything fails at once: more than half, and of a few sources all. Of `sources`
    /// those do not count that have been failing for long. `failing_since` tells of each since
    /// when it is failing, if it is.
    pub(super) fn is_general(
        &mut self,
        sources: usize,
        now: Instant,
        failing_since: impl Fn(SourceKey) -> Option<Instant>,
    ) -> bool {
        self.age(now, failing_since);
        let others = sources.saturating_sub(self.stale);
        self.fresh >= self.at_least.min(others) && 2 * self.fresh > others
    }

    fn age(&mut self, now: Instant, failing_since: impl Fn(SourceKey) -> Option<Instant>) {
        let Some(horizon) = now.checked_sub(self.window) else {
            return;
        };
        while let Some(&(began, source)) = self.began.front()
            && began < horizon
        {
            self.began.pop_front();
            if failing_since(source) == Some(began) {
                self.fresh = self.fresh.saturating_sub(1);
                self.stale += 1;
            }
        }
        self.horizon = self.horizon.max(Some(horizon));
    }

    /// The state in which nobody is ejected, if this is it.
    pub(super) fn panic(&self) -> Option<&Panic> {
        self.panic.as_ref()
    }

    pub(super) fn set_panic(&mut self, panic: Option<Panic>) {
        self.panic = panic;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// An outage detector and who is failing since when.
    struct World {
        outage: Outage,
        failing: BTreeMap<SourceKey, Instant>,
        start: Instant,
    }

    impl World {
        fn new() -> Self {
            Self {
                outage: Outage::new(&HealthPolicy::default()),
                failing: BTreeMap::new(),
                start: Instant::now() + Duration::from_secs(1000),
            }
        }

        fn fails(&mut self, source: u64, second: u64) {
            let now = self.start + Duration::from_secs(second);
            self.failing.insert(SourceKey(source), now);
            self.outage.began_failing(SourceKey(source), now);
        }

        fn works(&mut self, source: u64) {
            let since = self.failing.remove(&SourceKey(source)).unwrap();
            self.outage.stopped_failing(since);
        }

        fn is_general(&mut self, sources: usize, second: u64) -> bool {
            let now = self.start + Duration::from_secs(second);
            let failing = &self.failing;
            self.outage
                .is_general(sources, now, |source| failing.get(&source).copied())
        }
    }

    #[test]
    fn more_than_half_at_once_is_general() {
        let mut world = World::new();
        (0..5).for_each(|source| world.fails(source, source));
        assert!(!world.is_general(10, 5));
        world.fails(5, 6);
        assert!(world.is_general(10, 6));
        world.works(0);
        assert!(!world.is_general(10, 6));
    }

    #[test]
    fn fewer_than_four_are_not_unless_there_are_no_more() {
        let mut world = World::new();
        assert!(!world.is_general(0, 0));
        assert!(!world.is_general(1, 0));
        world.fails(0, 0);
        assert!(world.is_general(1, 0));
        assert!(!world.is_general(2, 0));
        (1..3).for_each(|source| world.fails(source, 0));
        assert!(world.is_general(3, 0));
        for others in 4..6 {
            assert!(!world.is_general(others, 0));
        }
        world.fails(3, 0);
        assert!(world.is_general(4, 0));
        assert!(world.is_general(7, 0));
        assert!(!world.is_general(8, 0));
    }

    #[test]
    fn one_after_the_other_is_not_at_once() {
        let mut world = World::new();
        for source in 0..50 {
            world.fails(source, 10 * source);
            assert!(!world.is_general(60, 10 * source));
        }
    }

    #[test]
    fn those_who_fail_for_long_do_not_count() {
        let mut world = World::new();
        (0..40).for_each(|source| world.fails(source, source * 20));
        // Of a hundred, forty are dead for long; then everything else fails.
        (40..70).for_each(|source| world.fails(source, 2000));
        assert!(!world.is_general(100, 2000));
        world.fails(70, 2000);
        assert!(world.is_general(100, 2000));
        assert!(!world.is_general(100, 2031));
        // Those who are back count again.
        (0..71).for_each(|source| world.works(source));
        assert_eq!((world.outage.fresh, world.outage.stale), (0, 0));
    }

    #[test]
    fn who_recovers_and_fails_again_counts_once() {
        let mut world = World::new();
        for second in 0..20 {
            world.fails(1, second);
            world.works(1);
        }
        world.fails(1, 20);
        assert_eq!(world.outage.fresh, 1);
        assert!(!world.is_general(4, 49));
        assert_eq!(world.outage.fresh, 1);
        assert!(!world.is_general(4, 51));
        assert_eq!((world.outage.fresh, world.outage.stale), (0, 1));
    }
}
