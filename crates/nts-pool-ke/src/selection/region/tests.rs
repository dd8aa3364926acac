use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn country(code: &str) -> Country {
    Country::from_code(code).unwrap()
}

fn nordic() -> Groups {
    let countries = ["SE", "NO", "DK", "FI", "IS"].map(country).to_vec();
    Groups::new(vec![Group {
        name: "Nordic Countries".to_owned(),
        countries,
    }])
    .unwrap()
}

#[test]
fn every_country_is_there_once() {
    let codes: BTreeSet<_> = table::all().collect();
    // ISO 3166-1 has 249 since 2011; Kosovo comes on top.
    assert_eq!(codes.len(), 250);
    assert_eq!(table::all().count(), 250);
    for code in codes {
        assert_eq!(Country::from_code(code.code()), Some(code));
    }
}

#[test]
fn countries_have_their_continents() {
    for (code, continent) in [
        ("de", Continent::Europe),
        ("NA", Continent::Africa),
        ("US", Continent::NorthAmerica),
        ("BR", Continent::SouthAmerica),
        ("AQ", Continent::Antarctica),
        ("nz", Continent::Oceania),
        ("JP", Continent::Asia),
        ("XK", Continent::Europe),
    ] {
        assert_eq!(country(code).continent(), continent, "{code}");
    }
}

#[test]
fn letters_that_are_no_country_are_none() {
    for code in ["", "D", "DEU", "ZZ", "UK", "EU", "A ", "ß", "1A"] {
        assert_eq!(Country::from_code(code), None, "{code}");
    }
}

#[test]
fn every_spelling_of_a_continent_is_understood() {
    let groups = Groups::default();
    for text in [
        "NORTH-AMERICA",
        "NORTH_AMERICA",
        "North America",
        "north-america",
    ] {
        assert_eq!(
            Region::parse(text, &groups),
            Ok(Region::Continent(Continent::NorthAmerica)),
            "{text}"
        );
    }
    for (text, continent) in [
        ("EU", Continent::Europe),
        ("oc", Continent::Oceania),
        ("AN", Continent::Antarctica),
        ("SOUTH_AMERICA", Continent::SouthAmerica),
        (" asia ", Continent::Asia),
    ] {
        assert_eq!(
            Region::parse(text, &groups),
            Ok(Region::Continent(continent)),
            "{text}"
        );
    }
}

#[test]
fn two_letters_that_mean_two_things_are_refused_with_the_cure() {
    let error = Region::parse("na", &Groups::default()).unwrap_err();
    assert_eq!(
        error,
        RegionError::Ambiguous {
            country: country("NA"),
            continent: Continent::NorthAmerica
        }
    );
    assert_eq!(
        error.to_string(),
        "`NA` is a country and a continent: write `country:NA` or `north-america`"
    );
    assert_eq!(
        Region::parse("country:na", &Groups::default()),
        Ok(Region::Country(country("NA")))
    );
    let ambiguous: Vec<_> = table::all()
        .filter(|country| Continent::from_code(country.code()).is_some())
        .map(|country| country.code().to_owned())
        .collect();
    assert_eq!(ambiguous, ["NA", "AF", "SA", "AS"]);
}

#[test]
fn what_is_no_region_is_refused() {
    for text in [
        "",
        "country:",
        "country:ZZ",
        "country:europe",
        "ZZ",
        "nordic",
        "DEU",
    ] {
        assert_eq!(
            Region::parse(text, &Groups::default()),
            Err(RegionError::Unknown(text.to_owned()))
        );
    }
}

#[test]
fn groups_are_found_by_name_and_by_country() {
    let groups = nordic();
    let Ok(Region::Group(group)) = Region::parse("NORDIC_countries", &groups) else {
        panic!("not found");
    };
    assert_eq!(groups.of(country("IS")), Some(group));
    assert_eq!(groups.of(country("DE")), None);
    assert_eq!(groups.continent(group), Some(Continent::Europe));
}

#[test]
fn a_group_across_continents_is_on_none() {
    let groups = Groups::new(vec![Group {
        name: "mediterranean".to_owned(),
        countries: vec![country("IT"), country("TN")],
    }])
    .unwrap();
    let group = groups.of(country("TN")).unwrap();
    assert_eq!(groups.continent(group), None);
}

#[test]
fn groups_must_not_contradict_each_other() {
    let group = |name: &str, codes: &[&str]| Group {
        name: name.to_owned(),
        countries: codes.iter().map(|code| country(code)).collect(),
    };
    for taken in ["DE", "na", "Europe", "global", "", "country:xx"] {
        assert_eq!(
            Groups::new(vec![group(taken, &["FR"])]),
            Err(GroupError::NameTaken(taken.to_owned()))
        );
    }
    assert_eq!(
        Groups::new(vec![group("a-b", &["FR"]), group("A b", &["DE"])]),
        Err(GroupError::NameTaken("A b".to_owned()))
    );
    assert_eq!(
        Groups::new(vec![group("none", &[])]),
        Err(GroupError::Empty("none".to_owned()))
    );
    assert_eq!(
        Groups::new(vec![
            group("one", &["FR", "FR"]),
            group("two", &["DE", "FR"])
        ]),
        Err(GroupError::CountryTwice {
            country: country("FR"),
            first: "one".to_owned(),
            second: "two".to_owned()
        })
    );
}

fn any_region() -> impl Strategy<Value = Region> {
    let countries: Vec<_> = table::all().collect();
    prop_oneof![
        prop::sample::select(countries).prop_map(Region::Country),
        prop::sample::select(Continent::ALL.to_vec()).prop_map(Region::Continent),
        Just(Region::Global),
        Just(Region::Group(nordic().of(country("SE")).unwrap())),
    ]
}

proptest! {
    #[test]
    fn p14_a_region_reads_back_as_it_was_written(region in any_region()) {
        let groups = nordic();
        prop_assert_eq!(Region::parse(&region.spelling(&groups), &groups), Ok(region));
    }

    #[test]
    fn p14_any_text_is_a_region_or_refused(text in ".{0,40}") {
        let _ = Region::parse(&text, &nordic());
    }
}
