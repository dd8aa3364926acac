use super::*;

#[test]
fn all_problems_are_said_at_once_with_line_key_value_and_cure() {
    let text = "\
[[source]]
mode = 'server'
adress = 'time.example.org'

[[source]]
mode = 'pool'
address = 'bad_name!'
count = 0

[[server]]
listen = '0.0.0.0:0'

[synchronization]
local-stratum = 17

[observabilty]
log-level = 'info'
";
    assert_eq!(
        problems(text),
        [
            "error: ntp.toml:1: source[1].address: missing; add `address = …` to this section",
            "error: ntp.toml:3: source[1].adress: unknown key; did you mean `address`?",
            "error: ntp.toml:7: source[2].address = 'bad_name!': neither a DNS name nor an IP \
             address; write a name like `time.example.org` (letters, digits, `-`, `.`) or an \
             address like `192.0.2.1` or `2001:db8::1`",
            "error: ntp.toml:8: source[2].count = 0: out of range; write a number from 1 to 32",
            "error: ntp.toml:11: server[1].listen = '0.0.0.0:0': port 0 means any port, so nobody \
             would find it; write the port to listen on, like 4460 for NTS-KE or 123 for NTP",
            "error: ntp.toml:14: synchronization.local-stratum = 17: out of range; write a number \
             from 1 to 16",
            "error: ntp.toml:16: observabilty: unknown key; did you mean `observability`?",
        ]
    );
}

#[test]
fn a_mode_decides_which_keys_are_legal() {
    let text = "\
[[source]]
mode = 'server'
address = 'a.test'
count = 2
certificate-authority = 'ca.pem'
[[source]]
mode = 'pps'
path = '/dev/pps0'
precision = 1e-7
[[source]]
mode = 'peer'
address = 'a.test'
";
    assert_eq!(
        problems(text),
        [
            "error: ntp.toml:4: source[1].count: does not belong to mode \"server\"; take it out",
            "error: ntp.toml:5: source[1].certificate-authority: does not belong to mode \
             \"server\"; take it out",
            "error: ntp.toml:7: source[2].mode = 'pps': clocks at this machine are not supported; \
             take this source out",
            "error: ntp.toml:11: source[3].mode = 'peer': no such mode; write \"server\", \
             \"pool\", \"nts\" or \"nts-pool\"",
        ]
    );
}

/// Checks the one problem of a file of one section.
fn check(section: &str, line: &str, problem: &str) {
    let text = format!("{section}\n{line}");
    let expected = match problem.strip_prefix(':') {
        Some(at_another_place) => format!("error: ntp.toml:{at_another_place}"),
        None => {
            let (key, value) = line.split_once(" = ").unwrap();
            let header = section.lines().next().unwrap().trim_matches(['[', ']']);
            let index = if section.starts_with("[[") { "[1]" } else { "" };
            let at = text.lines().count();
            format!("error: ntp.toml:{at}: {header}{index}.{key} = {value}: {problem}")
        }
    };
    assert_eq!(problems(&text), [expected], "{line}");
}

const SOURCE: &str = "[[source]]\nmode = 'server'\naddress = 'a.test'";

#[test]
fn values_of_sources_are_checked() {
    check(
        SOURCE,
        "ntp-version = 5",
        "NTPv5 is not supported; write 4 or \"auto\"",
    );
    check(
        SOURCE,
        "ntp-version = 3",
        "no such version; write 4 or \"auto\"",
    );
    check(
        SOURCE,
        "initial-poll-interval = 11",
        "out of range; write a number from 4 to 10 (log2 seconds)",
    );
    check(
        SOURCE,
        "poll-interval-limits = { min = 11 }",
        ":4: source[1].poll-interval-limits = …: min = 11 is greater than max = 10; make it \
         smaller",
    );
    check(
        SOURCE,
        "poll-interval-limits = { max = 18 }",
        ":4: source[1].poll-interval-limits.max = 18: out of range; write a number from 0 to 17 \
         (log2 seconds)",
    );
    check(
        "[source-defaults]",
        "poll-interval-limits = { min = 4 }",
        ":2: source-defaults.poll-interval-limits.max: missing; add `max = …` to this section",
    );
}

