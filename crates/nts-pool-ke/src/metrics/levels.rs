//! How many sources each region has, as far as one would notice when they get few.
//!
//! There are as many regions as the configuration names: countries, continents, groups, and the
//! world. Nothing here depends on users.

use nts_service::telemetry::metrics::{Exposition, Kind};

use crate::fleet::State;
use crate::source::Source;
use crate::sources::Sources;

const WORKING: &str = "nts_pool_ke_level_sources";
const CONFIGURED: &str = "nts_pool_ke_level_sources_configured";

/// Writes both numbers of each region.
pub(super) fn show(sources: &Sources, page: &mut Exposition) {
    let snapshot = sources.snapshot();
    let roster = snapshot.roster();
    let overview = sources.directory().overview();
    let state = |source: &Source| overview.get(&source.key()).map(|(state, _)| *state);
    let levels: Vec<_> = roster
        .regions()
        .map(|(region, members)| {
            let members = members.into_iter().filter_map(|index| sources.get(index));
            let (mut working, mut configured) = (0_u32, 0_u32);
            for source in members.filter(|source| !source.is_drained()) {
                configured += 1;
                let works = matches!(state(source), Some(State::Healthy | State::Ramp));
                working += u32::from(works);
            }
            (region.spelling(roster.groups()), working, configured)
        })
        .collect();
    page.family(
        WORKING,
        Kind::Gauge,
        "Sources of a region that work: healthy ones, and those that get their users back.",
    );
    for (region, working, _) in &levels {
        page.sample(WORKING, &[("region", region)], f64::from(*working));
    }
    page.family(
        CONFIGURED,
        Kind::Gauge,
        "Sources of a region that are to have users.",
    );
    for (region, _, configured) in &levels {
        page.sample(CONFIGURED, &[("region", region)], f64::from(*configured));
    }
}
