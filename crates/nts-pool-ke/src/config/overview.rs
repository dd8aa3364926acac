//! What selection makes of the sources, for a person who reads the effective configuration: how
//! many there are where, and whether users get their first one there.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

use crate::selection::{Family, LevelKind, Roster, SelectionPolicy};

use super::{Config, SourceConfig};

/// A table in comments.
pub(super) struct Overview {
    sources: usize,
    drained: usize,
    /// Whether it is known where users are.
    geo: bool,
    rows: Vec<Row>,
}

/// One region.
struct Row {
    region: String,
    kind: LevelKind,
    whole: Count,
    /// Those for users of one family, in the order of [`Family::ALL`].
    families: [Count; Family::ALL.len()],
    /// Whether users of that family get their first source here.
    first: [bool; Family::ALL.len()],
}

/// Sources that may be picked.
#[derive(Clone, Copy)]
struct Count {
    sources: usize,
    operators: usize,
    weight: u64,
}

impl Overview {
    /// That of this configuration.
    pub(super) fn of(config: &Config) -> Self {
        let sources = &config.sources.sources;
        let entries = sources.iter().map(SourceConfig::entry).collect();
        let roster = Roster::new(entries, config.groups.clone());
        let regions = roster.iter().flat_map(Roster::regions);
        let mut rows: Vec<_> = regions
            .map(|(region, members)| {
                let members = members.into_iter();
                let members = members.filter_map(|it| sources.get(it.get()));
                let members: Vec<_> = members.filter(|it| it.weight > 0).collect();
                let families = Family::ALL.map(|family| count(&members, Some(family)));
                Row {
                    region: region.spelling(&config.groups),
                    kind: region.into(),
                    whole: count(&members, None),
                    families,
                    first: families.map(|count| count.is_enough(&config.selection)),
                }
            })
            .collect();
        rows.sort_by(|one, other| {
            let order = |row: &Row| (Reverse(row.kind), Reverse(row.whole.weight));
            let by_name = one.region.cmp(&other.region);
            order(one).cmp(&order(other)).then(by_name)
        });
        Self {
            sources: sources.len(),
            drained: sources.iter().filter(|it| it.weight == 0).count(),
            geo: config.geo.as_ref().is_some_and(|geo| geo.geo.is_some()),
            rows,
        }
    }
}

fn count(sources: &[&SourceConfig], family: Option<Family>) -> Count {
    let serves = |it: &&SourceConfig| family.is_none_or(|family| it.families.includes(family));
    let sources: Vec<_> = sources.iter().copied().filter(serves).collect();
    let alone = sources.iter().filter(|it| it.operator.is_none()).count();
    let operators = sources.iter().filter_map(|it| it.operator.as_ref());
    let operators: BTreeSet<_> = operators.collect();
    Count {
        sources: sources.len(),
        operators: alone + operators.len(),
        weight: sources.iter().map(|it| u64::from(it.weight)).sum(),
    }
}

impl Count {
    fn is_enough(self, policy: &SelectionPolicy) -> bool {
        self.sources >= policy.local_min_sources && self.operators >= policy.local_min_operators
    }
}

impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sources, rows, .. } = self;
        match self.drained {
            0 => writeln!(f, "# {sources} sources:")?,
            drained => writeln!(
                f,
                "# {sources} sources, {drained} of them without weight. The others:"
            )?,
        }
        let width = rows.iter().map(|row| row.region.len()).max();
        let width = width.unwrap_or_default().max(6);
        writeln!(
            f,
            "# {:width$}  sources  operators  weight   IPv4   IPv6  first source of users there",
            "region"
        )?;
        rows.iter().try_for_each(|row| row.show(f, width, self.geo))
    }
}

impl Row {
    fn show(&self, f: &mut fmt::Formatter<'_>, width: usize, geo: bool) -> fmt::Result {
        let Count {
            sources,
            operators,
            weight,
        } = self.whole;
        let [v4, v6] = self.families.map(|count| count.sources);
        let first = match (self.kind, self.first) {
            (LevelKind::Global, _) if geo => "from here, if from nowhere nearer",
            (LevelKind::Global, _) => "from here",
            _ if !geo => "from anywhere, since there is no geo database",
            (_, [true, true]) => "from here",
            (_, [true, false]) => "from here for IPv4, from farther away for IPv6",
            (_, [false, true]) => "from here for IPv6, from farther away for IPv4",
            (_, [false, false]) => "from farther away",
        };
        let region = &self.region;
        writeln!(
            f,
            "# {region:width$}  {sources:>7}  {operators:>9}  {weight:>6}  {v4:>5}  {v6:>5}  {first}"
        )
    }
}
