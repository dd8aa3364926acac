use super::*;
use crate::fleet::Class;
use crate::selection::{Denial, Family, Live, Location, User};

/// A directory and its present roll.
struct Office {
    directory: Directory,
    roll: Arc<Roll>,
}

/// Sources `127.0.0.1` on these ports.
fn configs(ports: impl IntoIterator<Item = u16>) -> Vec<SourceConfig> {
    let source = |port| SourceConfig::new("127.0.0.1", port).unwrap();
    ports.into_iter().map(source).collect()
}

impl Office {
    /// So many sources on ports from 1 on.
    fn open(count: u16) -> Self {
        let mut office = Self {
            directory: Directory::new(HealthPolicy::default()),
            roll: Arc::default(),
        };
        office.enrol(&configs(1..=count), &[], Arrival::AtStart);
        office
    }

    /// Replaces the list; `known` by position.
    fn enrol(&mut self, configs: &[SourceConfig], known: &[Option<SourceKey>], arrival: Arrival) {
        let known = known.iter().copied().chain(std::iter::repeat(None));
        let sources: Vec<_> = std::iter::zip(configs, known)
            .map(|(config, known)| Enrolment { config, known })
            .collect();
        let (selection, health) = Default::default();
        let roll = self
            .directory
            .enrol(&sources, arrival, Groups::default(), selection, health);
        self.roll = roll.unwrap();
    }

    fn key(&self, position: usize) -> SourceKey {
        self.roll.sources().nth(position).unwrap().1
    }

    fn state(&self, position: usize) -> State {
        self.directory.state(self.key(position))
    }

    fn admits(&self, position: u32) -> bool {
        self.roll.admits(SourceIndex::new(position))
    }

    fn report(&self, position: usize, event: Event) {
        self.directory.report(self.key(position), event);
    }

    /// The positions of the sources of that name.
    fn find(&self, name: &str) -> Vec<usize> {
        let snapshot = self.roll.snapshot();
        let found = snapshot.names().find(name);
        found.iter().map(|source| source.get()).collect()
    }
}

fn name(text: &str) -> NtpServerName {
    text.parse().unwrap()
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

/// Who can serve is no business of a directory.
struct Admitted<'a>(&'a Roll);

impl Live for Admitted<'_> {
    fn admits(&self, source: SourceIndex) -> bool {
        self.0.admits(source)
    }

    fn can_serve(&self, _: SourceIndex) -> bool {
        true
    }

    fn is_in_panic(&self) -> bool {
        self.0.is_in_panic()
    }
}

/// All sources that one user could get, one after the other.
fn candidates(roll: &Roll) -> Vec<usize> {
    let snapshot = roll.snapshot();
    let mut choice = snapshot.choose(User {
        family: Family::V4,
        location: Location::default(),
        label: None,
        denial: Denial::default(),
    });
    let mut rng = rand::rng();
    let picks = std::iter::from_fn(|| choice.next(&Admitted(roll), &mut rng));
    let mut positions: Vec<_> = picks.map(|pick| pick.source.get()).collect();
    positions.sort_unstable();
    positions
}

/// For so long everybody passes his checks but those at the positions `bad`. Gives who was checked.
async fn run(office: &Office, bad: &[usize], time: Duration) -> Vec<SourceKey> {
    let end = now() + time;
    let mut checked = Vec::new();
    let bad: Vec<_> = bad.iter().map(|position| office.key(*position)).collect();
    loop {
        let (to_check, next) = office.directory.pass_time();
        for source in &to_check {
            office.directory.report(
                *source,
                match bad.contains(source) {
                    true => Event::CheckFailed(Class::Reach),
                    false => Event::CheckPassed,
                },
            );
        }
        if to_check.is_empty() {
            let Some(next) = next.filter(|next| *next < end) else {
                pass(end - now()).await;
                return checked;
            };
            // The test's clock counts milliseconds.
            pass(next.saturating_duration_since(now()) + Duration::from_millis(1)).await;
        }
        checked.extend(to_check);
    }
}

