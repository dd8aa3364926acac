//! One exchange's candidates, one after the other.

use std::sync::Arc;

use rand::CryptoRng;

use super::bins::HostLabel;
use super::family::Family;
use super::ladder::Ladder;
use super::level::{Level, LevelKind};
use super::names::Denial;
use super::region::Location;
use super::roster::SourceIndex;
use super::snapshot::{AllDenied, Snapshot};

/// Which user selection is for.
#[derive(Clone, Debug)]
pub struct User {
    /// The family of his address.
    pub family: Family,
    /// Where he is.
    pub location: Location,
    /// The numbered name by which he called the pool.
    pub label: Option<HostLabel>,
    /// What he does not want.
    pub denial: Denial,
}

/// What changes too fast for a snapshot. Asked during the draw, so answers must be immediate; they
/// may change from one question to the next.
pub trait Live {
    /// Whether health lets users be sent to the source.
    fn admits(&self, source: SourceIndex) -> bool;

    /// Whether the source can serve this user now: it has a slot free, and what it supports
    /// matches the user's offer or is not known.
    fn can_serve(&self, source: SourceIndex) -> bool;

    /// Whether users for whom no admitted source is left get one that is not admitted.
    fn is_in_panic(&self) -> bool;
}

/// How good a candidate is. A later tier is used only when all before it are empty, everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// Not denied, and run by nobody whose source is denied.
    OtherOperator,
    /// Not denied.
    Wanted,
    /// Denied: better than nothing.
    Denied,
    /// Not admitted: while the pool is in panic, this too is better than nothing.
    Panic,
}

impl Tier {
    /// All of them, best first.
    pub const ALL: [Self; 4] = [Self::OtherOperator, Self::Wanted, Self::Denied, Self::Panic];

    /// The name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::OtherOperator => "t1",
            Self::Wanted => "t2",
            Self::Denied => "t3",
            Self::Panic => "t4",
        }
    }
}

/// A candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pick {
    /// The source.
    pub source: SourceIndex,
    /// How good it is.
    pub tier: Tier,
    /// From how far it came.
    pub level: LevelKind,
}

/// The choice of one exchange. Each candidate is drawn when it is needed, from what then is
/// eligible, and none comes twice.
#[derive(Debug)]
pub struct Choice {
    snapshot: Arc<Snapshot>,
    ladder: Ladder,
    user: User,
    /// All candidates before `latest`: as a rule there are none, and nothing is allocated.
    tried: Vec<SourceIndex>,
    latest: Option<SourceIndex>,
}

impl Choice {
    pub(super) fn new(snapshot: Arc<Snapshot>, user: User) -> Self {
        Self {
            ladder: snapshot.ladder(&user),
            snapshot,
            user,
            tried: Vec::new(),
            latest: None,
        }
    }

    /// For whom it is.
    pub fn user(&self) -> &User {
        &self.user
    }

    /// Draws the next candidate, in exact proportion to effective weight within the best tier
    /// that has any at the nearest level that has any. `None` if no source is left.
    pub fn next(&mut self, live: &impl Live, rng: &mut (impl CryptoRng + ?Sized)) -> Option<Pick> {
        self.tried.extend(self.latest.take());
        let pick = self
            .tiers()
            .find_map(|tier| self.draw(tier, live, rng))
            .or_else(|| self.draw_in_panic(live, rng))?;
        self.latest = Some(pick.source);
        Some(pick)
    }

    /// Does not draw this source any more.
    pub fn exclude(&mut self, source: SourceIndex) {
        self.tried.push(source);
    }

    /// Lets a source that was drawn or excluded be drawn once more.
    pub fn readmit(&mut self, source: SourceIndex) {
        self.tried.extend(self.latest.take());
        self.tried.retain(|tried| *tried != source);
    }

    /// How good the next candidate will be, if there is one. Looks at sources until it finds one.
    pub fn best_left(&self, live: &impl Live) -> Option<Tier> {
        let everybody = self.levels().last();
        let is_left = |tier: &Tier| {
            everybody.is_some_and(|level| {
                let mut sources = level.whole.sources();
                sources.any(|source| self.is_eligible(*tier, source, live))
            })
        };
        let in_panic = || {
            let usable = |source| {
                (self.may_serve_denied() || !self.user.denial.contains(source))
                    && self.is_usable(source, live)
            };
            let mut sources = self.snapshot.everybody().sources();
            (live.is_in_panic() && sources.any(usable)).then_some(Tier::Panic)
        };
        self.tiers().find(is_left).or_else(in_panic)
    }

    fn levels(&self) -> impl Iterator<Item = &Level> {
        self.snapshot.levels(self.ladder)
    }

    /// The tiers that make a difference for this user.
    fn tiers(&self) -> impl Iterator<Item = Tier> + use<> {
        let policy = self.snapshot.policy();
        let denies = !self.user.denial.is_empty();
        [
            (denies && policy.operator_diversity).then_some(Tier::OtherOperator),
            Some(Tier::Wanted),
            self.may_serve_denied().then_some(Tier::Denied),
        ]
        .into_iter()
        .flatten()
    }

    fn may_serve_denied(&self) -> bool {
        !self.user.denial.is_empty() && self.snapshot.policy().all_denied == AllDenied::Serve
    }

    fn draw(
        &self,
        tier: Tier,
        live: &impl Live,
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Option<Pick> {
        let eligible = |source| self.is_eligible(tier, source, live);
        self.levels().find_map(|level| {
            let source = level
                .tables(self.user.label)
                .find_map(|table| table.draw(eligible, rng))?;
            Some(Pick {
                source,
                tier,
                level: level.kind,
            })
        })
    }

    /// Draws by configured weight from everybody whom the tiers did not yield.
    fn draw_in_panic(&self, live: &impl Live, rng: &mut (impl CryptoRng + ?Sized)) -> Option<Pick> {
        if !live.is_in_panic() {
            return None;
        }
        let table = self.snapshot.everybody();
        let denied = |source| self.user.denial.contains(source);
        let wanted = |source| !denied(source) && self.is_usable(source, live);
        let source = table.draw(wanted, rng).or_else(|| {
            let usable = |source| self.is_usable(source, live);
            self.may_serve_denied().then(|| table.draw(usable, rng))?
        })?;
        Some(Pick {
            source,
            tier: Tier::Panic,
            level: LevelKind::Global,
        })
    }

    fn is_eligible(&self, tier: Tier, source: SourceIndex, live: &impl Live) -> bool {
        self.in_tier(tier, source) && live.admits(source) && self.is_usable(source, live)
    }

    fn in_tier(&self, tier: Tier, source: SourceIndex) -> bool {
        let denial = &self.user.denial;
        match tier {
            Tier::OtherOperator => !self.has_denied_operator(source),
            Tier::Wanted => !denial.contains(source),
            Tier::Denied | Tier::Panic => true,
        }
    }

    fn has_denied_operator(&self, source: SourceIndex) -> bool {
        let operator = self.snapshot.roster().operator(source);
        operator.is_none_or(|operator| self.user.denial.contains_operator(operator))
    }

    /// Everything but health and denial.
    fn is_usable(&self, source: SourceIndex, live: &impl Live) -> bool {
        let member = self.snapshot.roster().member(source);
        member.is_some_and(|member| member.families.includes(self.user.family))
            && self.latest != Some(source)
            && !self.tried.contains(&source)
            && live.can_serve(source)
    }
}
