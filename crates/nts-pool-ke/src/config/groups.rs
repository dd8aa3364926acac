//! `[[selection.groups]]`: named groups of countries, which the `regions` of a source may name. In a
//! signed list they are called regions.

use nts_service::config::Section;

use crate::selection::{Country, Group, GroupError, Groups};

const NAME: &str = "name";
const COUNTRIES: &str = "countries";

/// Reads the groups at `key`; those with problems, which were reported, are left out.
pub(super) fn read(selection: &Section<'_>, key: &'static str) -> Groups {
    let mut groups = Groups::default();
    for section in selection.sections(key) {
        let name = section.required::<String>(NAME);
        let countries = read_countries(&section);
        let (Some(name), Some(countries)) = (name, countries) else {
            continue;
        };
        if let Err(error) = groups.add(Group { name, countries }) {
            let key = match error {
                GroupError::NameTaken(_) => NAME,
                GroupError::Empty(_) | GroupError::CountryTwice { .. } => COUNTRIES,
            };
            section.error(key, error.to_string());
        }
    }
    groups
}

fn read_countries(section: &Section<'_>) -> Option<Vec<Country>> {
    if !section.has(COUNTRIES) {
        section.required::<String>(COUNTRIES);
        return None;
    }
    let codes = section.list::<String>(COUNTRIES)?;
    let countries = codes.iter().map(|code| {
        let country = Country::from_code(code);
        if country.is_none() {
            let message = format!("`{}` is no ISO 3166-1 country code such as `DE`", **code);
            section.problems().error(code.place(), message);
        }
        country
    });
    let countries: Vec<_> = countries.collect();
    countries.into_iter().collect()
}