#[tokio::test(start_paused = true)]
async fn all_are_checked_at_the_start_and_may_be_picked_before() {
    let office = Office::open(5);
    assert_eq!(candidates(&office.roll), [0, 1, 2, 3, 4]);
    assert!(!office.directory.is_ready() && !office.directory.is_in_panic());
    let mut checked = run(&office, &[], Duration::from_secs(2)).await;
    checked.sort();
    assert_eq!(checked, [0, 1, 2, 3, 4].map(|it| office.key(it)));
    assert!(office.directory.is_ready());
    assert_eq!(office.state(4), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn an_ejected_source_is_passed_over_at_once_and_comes_back_by_checks_alone() {
    let office = Office::open(5);
    run(&office, &[], Duration::from_secs(2)).await;
    for _ in 0..2 {
        office.report(1, Event::FailedAfterKeys(Class::Protocol));
    }
    assert_eq!(office.state(1), State::Ejected);
    assert!(!office.admits(1));
    assert_eq!(candidates(&office.roll), [0, 2, 3, 4]);
    // A first ejection lasts 24 to 36 seconds, and two checks at most 5 seconds more.
    run(&office, &[], Duration::from_secs(20)).await;
    assert_eq!(office.state(1), State::Ejected);
    run(&office, &[], Duration::from_secs(25)).await;
    assert_eq!(office.state(1), State::Ramp);
    assert_eq!(candidates(&office.roll), [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn when_nobody_is_in_service_users_get_somebody_all_the_same() {
    let office = Office::open(1);
    run(&office, &[0], Duration::from_secs(20)).await;
    assert!(office.directory.is_in_panic() && !office.directory.is_ready());
    assert_eq!(candidates(&office.roll), [0]);
    run(&office, &[], Duration::from_secs(60)).await;
    assert!(!office.directory.is_in_panic() && office.directory.is_ready());
}

#[tokio::test(start_paused = true)]
async fn names_can_be_denied_as_soon_as_they_are_known() {
    let office = Office::open(2);
    assert_eq!(office.find("127.0.0.1"), [0, 1]);
    let key = office.key(1);
    let noted = office.directory.note_name(key, &name("Ntp.b.test."));
    assert_eq!(noted, Ok(()));
    assert_eq!(office.find("ntp.B.test"), [1]);
}

#[tokio::test(start_paused = true)]
async fn names_that_sources_list_can_be_denied_a_moment_later_or_when_an_answer_has_one() {
    let office = Office::open(3);
    let (first, second) = (office.key(0), office.key(1));
    run(&office, &[], Duration::from_secs(2)).await;
    // What was said before anybody waited.
    office.directory.news().await;
    office
        .directory
        .set_listed_names(first, &[name("ntp.a.test")]);
    office
        .directory
        .set_listed_names(second, &[name("ntp.b.test")]);
    office.directory.news().await;
    assert!(office.find("ntp.a.test").is_empty());
    let noted = office.directory.note_name(second, &name("ntp.b.test"));
    assert_eq!((noted, office.find("ntp.b.test")), (Ok(()), vec![1]));
    assert_eq!(office.find("ntp.a.test"), [0]);
    office.directory.set_listed_names(first, &[]);
    run(&office, &[], REBUILD_PAUSE * 2).await;
    assert!(office.find("ntp.a.test").is_empty());
    assert_eq!(office.find("127.0.0.1"), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn tables_that_are_made_anew_keep_an_index_of_names_that_did_not_change() {
    let office = Office::open(3);
    let before = Arc::clone(office.roll.snapshot().names());
    run(&office, &[0], Duration::from_secs(20)).await;
    assert_eq!(office.state(1), State::Healthy);
    assert!(Arc::ptr_eq(&before, office.roll.snapshot().names()));
    let key = office.key(2);
    office
        .directory
        .note_name(key, &name("ntp.c.test"))
        .unwrap();
    assert!(!Arc::ptr_eq(&before, office.roll.snapshot().names()));
}

#[tokio::test(start_paused = true)]
async fn who_waits_hears_what_has_become_due_sooner() {
    let office = Office::open(5);
    run(&office, &[], Duration::from_secs(2)).await;
    // What was said before anybody waited.
    office.directory.news().await;
    let waiting = office.directory.news();
    pass(Duration::from_secs(5)).await;
    office.report(0, Event::FailedBeforeKeys(Class::Reach));
    waiting.await;
    assert!(office.directory.pass_time().0.contains(&office.key(0)));
}

#[tokio::test(start_paused = true)]
async fn who_stays_in_the_list_keeps_what_is_known_of_him() {
    let mut office = Office::open(5);
    run(&office, &[], Duration::from_secs(2)).await;
    let (ejected, gone) = (office.key(1), office.key(0));
    for _ in 0..2 {
        office.report(1, Event::FailedAfterKeys(Class::Protocol));
    }
    office
        .directory
        .note_name(ejected, &name("ntp.b.test"))
        .unwrap();
    let before = Arc::clone(&office.roll);
    let known = [None, Some(office.key(4)), Some(ejected)];
    office.enrol(&configs([7, 5, 2]), &known, Arrival::Later);
    assert_eq!(
        [0, 1, 2].map(|it| office.state(it)),
        [State::Unknown, State::Healthy, State::Ejected]
    );
    assert_eq!(office.key(2), ejected);
    assert_eq!(candidates(&office.roll), [0, 1]);
    assert_eq!(office.find("ntp.b.test"), [2]);
    // Exchanges that began before go on with what they have, without whoever has failed since.
    assert_eq!(candidates(&before), [0, 2, 3, 4]);
    for _ in 0..2 {
        office.report(1, Event::CheckFailed(Class::Identity));
    }
    assert_eq!(candidates(&before), [0, 2, 3]);
    // Whoever is gone has no say any more.
    office.directory.report(gone, Event::Served);
    assert_eq!(
        office.directory.note_name(gone, &name("ntp.a.test")),
        Ok(())
    );
    assert!(office.find("ntp.a.test").is_empty());
    let checked = run(&office, &[], Duration::from_secs(120)).await;
    assert!(!checked.contains(&gone) && checked.contains(&ejected));
    // Who comes later gets his users little by little.
    assert_eq!(office.state(0), State::Ramp);
}

#[tokio::test(start_paused = true)]
async fn configured_names_are_those_of_the_new_list() {
    let mut office = Office::open(1);
    let mut list = configs([1]);
    list[0].ntp_names = vec![name("ntp.a.test")];
    let key = office.key(0);
    office.enrol(&list, &[Some(key)], Arrival::Later);
    assert_eq!(office.find("ntp.a.test"), [0]);
    office.enrol(&configs([1]), &[Some(key)], Arrival::Later);
    assert!(office.find("ntp.a.test").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_no_good_changes_nothing() {
    let office = Office::open(2);
    let list = configs([3, 3]);
    let sources: Vec<_> = list
        .iter()
        .map(|config| Enrolment {
            config,
            known: None,
        })
        .collect();
    let (selection, health) = Default::default();
    let refused = office.directory.enrol(
        &sources,
        Arrival::Later,
        Groups::default(),
        selection,
        health,
    );
    assert!(refused.is_err());
    let mut checked = run(&office, &[], Duration::from_secs(2)).await;
    checked.sort();
    assert_eq!(checked, [office.key(0), office.key(1)]);
}
