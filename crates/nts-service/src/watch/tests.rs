use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;
use tokio::time::timeout;

use super::look::Look;
use super::*;

/// Looks at files that exist only here: `a1 b2` is content 1 in `a` and 2 in `b`, `a?` is unknown.
fn looks(text: &str) -> Looks {
    let look = |word: &str| {
        let (name, content) = word.split_at(1);
        let look = match content {
            "?" => Look::Unknown,
            digits => Look::Content(digits.parse().unwrap()),
        };
        (PathBuf::from(name), look)
    };
    text.split_whitespace().map(look).collect()
}

/// What is reported after each of the looks, the first of which is the beginning.
fn reported<const N: usize>(steps: [&str; N]) -> Vec<String> {
    let mut steps = steps.into_iter().map(looks);
    let mut review = Review::new(steps.next().unwrap());
    let report = |looks| {
        let changed = review.add(looks);
        let names = changed.iter().map(|it| it.display().to_string());
        names.collect::<Vec<_>>().join(" ")
    };
    steps.map(report).collect()
}

#[test]
fn a_change_is_reported_once_after_two_equal_looks() {
    assert_eq!(
        reported(["a1", "a1", "a2", "a3", "a3", "a3"]),
        ["", "", "", "a", ""]
    );
}

#[test]
fn what_changes_back_is_no_change() {
    assert_eq!(reported(["a1", "a2", "a1", "a1"]), ["", "", ""]);
    assert_eq!(reported(["a1", "a2", "a1", "a2", "a2"]), ["", "", "", "a"]);
}

#[test]
fn files_wait_for_each_other_but_not_for_ever() {
    assert_eq!(
        reported(["a1 b1", "a2 b1", "a2 b2", "a2 b2", "a2 b2"]),
        ["", "", "a b", ""]
    );
    let mut review = Review::new(looks("a1 b0"));
    let mut count = 0;
    let changed = loop {
        count += 1;
        let changed = review.add(looks(&format!("a2 b{count}")));
        if !changed.is_empty() {
            break changed;
        }
    };
    assert_eq!((changed, count), (vec![PathBuf::from("a")], 10));
    assert!(!review.is_at_rest());
}

#[test]
fn what_could_not_be_seen_is_no_change() {
    assert_eq!(reported(["a1", "a?", "a1", "a1"]), ["", "", ""]);
    assert_eq!(reported(["a1", "a2", "a?", "a2"]), ["", "", "a"]);
    assert_eq!(reported(["a?", "a1", "a1", "a2", "a2"]), ["", "", "", "a"]);
}

#[test]
fn of_other_files_only_what_was_watched_before_is_remembered() {
    let mut review = Review::new(looks("a1 b1"));
    assert!(review.add(looks("a2 b2")).is_empty());
    review.watch_instead(looks("a2 c1"));
    assert_eq!(review.files(), [PathBuf::from("a"), PathBuf::from("c")]);
    assert_eq!(review.add(looks("a2 c1")), [PathBuf::from("a")]);
    assert!(review.is_at_rest());
}

/// Looks so often that a test need not wait.
const TIMING: Timing = Timing {
    interval: Duration::from_millis(20),
    settle: Duration::from_millis(10),
};

const DEADLINE: Duration = Duration::from_secs(30);

struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path
    }
}

async fn watch(path: &Path) -> FileWatch {
    FileWatch::with_timing([path.to_owned()], TIMING).await
}

async fn changed(watch: &mut FileWatch) -> Vec<PathBuf> {
    timeout(DEADLINE, watch.changed()).await.unwrap()
}

#[tokio::test]
async fn content_mode_coming_and_going_are_seen() {
    let directory = Directory::new();
    let file = directory.write("file", "one");
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let mut watch = watch(&file).await;
    fs::write(&file, "two").unwrap();
    assert_eq!(changed(&mut watch).await, [file.as_path()]);
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(changed(&mut watch).await, [file.as_path()]);
    fs::remove_file(&file).unwrap();
    assert_eq!(changed(&mut watch).await, [file.as_path()]);
    fs::rename(directory.write("new", "two"), &file).unwrap();
    assert_eq!(changed(&mut watch).await, [file]);
}

#[tokio::test]
async fn an_exchanged_symbolic_link_is_seen() {
    // As a mount of secrets or configuration in a container is laid out.
    let directory = Directory::new();
    for (version, content) in [("v1", "one"), ("v2", "two")] {
        fs::create_dir(directory.path(version)).unwrap();
        directory.write(&format!("{version}/key"), content);
    }
    symlink("v1", directory.path("data")).unwrap();
    symlink("data/key", directory.path("key")).unwrap();
    let key = directory.path("key");
    let mut watch = watch(&key).await;
    symlink("v2", directory.path("new")).unwrap();
    fs::rename(directory.path("new"), directory.path("data")).unwrap();
    assert_eq!(changed(&mut watch).await, [key]);
}

#[tokio::test]
async fn what_is_no_regular_file_does_not_hold_up_the_watch() {
    let directory = Directory::new();
    let fifo = directory.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut watch = watch(&fifo).await;
    fs::remove_file(&fifo).unwrap();
    assert_eq!(changed(&mut watch).await, [fifo]);
}

#[tokio::test(start_paused = true)]
async fn a_change_takes_at_most_interval_and_settling() {
    let directory = Directory::new();
    let file = directory.write("file", "one");
    let mut watch = FileWatch::new([file.clone()]).await;
    let began = Instant::now();
    fs::write(&file, "two").unwrap();
    assert_eq!(watch.changed().await, [file.as_path()]);
    assert_eq!(began.elapsed().as_millis(), 6_000);
    // Waiting that is given up again and again loses nothing.
    fs::write(&file, "three").unwrap();
    let began = Instant::now();
    let changed = loop {
        tokio::select! {
            changed = watch.changed() => break changed,
            () = tokio::time::sleep(Duration::from_millis(700)) => {}
        }
    };
    assert_eq!(changed, [file]);
    assert!(began.elapsed() <= Duration::from_secs(7));
}

#[tokio::test]
async fn other_files_can_be_watched_instead() {
    let directory = Directory::new();
    let (one, two) = (directory.write("one", "1"), directory.write("two", "1"));
    let mut watch = watch(&one).await;
    watch.watch_instead([two.clone()]).await;
    fs::write(&one, "2").unwrap();
    fs::write(&two, "2").unwrap();
    assert_eq!(changed(&mut watch).await, [two]);
}