const SERVER: &str = "[[server]]\nlisten = '127.0.0.1:123'";

#[test]
fn two_servers_cannot_share_an_address() {
    let text = format!("{SERVER}\n{SERVER}\n[[nts-ke-server]]\nlisten = '127.0.0.1:123'");
    let found = problems(&text);
    assert_eq!(
        found[0],
        "error: ntp.toml:4: server[2].listen = '127.0.0.1:123': an entry above listens there \
         already; take one of them out"
    );
    // The other is TCP.
    assert!(
        found.iter().all(|line| !line.contains("ntp.toml:6")),
        "{found:#?}"
    );
}

#[test]
fn values_of_servers_are_checked() {
    check(
        SERVER,
        "accept-ntp-versions = [3, 5]",
        ":3: server[1].accept-ntp-versions[2]: NTPv5 is not supported; take 5 out",
    );
    check(
        SERVER,
        "accept-ntp-versions = []",
        ":3: server[1].accept-ntp-versions = []: no request would be answered; write [3, 4] or take \
         this server out",
    );
    check(
        SERVER,
        "require-nts = 'maybe'",
        "write true, false, \"ignore\" or \"deny\"",
    );
    check(
        SERVER,
        "denylist = { filter = ['10.0.0.0'], action = 'deny' }",
        ":3: server[1].denylist.filter[1] = \"10.0.0.0\": no network; write an address and a \
         length like `192.0.2.0/24` or `2001:db8::/32`",
    );
    check(
        SERVER,
        "allowlist = { action = 'deny' }",
        ":3: server[1].allowlist.filter: missing; add `filter = [\"192.0.2.0/24\", …]` to this \
         section",
    );
    check(
        SERVER,
        "allowlist = { filter = [] }",
        ":3: server[1].allowlist.action: missing; add `action = …` to this section",
    );
}

#[test]
fn values_of_the_clock_are_checked() {
    let section = "[synchronization]";
    let no_threshold = "no threshold; write seconds from 0 up, or \"inf\" for no limit";
    check(section, "single-step-panic-threshold = -1", no_threshold);
    check(section, "single-step-panic-threshold = nan", no_threshold);
    check(
        section,
        "startup-step-panic-threshold = 'all'",
        no_threshold,
    );
    check(
        section,
        "startup-step-panic-threshold = { forward = -1 }",
        ":2: synchronization.startup-step-panic-threshold.forward = -1: no threshold; write \
         seconds from 0 up, or \"inf\" for no limit",
    );
    check(
        section,
        "accumulated-step-panic-threshold = -1",
        "no threshold; write seconds, or 0 for no limit",
    );
    check(
        section,
        "reference-id = 'ABCDE'",
        "write 1 to 4 printable ASCII characters",
    );
    check(
        section,
        "reference-id = ''",
        "write 1 to 4 printable ASCII characters",
    );
    check(
        section,
        "local-stratum = 0",
        "out of range; write a number from 1 to 16",
    );
    check(
        section,
        "minimum-agreeing-sources = 0",
        "out of range; write a number from 1 to 1000",
    );
    check(
        "[synchronization.algorithm]",
        "maximum-frequency-steer = nan",
        "out of range; write a number from 0 to 0.0005",
    );
    check(
        "[clock]",
        "timestamp-mode = 'hardware'",
        "hardware timestamps are not supported; write \"kernel-all\"",
    );
    check(
        "[clock]",
        "interface = 'eth0'",
        ":2: clock.interface: hardware clocks are not supported; take this key out",
    );
}

