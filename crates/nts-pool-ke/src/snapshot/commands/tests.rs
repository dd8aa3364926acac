//! What is made can be looked at, and everything that is no good says what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use clap::Parser;
use tempfile::TempDir;

use super::*;

#[derive(Parser)]
struct Program {
    #[command(subcommand)]
    action: Action,
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the words of a line, in which what begins with `/` is in this folder. A key may begin so
    /// too, so that none is a word of its own.
    fn run(&self, line: &str) -> (ExitCode, String, String) {
        let here = self.0.path().display().to_string();
        let words = line.split(' ').map(|word| match word.strip_prefix('/') {
            Some(name) => format!("{here}/{name}"),
            None => word.to_owned(),
        });
        let arguments = std::iter::once("snapshot".to_owned()).chain(words);
        let program = Program::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}"));
        let (mut out, mut problems) = (Vec::new(), Vec::new());
        let code = snapshot(&program.action, &mut out, &mut problems);
        let text = |octets| String::from_utf8(octets).unwrap().replace(&here, "");
        (code, text(out), text(problems))
    }

    fn good(&self, line: &str) -> String {
        let (code, out, problems) = self.run(line);
        assert_eq!((code, problems.as_str()), (ExitCode::Success, ""), "{line}");
        out
    }

    #[track_caller]
    fn bad(&self, line: &str, expected: &str) {
        let (code, out, problems) = self.run(line);
        assert_eq!((code, out.as_str()), (ExitCode::Failure, ""), "{line}");
        assert!(problems.contains(expected), "{line}: {problems}");
    }
}

const SIGN: &str = "sign /sources.toml --pool a.test --private-key-path /key --output /list";

const SOURCES: &str = r#"
allow-mass-removal = true
key-exchange-servers = [{ domain = "a.test", port = 4460, token-generation = 1 }]
[policy]
operator-share-max = 1.0
[[regions]]
name = "nordic"
countries = ["SE"]
"#;

