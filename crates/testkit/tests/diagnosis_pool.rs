//! `nts-pool-ke probe` against a good source and against each fault that keeps a source from serving
//! a pool.
#![cfg(feature = "unstable_nts-pool")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use ntp_daemon::config::KeAuthorization;
use nts_proto::code_points::AeadAlgorithm;
use nts_proto::ke::negotiation::Capabilities;
use nts_service::exit::ExitCode;
use tempfile::TempDir;
use testkit::diagnosis::{Printed, pool_tool};
use testkit::faulty_source::{Answer, Script, Setup};
use testkit::lab::{RealSource, TOKEN, by_certificate, by_token, loopback, token};
use testkit::{Credentials, FaultySource, Lab, UdpPath};

/// All steps of a source of which there is nothing to complain.
const ALL_WELL: [&str; 16] = [
    "ok name",
    "ok tcp",
    "ok tls",
    "ok certificate",
    "ok authorization",
    "ok algorithms",
    "ok names",
    "ok strangers",
    "ok keep-alive",
    "ok fixed-keys",
    "ok other-algorithms",
    "ok cookies",
    "ok ntp-server",
    "ok ntp",
    "ok ntp-refresh",
    "ok ntp-tampered",
];

/// A laboratory with the files of a pool's operator.
struct Office {
    lab: Lab,
    directory: TempDir,
}

impl Office {
    fn new() -> Self {
        Self {
            lab: Lab::new(),
            directory: tempfile::tempdir().expect("a directory"),
        }
    }

    fn token_file(&self, token: &str) -> PathBuf {
        let path = self.directory.path().join("token");
        fs::write(&path, format!("{token}\n")).expect("a writable directory");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("an own file");
        path
    }

    /// Probes a source as this laboratory's pool, with more arguments.
    async fn probe(&self, source: &str, more: &[&str]) -> Printed {
        let ca = self.lab.authority().write(self.directory.path(), "ca");
        let ca = ca.to_str().expect("a path");
        let mut arguments = vec!["probe", source, "--ca", ca];
        arguments.extend(more);
        pool_tool(&arguments).await
    }

    /// Probes a source with a token.
    async fn probe_with(&self, source: &str, token: &str) -> Printed {
        let file = self.token_file(token);
        let file = file.to_str().expect("a path");
        self.probe(source, &["--token-path", file]).await
    }

    /// Probes a source that follows a script.
    async fn probe_script(&self, script: Script) -> Printed {
        let source = self.lab.faulty_source(loopback(2), script).await;
        self.probe_with(&source.address().to_string(), TOKEN).await
    }

    /// Probes a source that is set up in another way.
    async fn probe_setup(&self, change: impl FnOnce(&mut Setup), script: Script) -> Printed {
        let mut setup = Setup::new(self.lab.authority(), &["127.0.0.2"]);
        setup.token = Some(token(TOKEN));
        change(&mut setup);
        let source = FaultySource::with_setup(loopback(2), setup, script).await;
        self.probe_with(&source.address().to_string(), TOKEN).await
    }