#[test]
fn one_wrong_key_of_a_source_makes_no_other_unknown() {
    let text = "\
[[source]]
mode = 'nts'
addres = 'a.test'
burst = false
[[source]]
mode = 'pool'
address = ''
count = 2
burst = false
";
    let problems = problems(text);
    assert_eq!(problems.len(), 3, "{problems:#?}");
    assert!(problems[0].contains(":1: source[1].address: missing"));
    assert!(problems[1].contains(":3: source[1].addres: unknown key; did you mean `address`?"));
    assert!(problems[2].contains(":7: source[2].address = '':"));
}

#[test]
#[cfg(feature = "unstable_nts-pool")]
fn a_wrong_authority_of_a_pool_leaves_its_count_known() {
    let text = "\
[[source]]
mode = 'nts-pool'
address = 'a.test'
certificate-authority = '/nowhere/ca.pem'
count = 2
";
    assert_eq!(
        problems(text),
        [
            "error: ntp.toml:4: source[1].certificate-authority: there is no file \
             `/nowhere/ca.pem`; correct the path"
        ]
    );
}

#[test]
fn values_of_observability_are_checked() {
    let section = "[observability]";
    check(
        section,
        "log-level = 'loud'",
        "no log level; write trace, debug, info, warn or error",
    );
    check(
        section,
        "observation-permissions = 666",
        "no file mode; write it in octal with `0o`, for instance 0o666",
    );
    check(
        section,
        "observation-permissions = '0o666'",
        "wrong type; write a file mode without quotes, for instance 0o666",
    );
}

#[test]
fn the_folder_of_the_key_file_must_exist() {
    check(
        "[keyset]",
        "key-storage-path = '/nowhere/at/all'",
        "there is no folder `/nowhere/at`; make it first",
    );
    check(
        "[keyset]",
        "key-rotation-interval = 0",
        "out of range; write a number from 1 to 315360000 seconds",
    );
}

#[test]
fn too_few_sources_are_a_warning() {
    let text = "[[source]]\nmode = 'server'\naddress = 'a.test'\n";
    assert_eq!(
        warnings(text),
        [
            "warning: ntp.toml:1: synchronization.minimum-agreeing-sources: 3 sources must agree, \
          but there can be no more than 1, so the clock would never be set; add sources or write \
          a smaller number"
        ]
    );
    let enough = format!("{text}[synchronization]\nminimum-agreeing-sources = 1");
    assert_eq!(warnings(&enough), Vec::<String>::new());
    assert_eq!(
        warnings("[[source]]\nmode = 'pool'\naddress = 'a.test'"),
        Vec::<String>::new()
    );
}

#[test]
fn half_a_rate_limit_is_a_warning() {
    let text = "[[server]]\nlisten = '127.0.0.1:123'\nrate-limiting-cutoff-ms = 1000";
    assert_eq!(
        warnings(text),
        [
            "warning: ntp.toml:3: server[1].rate-limiting-cutoff-ms = 1000: limits nothing; set \
          rate-limiting-cache-size too"
        ]
    );
}

#[test]
fn a_shared_secret_is_read_with_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let shown = path.display();
    let text = format!("[keyset]\nshared-secret-path = '{shown}'");
    assert_eq!(
        problems(&text),
        [format!(
            "error: ntp.toml:2: keyset.shared-secret-path = '{shown}': cannot read `{shown}`: No \
             such file or directory (os error 2)"
        )]
    );
    std::fs::write(&path, "s3cret").unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, private).unwrap();
    let [problem] = &problems(&text)[..] else {
        panic!("one problem");
    };
    assert!(problem.contains("line 1: a secret of fewer than 32 characters can be guessed"));
    assert!(!problem.contains("s3cret"), "{problem}");

    std::fs::write(&path, "0123456789abcdef".repeat(4)).unwrap();
    let stored = folder.path().join("keys");
    let both = format!("{text}\nkey-storage-path = '{}'", stored.display());
    assert_eq!(
        problems(&both),
        [format!(
            "error: ntp.toml:3: keyset.key-storage-path = '{}': keys are derived from the shared \
             secret, so there is nothing to store; take one of the two out",
            stored.display()
        )]
    );
}
