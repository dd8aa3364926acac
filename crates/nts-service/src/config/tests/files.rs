use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::*;

fn located(path: &Path) -> Located<PathBuf> {
    Located::new(
        path.to_owned(),
        Place::file("c.toml").at_line(3).at_key("key-path"),
    )
}

fn file(mode: u32, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    (directory, path)
}

fn read_secret(path: &Path) -> (Option<Vec<u8>>, String) {
    let problems = Problems::new();
    let octets = read_secret_file(&located(path), &problems);
    (octets.map(|octets| octets.to_vec()), problems.to_string())
}

#[test]
fn a_secret_that_only_its_owner_and_group_read_is_fine() {
    for mode in [0o600, 0o400, 0o640] {
        let (_directory, path) = file(mode, b"secret");
        assert_eq!(
            read_secret(&path),
            (Some(b"secret".to_vec()), String::new()),
            "{mode:o}"
        );
    }
}

#[test]
fn a_secret_that_others_can_read_is_a_warning() {
    let (_directory, path) = file(0o644, b"secret");
    let (octets, problems) = read_secret(&path);
    assert_eq!(octets.unwrap(), b"secret");
    let shown = path.display();
    assert_eq!(
        problems,
        format!(
            "warning: c.toml:3: key-path: every user of this machine can read `{shown}` (mode \
             644); run `chmod 600 '{shown}'`"
        )
    );
}

#[test]
fn a_secret_that_others_can_write_is_refused() {
    for mode in [0o660, 0o602, 0o666] {
        let (_directory, path) = file(mode, b"secret");
        let (octets, problems) = read_secret(&path);
        assert_eq!(octets, None, "{mode:o}");
        let start = "error: c.toml:3: key-path: other users can write to ";
        assert!(problems.starts_with(start), "{problems}");
        assert!(problems.contains(&format!("mode {mode:o}")), "{problems}");
        assert!(problems.contains("chmod 600"), "{problems}");
    }
}

#[test]
fn a_missing_relative_file_names_the_working_directory() {
    let problems = Problems::new();
    assert_eq!(
        read_file(&located(Path::new("no/such.pem")), &problems),
        None
    );
    let here = std::env::current_dir().unwrap();
    assert_eq!(
        problems.to_string(),
        format!(
            "error: c.toml:3: key-path: there is no file `no/such.pem` (in the working directory \
             `{}`); correct the path: a relative one counts from the working directory",
            here.display()
        )
    );
}

#[test]
fn a_directory_is_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let problems = Problems::new();
    assert_eq!(read_file(&located(directory.path()), &problems), None);
    assert!(
        problems
            .to_string()
            .ends_with("is a directory; name a file in it")
    );
}

#[test]
fn a_huge_file_is_not_read() {
    let (_directory, path) = file(0o600, b"");
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(MAX_FILE_SIZE + 1)
        .unwrap();
    let problems = Problems::new();
    assert_eq!(read_file(&located(&path), &problems), None);
    assert!(
        problems.to_string().contains("longer than 64 MiB"),
        "{problems}"
    );
}

#[test]
fn a_configuration_that_others_can_write_is_a_warning() {
    let (_directory, path) = file(0o646, b"a = 1");
    let loaded = load(&path, |root| root.optional::<u8>("a")).unwrap();
    let shown = path.display();
    assert_eq!(
        loaded.warnings.to_string(),
        format!("warning: {shown}: others can write to this file; run `chmod o-w '{shown}'`")
    );
}

#[test]
fn a_configuration_must_be_there_and_utf8() {
    let problems = load("/no/such.toml", |_| Some(())).unwrap_err();
    assert!(
        problems
            .to_string()
            .starts_with("error: /no/such.toml: there is no file")
    );

    let (_directory, path) = file(0o600, b"a = 1\nb = '\xff'\n");
    let problems = load(&path, |_| Some(())).unwrap_err().to_string();
    let expected = format!("error: {}:2: not UTF-8 text", path.display());
    assert!(problems.starts_with(&expected), "{problems}");
}