#[test]
fn a_list_is_made_and_looked_at() {
    let folder = Folder::new();
    let public = folder.good("keygen --private-key-path /key");
    let mode = fs::metadata(folder.path("key")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let public = public.strip_prefix("public-key = \"").unwrap();
    let public = public.strip_suffix("\"\n").unwrap();
    fs::write(folder.path("sources.toml"), SOURCES).unwrap();
    let said = folder.good(&format!("{SIGN} --serial 7"));
    assert!(
        said.starts_with("1 sources for the pool a.test, serial 7, made on "),
        "{said}"
    );
    let list = fs::read_to_string(folder.path("list")).unwrap();
    let (_, text) = list.split_once("\"schema\":1,").unwrap();
    assert_eq!(
        text,
        "\"serial\":7,\"sources\":[{\"domain\":\"a.test\",\"port\":4460,\"token-generation\":1}]}"
    );
    let mode = fs::metadata(folder.path("list")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o044, 0o044);
    let verify = format!("verify /list --public-key={public}");
    let said = folder.good(&format!("{verify} --pool a.test"));
    assert!(
        said.starts_with("1 sources for the pool a.test, serial 7"),
        "{said}"
    );
    folder.bad(
        &format!("{verify} --pool b.test"),
        "error: /list: no pool takes it: it is properly signed, but for the pool `a.test`",
    );
    let other = SigningKey::generate().unwrap().public();
    folder.bad(
        &format!("verify /list --public-key={other}"),
        "error: /list: no pool takes it: its signature is not one of",
    );
    folder.bad(
        "verify /list --public-key abc",
        "error: --public-key: no Ed25519",
    );
    folder.bad(
        "verify /list --public-key-path /key",
        "holds no Ed25519 public key",
    );
    folder.bad("verify /none --public-key abc", "no Ed25519 public key");
}

#[test]
fn the_time_is_a_serial_that_grows() {
    let folder = Folder::new();
    folder.good("keygen --private-key-path /key");
    fs::write(folder.path("sources.toml"), SOURCES).unwrap();
    let said = folder.good(SIGN);
    assert!(said.contains("serial 1"), "{said}");
    folder.bad(
        &format!("{SIGN} --serial 7"),
        "already, after which no pool takes one of serial 7; give a greater --serial",
    );
    // For another pool it is another list.
    folder.good(&format!("{SIGN} --serial 7").replace("a.test", "b.test"));
}

#[test]
fn a_warning_is_said_once() {
    let folder = Folder::new();
    let public = folder.good("keygen --private-key-path /key");
    let public = public.split('"').nth(1).unwrap();
    let drained = "key-exchange-servers = [{ domain = \"a.test\", weight = 0 }]";
    fs::write(folder.path("sources.toml"), drained).unwrap();
    let verify = format!("verify /list --public-key={public}");
    for line in [SIGN, &verify] {
        let (code, _, problems) = folder.run(line);
        assert_eq!(code, ExitCode::Success, "{problems}");
        assert!(problems.starts_with("warning: "), "{problems}");
        assert_eq!(problems.matches("can be picked").count(), 1, "{problems}");
    }
}

#[test]
fn a_null_is_nothing() {
    let folder = Folder::new();
    folder.good("keygen --private-key-path /key");
    let sources = r#"[{"domain": "a.test", "weight": null, "regions": ["europe"]}]"#;
    fs::write(folder.path("sources.json"), sources).unwrap();
    let sign = SIGN.replace("toml", "json");
    folder.good(&sign);
    let list = fs::read_to_string(folder.path("list")).unwrap();
    assert!(
        list.ends_with("\"sources\":[{\"domain\":\"a.test\",\"regions\":[\"europe\"]}]}"),
        "{list}"
    );
}

#[test]
fn what_is_wrong_is_said_with_the_cure_and_nothing_is_written() {
    let folder = Folder::new();
    folder.good("keygen --private-key-path /key");
    let key = fs::read_to_string(folder.path("key")).unwrap();
    folder.bad(
        "keygen --private-key-path /key",
        "error: /key: is there already, and a key that is in use would be lost; name another file",
    );
    assert_eq!(fs::read_to_string(folder.path("key")).unwrap(), key);
    for (sources, expected) in [
        (
            "key-exchange-servers = [{ domain = \"a b\" }]",
            "sources.toml:1: key-exchange-servers[1].domain = \"a b\": neither",
        ),
        (
            "\nkey-exchange-servers = [{ domain = \"a.test\", auth-token = \"abc\" }]",
            "sources.toml:2: key-exchange-servers[1].auth-token: has no place in a signed list",
        ),
        (
            "serial = 1\nkey-exchange-servers = []",
            "sources.toml:1: serial: unknown key",
        ),
        ("", "key-exchange-servers: missing"),
    ] {
        fs::write(folder.path("sources.toml"), sources).unwrap();
        folder.bad(SIGN, expected);
    }
    fs::write(folder.path("sources.toml"), SOURCES).unwrap();
    folder.bad(
        &format!("{SIGN} --serial 9007199254740992"),
        "the number 9007199254740992 in it is too large",
    );
    folder.bad(
        &SIGN.replace("/key", "/sources.toml"),
        "holds no Ed25519 private key",
    );
    folder.bad(
        &SIGN.replace("/list", "/no/list"),
        "error: /no/list: cannot be written: there is no folder `/no`; make it, or name another",
    );
    folder.bad(
        "keygen --private-key-path /no/key",
        "error: /no/key: cannot be written: there is no folder `/no`; make it, or name another",
    );
    folder.bad(&SIGN.replace("a.test", ""), "--pool: no name of a pool");
    fs::set_permissions(folder.path("key"), fs::Permissions::from_mode(0o622)).unwrap();
    folder.bad(SIGN, "other users can write to");
    assert!(!folder.path("list").exists());
}