    /// A real source, NTP and all.
    async fn source(&self, authorization: KeAuthorization) -> (RealSource, UdpPath) {
        let path = UdpPath::new(loopback(2), |_| true).await;
        let source = self.lab.source_with(loopback(2), authorization, |server| {
            server.ntp_port = Some(path.address().port());
        });
        path.lead_to(source.ntp);
        (source, path)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_source_is_praised_step_by_step() {
    let office = Office::new();
    let (source, _path) = office.source(by_token(TOKEN)).await;
    let printed = office.probe_with(&source.ke.to_string(), TOKEN).await;
    assert_eq!(printed.steps(), ALL_WELL, "{}", printed.out);
    assert_eq!(
        (printed.code, printed.problems.as_str()),
        (ExitCode::Success, "")
    );
    assert_eq!(printed.end(), format!("{} can serve this pool.", source.ke));
    assert!(!printed.out.contains(TOKEN));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_a_proof_too() {
    let office = Office::new();
    let pool: Credentials = office.lab.authority().client("pool.test");
    let (source, _path) = office.source(by_certificate(pool.certificate())).await;
    let (chain, key) = pool.write(office.directory.path(), "pool");
    let source = source.ke.to_string();
    let proof = [
        "--certificate",
        chain.to_str().unwrap(),
        "--private-key",
        key.to_str().unwrap(),
    ];
    let printed = office.probe(&source, &proof).await;
    assert_eq!(printed.steps(), ALL_WELL, "{}", printed.out);
    let said = printed.step("authorization");
    assert_eq!(said, "the source takes us for a pool with this certificate");

    let printed = office.probe_with(&source, TOKEN).await;
    printed.assert_failed("authorization", &["Error 0", "does not accept this token"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_does_not_know_the_pool() {
    let office = Office::new();
    let (source, _path) = office.source(by_token(TOKEN)).await;
    let source = source.ke.to_string();
    let printed = office
        .probe_with(&source, "another-token-0123456789abcdef")
        .await;
    let words = [
        "Error 0 (unrecognised critical record)",
        "list this very token on the source",
        "chrony, NTPsec and other pools cannot serve a pool",
    ];
    printed.assert_failed("authorization", &words);
    assert_eq!(
        printed.steps()[4..],
        ["FAIL authorization", "ok ordinary-users"]
    );
    let end = format!("{source} cannot serve this pool as it should (1 failure).");
    assert_eq!(printed.end(), end);

    let printed = office.probe(&source, &[]).await;
    printed.assert_failed("authorization", &["no proof was given", "--token-path"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_as_other_sources_give_them() {
    let office = Office::new();
    let error =
        |code: &str| Answer::Octets(hex::decode(format!("8002000200{code}80000000")).unwrap());
    let printed = office.probe_script(Script::on_info(error("01"))).await;
    let words = [
        "Error 1 (bad request): the source does not accept this token",
        "restart it",
    ];
    printed.assert_failed("authorization", &words);

    let printed = office.probe_script(Script::on_info(Answer::Cut)).await;
    let words = [
        "closes the connection without an answer",
        "Its software must know pools",
    ];
    printed.assert_failed("authorization", &words);

    let printed = office.probe_script(Script::on_info(error("02"))).await;
    printed.assert_failed("authorization", &["something failed inside the source"]);

    let printed = office.probe_script(Script::on_info(Answer::Silence)).await;
    printed.assert_failed("authorization", &["no answer in time", "overloaded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_knows_only_the_old_numbers() {
    let office = Office::new();
    let error = Answer::Octets(hex::decode("80020002000080000000").unwrap());
    let old_only = Answer::decided(move |seen| {
        let last = seen.requests.last().expect("the present one");
        match last.octets.windows(4).any(|it| it == [0x80, 0x0a, 0, 0]) {
            true => error.clone(),
            false => Answer::Good,
        }
    });
    let printed = office.probe_script(Script::on_info(old_only)).await;
    let words = [
        "knows only the old record numbers",
        "dialect = \"draft-token\"",
    ];
    printed.assert_warned("authorization", &words);
    assert!(
        printed.steps().contains(&"ok fixed-keys".to_owned()),
        "{}",
        printed.out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_takes_everybody() {
    let office = Office::new();
    let printed = office
        .probe_setup(|setup| setup.token = None, Script::default())
        .await;
    let words = ["whoever asks is taken for a pool, and may hold its connections"];
    printed.assert_warned("strangers", &words);
}

#[tokio::test(flavor = "multi_thread")]
async fn algorithms_that_are_not_enough() {
    let office = Office::new();
    let only_17 = Capabilities::ntpv4(&[AeadAlgorithm::AesSivCmac512]);
    let printed = office
        .probe_setup(|setup| setup.capabilities = only_17, Script::default())
        .await;
    printed.assert_failed(
        "algorithms",
        &["AEAD algorithm 15 is not among", "switch it on"],
    );
    assert!(
        printed.steps().contains(&"ok fixed-keys".to_owned()),
        "{}",
        printed.out
    );

    let wrong_length = Answer::with_body(10, &[0, 15, 0, 32, 0, 17, 0, 32]);
    let printed = office.probe_script(Script::on_info(wrong_length)).await;
    let words = ["AesSivCmac512 (17) with keys of 32 octets, which cannot be"];
    printed.assert_warned("algorithms", &words);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_keeps_no_connection() {
    let office = Office::new();
    let printed = office
        .probe_script(Script::on_info(Answer::without(8)))
        .await;
    printed.assert_warned("keep-alive", &["does not keep the connection"]);
    assert!(
        printed.steps().contains(&"ok fixed-keys".to_owned()),
        "{}",
        printed.out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_promises_to_keep_a_connection_and_closes_it() {
    let office = Office::new();
    let once = Answer::decided(|seen| {
        let fixed = seen.requests.iter();
        let keys = fixed.filter(|it| it.kind == testkit::faulty_source::Kind::FixedKey);
        match keys.count() {
            1 => Answer::Cut,
            _ => Answer::Good,
        }
    });
    let printed = office.probe_script(Script::on_fixed_key(once)).await;
    printed.assert_warned(
        "keep-alive",
        &["promised to keep the connection, and closed it"],
    );
    assert!(
        printed.steps().contains(&"ok fixed-keys".to_owned()),
        "{}",
        printed.out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_to_keys_that_are_of_no_use() {
    let office = Office::new();
    for (fault, words) in [
        (
            Answer::without(5),
            ["no usable cookie", "without cookies users get no time"],
        ),
        (
            Answer::with_body(4, &[0, 17]),
            ["AEAD algorithm", "update it"],
        ),
        (
            Answer::with_record(0x8007, &[0, 53]),
            ["forbidden port 53", "port 123 or ports from 1024 on"],
        ),
        (
            Answer::with_record(0x8006, b"fe80::1%eth0"),
            ["neither a DNS name nor an IP address", "`ntp-server`"],
        ),
        (
            Answer::Cut,
            [
                "closed the connection without an answer",
                "gave up without a word",
            ],
        ),
        (
            Answer::Half,
            [
                "closed the connection within its answer",
                "gave up without a word",
            ],
        ),
        (
            Answer::with_record(0x8006, b"a\x1b[2Jb"),
            ["the name of the NTP server is invalid", "update it"],
        ),
    ] {
        let printed = office.probe_script(Script::on_fixed_key(fault)).await;
        printed.assert_failed("fixed-keys", &words);
        assert!(!printed.out.contains('\u{1b}'));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_that_some_users_drop() {
    let office = Office::new();
    for (cookie, words) in [
        (
            vec![7; 102],
            "8 of 102 octets: not a multiple of 4 octets long",
        ),
        (vec![7; 200], "8 of 200 octets: longer than 192 octets"),
    ] {
        let fault = Answer::with_body(5, &cookie);
        let printed = office.probe_script(Script::on_fixed_key(fault)).await;
        printed.assert_warned("cookies", &[words, "drop such cookies"]);
    }
    let fewer = Answer::edited(|records| {
        let mut seen = 0;
        records.retain(|record| {
            seen += u32::from(record.record_type() == 5);
            record.record_type() != 5 || seen <= 3
        });
    });
    let printed = office.probe_script(Script::on_fixed_key(fewer)).await;
    printed.assert_warned("cookies", &["3 of 104 octets", "have the server give 8"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_of_no_use_are_named() {
    let office = Office::new();
    let printed = office
        .probe("127.0.0.2", &["--token-path", "/nowhere/token"])
        .await;
    assert_eq!(printed.code, ExitCode::Usage);
    assert_eq!(
        printed.problems,
        "error: --token-path: there is no file `/nowhere/token`; correct the path\n"
    );
    let file = office.token_file("");
    let arguments = ["--token-path", file.to_str().unwrap()];
    let printed = office.probe("127.0.0.2", &arguments).await;
    assert_eq!(printed.code, ExitCode::Usage);
    assert!(
        printed
            .problems
            .contains("a token is 1 to 512 ASCII characters")
    );
}