#[test]
fn a_configuration_with_secrets_that_others_can_read_is_a_warning_once() {
    let read = |root: &Section<'_>| {
        root.secret("a");
        root.secret("b")
    };
    let text = b"\na = 'x'\nb = 'y'";
    let (_directory, path) = file(0o644, text);
    let loaded = load(&path, read).unwrap();
    let shown = path.display();
    assert_eq!(
        loaded.warnings.to_string(),
        format!(
            "warning: {shown}:2: a: this file holds a secret and every user of this machine can \
             read it; run `chmod o-r '{shown}'`"
        )
    );
    let (_directory, path) = file(0o640, text);
    assert!(load(&path, read).unwrap().warnings.is_empty());
    let (_directory, path) = file(0o644, b"c = 1");
    let no_secret = load(&path, |root| root.optional::<u8>("c"));
    assert!(no_secret.unwrap().warnings.is_empty());
}

/// Reads a further file of this name and content: its numbers `n`, and what a person sees.
fn part(name: &str, content: &str) -> (Option<Vec<i64>>, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let problems = Problems::new();
    let numbers = load_part(&located(&path), "list", &problems, |root| {
        let sections = root.sections("list");
        let number = |section: &Section<'_>| section.required("n");
        Some(sections.iter().filter_map(number).collect())
    });
    let here = directory.path().display().to_string();
    (numbers, problems.to_string().replace(&here, "DIR"))
}

#[test]
fn a_further_file_is_toml_or_json() {
    for (name, content) in [
        ("part.toml", "[[list]]\nn = 1\n[[list]]\nn = 2\n"),
        ("part.json", r#"{"list": [{"n": 1}, {"n": 2}]}"#),
        ("part.json", r#"[{"n": 1}, {"n": 2, "m": null}]"#),
    ] {
        assert_eq!(part(name, content), (Some(vec![1, 2]), String::new()));
    }
}

#[test]
fn problems_of_a_further_file_name_that_file() {
    assert_eq!(
        part("part.json", "[\n{\"n\": 1},\n{\"n\": \"x\", \"m\": 2}]").1,
        "error: DIR/part.json:3: list[2].n = \"x\": wrong type; write a whole number\n\
         error: DIR/part.json:3: list[2].m: unknown key; take it out, or see the manual for the \
         keys of this section"
    );
    assert_eq!(
        part("part.json", "[\n{\"n\": 1},\n]"),
        (
            None,
            "error: DIR/part.json:3: not JSON that can be used: expected value".to_owned()
        )
    );
    assert_eq!(
        part("part.toml", "list = [\n").1,
        "error: DIR/part.toml:1: not TOML: unclosed array, expected `]`; correct this line"
    );
}

#[test]
fn a_further_file_that_cannot_be_read_is_a_problem_of_the_key() {
    assert_eq!(
        part("part.yaml", ""),
        (
            None,
            "error: c.toml:3: key-path: its name does not tell what is in it; let it end in \
             `.toml` or `.json`"
                .to_owned()
        )
    );
    let problems = Problems::new();
    let path = located(Path::new("/nonexistent/part.json"));
    let read = load_part(&path, "list", &problems, |_| Some(()));
    assert_eq!(read, None);
    assert_eq!(
        problems.to_string(),
        "error: c.toml:3: key-path: there is no file `/nonexistent/part.json`; correct the path"
    );
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let socket = directory.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for path in [fifo.as_path(), &socket, Path::new("/dev/zero")] {
        let (octets, problem) = read_secret(path);
        assert_eq!(octets, None);
        let shown = path.display();
        assert_eq!(
            problem,
            format!(
                "error: c.toml:3: key-path: `{shown}` is a pipe, a socket or a device; name a \
                 regular file"
            )
        );
    }
}
