//! `ntp-ctl nts` against a good server and against each fault that its users meet.

use ntp_daemon::config::KeServerConfig;
use nts_proto::ke::negotiation::Capabilities;
use nts_service::config::Host;
use nts_service::diagnosis::{Peer, Report, Step, Verdict, check_others, connect};
use nts_service::exit::ExitCode;
use testkit::diagnosis::{Printed, ntp_ctl};
use testkit::faulty_source::{Connect, Script, Setup};
use testkit::lab::{RealSource, TOKEN, by_token, loopback};
use testkit::{CertificateAuthority, Credentials, FaultySource, Lab, UdpPath};
use tokio::net::{TcpListener, UdpSocket};

/// All steps of a server of which there is nothing to complain.
const ALL_WELL: [&str; 10] = [
    "ok name",
    "ok tcp",
    "ok tls",
    "ok certificate",
    "ok key-exchange",
    "ok cookies",
    "ok ntp-server",
    "ok ntp",
    "ok ntp-refresh",
    "ok ntp-tampered",
];

/// Looks at a server whose users trust this laboratory.
async fn look(lab: &Lab, server: &str) -> Printed {
    let directory = tempfile::tempdir().expect("a directory");
    let ca = lab.authority().write(directory.path(), "ca");
    ntp_ctl(&["nts", server, "--ca", ca.to_str().expect("a path")]).await
}

/// A source whose users come to its NTP server by a path that passes datagrams of these lengths.
async fn source_behind(
    lab: &Lab,
    passes: fn(usize) -> bool,
    change: impl FnOnce(&mut KeServerConfig),
) -> (RealSource, UdpPath) {
    let path = UdpPath::new(loopback(2), passes).await;
    let source = lab.source_with(loopback(2), by_token(TOKEN), |server| {
        server.ntp_port = Some(path.address().port());
        change(server);
    });
    path.lead_to(source.ntp);
    (source, path)
}

