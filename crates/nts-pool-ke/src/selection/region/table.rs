//! Every country and the continent it is counted with.
//!
//! Codes: ISO 3166-1 alpha-2, and `XK`, which is user-assigned there and means Kosovo to geo
//! databases. Continents: the division into seven that geo databases use.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::{Continent, Country};

const COUNTRIES: [(Continent, &str); 7] = [
    (
        Continent::Africa,
        "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA \
         MG ML MR MU MW MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW",
    ),
    (Continent::Antarctica, "AQ BV GS HM TF"),
    (
        Continent::Asia,
        "AE AF AM AZ BD BH BN BT CC CN CX GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB \
         LK MM MN MO MV MY NP OM PH PK PS QA SA SG SY TH TJ TL TM TR TW UZ VN YE",
    ),
    (
        Continent::Europe,
        "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE \
         LI LT LU LV MC MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK",
    ),
    (
        Continent::NorthAmerica,
        "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX \
         NI PA PM PR SV SX TC TT US VC VG VI",
    ),
    (
        Continent::Oceania,
        "AS AU CK FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TO TV UM VU WF WS",
    ),
    (
        Continent::SouthAmerica,
        "AR BO BR CL CO EC FK GF GY PE PY SR UY VE",
    ),
];

/// Countries by their two letters.
static BY_CODE: LazyLock<HashMap<[u8; 2], Country>> =
    LazyLock::new(|| all().map(|country| (country.code, country)).collect());

/// The country with this code in upper case.
pub(super) fn find(code: [u8; 2]) -> Option<Country> {
    BY_CODE.get(&code).copied()
}

/// Every country.
pub(super) fn all() -> impl Iterator<Item = Country> {
    COUNTRIES.into_iter().flat_map(|(continent, codes)| {
        codes
            .split_ascii_whitespace()
            .filter_map(|code| code.as_bytes().try_into().ok())
            .map(move |code| Country { code, continent })
    })
}
