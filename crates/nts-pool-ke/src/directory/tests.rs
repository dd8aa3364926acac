use super::*;
use crate::fleet::Class;
use crate::selection::{Denial, Family, Live, Location, User};

/// A directory of so many sources `127.0.0.1` on ports from 1 on.
fn directory(count: u16) -> Directory {
    let source = |port| SourceConfig::new("127.0.0.1", port).unwrap();
    let sources: Vec<_> = (1..=count).map(source).collect();
    Directory::new(
        &sources,
        SelectionPolicy::default(),
        HealthPolicy::default(),
    )
    .unwrap()
}

fn source(position: u32) -> SourceIndex {
    SourceIndex::new(position)
}

async fn pass(time: Duration) {
    tokio::time::advance(time).await;
}

/// Who can serve is no business of a directory.
struct Admitted<'a>(&'a Directory);

impl Live for Admitted<'_> {
    fn admits(&self, source: SourceIndex) -> bool {
        self.0.admits(source)
    }

    fn can_serve(&self, _: SourceIndex) -> bool {
        true
    }
}

/// All sources that one user could get, one after the other.
fn candidates(directory: &Directory) -> Vec<usize> {
    let snapshot = directory.snapshot();
    let denial = Denial::default();
    let mut choice = snapshot.choose(User {
        family: Family::V4,
        location: Location::default(),
        label: None,
        denial: &denial,
    });
    let mut rng = rand::rng();
    let picks = std::iter::from_fn(|| choice.next(&Admitted(directory), &mut rng));
    let mut positions: Vec<_> = picks.map(|pick| pick.source.get()).collect();
    positions.sort_unstable();
    positions
}

/// For so long everybody passes his checks but `bad`. Gives who was checked.
async fn run(directory: &Directory, bad: &[SourceIndex], time: Duration) -> Vec<SourceIndex> {
    let end = now() + time;
    let mut checked = Vec::new();
    loop {
        let (to_check, next) = directory.pass_time();
        for source in &to_check {
            directory.report(
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
    let directory = directory(5);
    assert_eq!(candidates(&directory), [0, 1, 2, 3, 4]);
    assert!(!directory.is_ready() && !directory.is_in_panic());
    let mut checked = run(&directory, &[], Duration::from_secs(2)).await;
    checked.sort();
    assert_eq!(checked, [0, 1, 2, 3, 4].map(source));
    assert!(directory.is_ready());
    assert_eq!(directory.state(source(4)), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn an_ejected_source_is_passed_over_at_once_and_comes_back_by_checks_alone() {
    let directory = directory(5);
    run(&directory, &[], Duration::from_secs(2)).await;
    for _ in 0..2 {
        directory.report(source(1), Event::FailedAfterKeys(Class::Protocol));
    }
    assert_eq!(directory.state(source(1)), State::Ejected);
    assert!(!directory.admits(source(1)));
    assert_eq!(candidates(&directory), [0, 2, 3, 4]);
    // A first ejection lasts 24 to 36 seconds, and two checks at most 5 seconds more.
    run(&directory, &[], Duration::from_secs(20)).await;
    assert_eq!(directory.state(source(1)), State::Ejected);
    run(&directory, &[], Duration::from_secs(25)).await;
    assert_eq!(directory.state(source(1)), State::Ramp);
    assert_eq!(candidates(&directory), [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn when_nobody_is_in_service_users_get_somebody_all_the_same() {
    let directory = directory(1);
    run(&directory, &[source(0)], Duration::from_secs(20)).await;
    assert!(directory.is_in_panic() && !directory.is_ready());
    assert_eq!(candidates(&directory), [0]);
    run(&directory, &[], Duration::from_secs(60)).await;
    assert!(!directory.is_in_panic() && directory.is_ready());
}

#[tokio::test(start_paused = true)]
async fn names_can_be_denied_as_soon_as_they_are_known() {
    let directory = directory(2);
    let name = |text: &str| text.parse::<NtpServerName>().unwrap();
    let find = |text: &str| directory.snapshot().names().find(text).to_vec();
    assert_eq!(find("127.0.0.1"), [0, 1].map(source));
    assert_eq!(directory.note_name(source(1), &name("Ntp.b.test.")), Ok(()));
    assert_eq!(find("ntp.B.test"), [source(1)]);
    directory.set_listed_names(source(0), &[name("ntp.a.test")]);
    assert_eq!(find("ntp.a.test"), [source(0)]);
    directory.set_listed_names(source(0), &[]);
    assert_eq!(find("ntp.a.test"), []);
}

#[tokio::test(start_paused = true)]
async fn who_waits_hears_what_has_become_due_sooner() {
    let directory = directory(5);
    run(&directory, &[], Duration::from_secs(2)).await;
    let waiting = directory.news();
    pass(Duration::from_secs(5)).await;
    directory.report(source(0), Event::FailedBeforeKeys(Class::Reach));
    waiting.await;
    assert!(directory.pass_time().0.contains(&source(0)));
}