/// What is said about a source that shows this certificate.
async fn look_at_certificate(lab: &Lab, shown: &Credentials) -> Printed {
    let (source, _path) = source_behind(
        lab,
        |_| true,
        |server| {
            server.identity = shown.identity();
        },
    )
    .await;
    look(lab, &source.ke.to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_server_is_praised_step_by_step() {
    let lab = Lab::new();
    let (source, path) = source_behind(&lab, |_| true, |_| {}).await;
    let printed = look(&lab, &source.ke.to_string()).await;
    assert_eq!(printed.steps(), ALL_WELL, "{}", printed.out);
    assert_eq!(printed.code, ExitCode::Success);
    assert_eq!(printed.problems, "");
    assert_eq!(printed.step("cookies"), "8 of 104 octets");
    let refreshed = "a request of 988 octets brought 8 new cookies, and they work";
    assert_eq!(printed.step("ntp-refresh"), refreshed);
    let answers = format!("{} answers, authenticated: ", path.address());
    assert!(printed.step("ntp").starts_with(&answers), "{}", printed.out);
    assert_eq!(
        printed.end(),
        format!("{} gives authenticated time.", source.ke)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_one_document() {
    let lab = Lab::new();
    let (source, _path) = source_behind(&lab, |_| true, |_| {}).await;
    let directory = tempfile::tempdir().unwrap();
    let ca = lab.authority().write(directory.path(), "ca");
    let server = source.ke.to_string();
    let printed = ntp_ctl(&["nts", &server, "--json", "--ca", ca.to_str().unwrap()]).await;
    let document: serde_json::Value = serde_json::from_str(&printed.out).unwrap();
    assert_eq!(document["target"], server);
    assert_eq!(document["ok"], true);
    let steps = document["steps"].as_array().unwrap();
    assert_eq!(steps.len(), ALL_WELL.len());
    let facts = |id: &str| &steps.iter().find(|step| step["id"] == id).unwrap()["facts"];
    assert_eq!(facts("tls")["cipher_suite"], "TLS13_AES_128_GCM_SHA256");
    assert_eq!(facts("key-exchange")["aead"], 15);
    assert_eq!(facts("cookies")["lengths"], serde_json::json!([104]));
    assert_eq!(
        facts("certificate")["names"],
        serde_json::json!(["127.0.0.2"])
    );
    assert!(facts("ntp")["offset_seconds"].as_f64().unwrap().abs() < 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_before_tls() {
    let lab = Lab::new();
    let nobody = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let printed = look(&lab, &address.to_string()).await;
    assert_eq!(printed.steps(), ["ok name", "FAIL tcp"]);
    printed.assert_failed(
        "tcp",
        &["refuses the connection", "start its NTS-KE server"],
    );
    let end = format!("{address} does not give authenticated time as it should (1 failure).");
    assert_eq!(printed.end(), end);

    for (connect, words) in [
        (Connect::Close, "closed the connection during the handshake"),
        (Connect::Silent, "no TLS handshake came within 5 s"),
    ] {
        let script = Script::on_connect(connect);
        let source = lab.faulty_source(loopback(2), script).await;
        let printed = look(&lab, &source.address().to_string()).await;
        assert_eq!(printed.steps(), ["ok name", "ok tcp", "FAIL tls"]);
        printed.assert_failed("tls", &[words, "PROXY protocol"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_users_refuse() {
    let lab = Lab::new();
    let names = ["127.0.0.2"];
    let other = CertificateAuthority::new();
    for (shown, words) in [
        (
            lab.authority().expired(&names),
            [
                "the certificate ended on Jan 1 00:00:00 2021",
                "nothing else is wrong with it",
                "the server's operator must renew",
            ],
        ),
        (
            lab.authority().not_yet_valid(&names),
            [
                "the certificate begins on Jan 1 00:00:00 2100",
                "nothing else is wrong with it",
                "it is probably behind, then set it",
            ],
        ),
        (
            lab.authority().server(&["b.test", "c.test"]),
            [
                " is for b.test, c.test, not for 127.0.0.2",
                "use a name that it is for",
                "have the certificate made for 127.0.0.2 too",
            ],
        ),
        (
            other.server(&names),
            [
                "an authority that is not trusted here: CN=throw-away authority",
                "have the server send the whole chain",
                "name its present file here with --ca",
            ],
        ),
        (
            other.expired(&["b.test"]),
            [
                "the certificate ended on Jan 1 00:00:00 2021",
                "that is not all that is wrong with it",
                "compare this machine's date",
            ],
        ),
    ] {
        let printed = look_at_certificate(&lab, &shown).await;
        assert_eq!(printed.steps(), ["ok name", "ok tcp", "FAIL certificate"]);
        printed.assert_failed("certificate", &words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_gives_no_answer_or_no_algorithm() {
    let lab = Lab::new();
    let script = Script::on_connect(Connect::SilentAfterHandshake);
    let source = lab.faulty_source(loopback(2), script).await;
    let printed = look(&lab, &source.address().to_string()).await;
    printed.assert_failed(
        "key-exchange",
        &["no answer to the request came within 5 s"],
    );

    let mut setup = Setup::new(lab.authority(), &["127.0.0.2"]);
    setup.capabilities = Capabilities::ntpv4(&[]);
    let source = FaultySource::with_setup(loopback(2), setup, Script::default()).await;
    let printed = look(&lab, &source.address().to_string()).await;
    printed.assert_failed(
        "key-exchange",
        &["no common AEAD algorithm", "algorithm 15"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_for_ntp() {
    let lab = Lab::new();
    let nobody = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let source = lab.source_with(loopback(2), by_token(TOKEN), |server| {
        server.ntp_port = Some(port);
    });
    let printed = look(&lab, &source.ke.to_string()).await;
    printed.assert_failed("ntp", &["ICMP port unreachable", "no NTP server listens"]);
    assert_eq!(
        printed.steps()[7..],
        ["FAIL ntp", "skip ntp-refresh", "skip ntp-tampered"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_passes_nothing_or_only_small_packets() {
    let lab = Lab::new();
    let (source, path) = source_behind(&lab, |_| false, |_| {}).await;
    let printed = look(&lab, &source.ke.to_string()).await;
    let port = format!("UDP port {} is blocked", path.address().port());
    let blocked = [
        "does not answer NTS requests (232 octets), nor plain NTP",
        &port,
    ];
    printed.assert_failed("ntp", &blocked);

    let (source, _path) = source_behind(&lab, |length| length <= 48, |_| {}).await;
    let printed = look(&lab, &source.ke.to_string()).await;
    let words = [
        "does not answer NTS requests (232 octets), but plain NTP of 48 octets",
        "something drops NTP packets that are longer than usual",
    ];
    printed.assert_failed("ntp", &words);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_loses_large_packets_is_a_warning() {
    let lab = Lab::new();
    let (source, _path) = source_behind(&lab, |length| length < 512, |_| {}).await;
    let printed = look(&lab, &source.ke.to_string()).await;
    assert_eq!(printed.code, ExitCode::Success);
    assert_eq!(
        printed.steps()[7..],
        ["ok ntp", "WARN ntp-refresh", "skip ntp-tampered"]
    );
    let said = printed.step("ntp-refresh");
    let words = "a request of 988 octets gets no answer, one of 232 does";
    assert!(said.starts_with(words), "{said}");
    assert!(
        printed
            .end()
            .ends_with("gives authenticated time (1 warning).")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ntp_server_without_the_cookie_keys() {
    let lab = Lab::new();
    let stranger = lab.source(loopback(3));
    let path = UdpPath::new(loopback(2), |_| true).await;
    path.lead_to(stranger.ntp);
    let source = lab.source_with(loopback(2), by_token(TOKEN), |server| {
        server.ntp_port = Some(path.address().port());
    });
    let printed = look(&lab, &source.ke.to_string()).await;
    printed.assert_failed("ntp", &["(NTS NAK)", "both must have the same cookie keys"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_of_a_name_is_looked_at() {
    let lab = Lab::new();
    let (good, twin) = (lab.source(loopback(2)), lab.source(loopback(2)));
    let stranger = lab.source(loopback(3));
    let nobody = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let refused = nobody.local_addr().unwrap();
    drop(nobody);

    let host: Host = "127.0.0.2".parse().unwrap();
    let mut report = Report::new(|_: &Step| {});
    let addresses = [refused, good.ke, twin.ke, stranger.ke];
    let reached = connect(&mut report, &addresses).await.unwrap();
    assert_eq!(reached.address, good.ke);
    assert_eq!(reached.others, [twin.ke, stranger.ke]);
    let peer = Peer::new(&host, reached.address, &lab.authority().trust(), None);
    check_others(&mut report, &[twin.ke], &peer).await;
    check_others(&mut report, &[twin.ke, stranger.ke], &peer).await;
    check_others(&mut report, &[], &peer).await;

    let [tcp, alike, different] = report.steps() else {
        panic!("{:?}", report.steps());
    };
    assert_eq!(tcp.verdict(), Verdict::Warning);
    let begin = format!("{refused} refuses the connection; {} accepts", good.ke);
    assert!(tcp.text().starts_with(&begin), "{tcp:?}");
    assert_eq!(
        (alike.verdict(), alike.text()),
        (Verdict::Ok, &*format!("{} too", twin.ke))
    );
    assert_eq!(different.verdict(), Verdict::Warning);
    let begin = format!(
        "{}: no TLS session: the peer's certificate is for `127.0.0.3`",
        stranger.ke
    );
    assert!(different.text().starts_with(&begin), "{different:?}");
}
