//! The pool as a user sees it: octets in, octets out, over real TLS.

mod balancer;
mod ending;
mod limits;

use std::collections::HashSet;

use nts_proto::code_points::{AeadAlgorithm, ErrorCode, ProtocolId};
use nts_proto::ke::message::{Message, RESPONSE_LIMIT};
use nts_proto::ke::negotiation::Negotiated;
use nts_proto::ke::response::KeyExchangeResponse;
use nts_service::drain::Drain;
use nts_service::tls;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::config::{LimitsConfig, ObservabilityConfig, SourceConfig, TlsConfig, UpstreamConfig};
use crate::fleet::HealthPolicy;
use crate::selection::{Groups, SelectionPolicy};
use crate::testing::{
    Answer, Authority, Script, TestSource, closed_port, cookies, ordinary_request,
};

const PLENTY: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_secs(1);

fn config(authority: &Authority, sources: Vec<SourceConfig>, timeout: Duration) -> Config {
    let identity = authority.identity("127.0.0.1");
    Config {
        listen: vec!["127.0.0.1:0".parse().unwrap()].into(),
        sources: sources.into(),
        snapshot: None,
        token_secret: None,
        selection: SelectionPolicy::default(),
        groups: Groups::default(),
        health: HealthPolicy::default(),
        geo: None,
        upstream: UpstreamConfig::default(),
        limits: LimitsConfig::default(),
        proxy_protocol: None,
        shutdown: Drain::default(),
        key_exchange_timeout: timeout,
        tls: TlsConfig {
            upstream_identity: identity.clone(),
            identity,
            trust: authority.trust(),
            files: None,
        },
        observability: ObservabilityConfig::default(),
    }
}

/// A pool on a free port, and what its users need.
struct Lab {
    authority: Authority,
    pool: Pool,
}

impl Lab {
    fn start(authority: Authority, sources: Vec<SourceConfig>, timeout: Duration) -> Self {
        let pool = Pool::start(config(&authority, sources, timeout)).unwrap();
        Self { authority, pool }
    }

    /// A pool whose only source cannot be reached.
    async fn without_source(timeout: Duration) -> Self {
        let dead = SourceConfig::new("127.0.0.1", closed_port().await).unwrap();
        Self::start(Authority::new(), vec![dead], timeout)
    }

    async fn connect(&self) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(self.pool.local_addresses()[0])
            .await
            .unwrap();
        let config = tls::client_config(&self.authority.trust(), None);
        let name = "127.0.0.1".try_into().unwrap();
        tls::connect(config, name, tcp).await.unwrap()
    }

    /// Everything that the pool says to `request`, up to a proper end of the TLS session.
    async fn ask(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect().await;
        stream.write_all(request).await.unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await.unwrap();
        reply
    }

    fn count(&self, outcome: &str) -> u64 {
        let labels = [("outcome", outcome), ("family", "ipv4"), ("kind", "user")];
        let name = "nts_pool_ke_exchanges_total";
        self.pool.registry().counter(name, "", &labels).get()
    }
}

async fn lab_with(script: Script) -> (Lab, TestSource) {
    let authority = Authority::new();
    let source = TestSource::start(&authority.identity("127.0.0.1"), script).await;
    let config = source.config();
    (Lab::start(authority, vec![config], PLENTY), source)
}

fn hex(text: &str) -> Vec<u8> {
    let octet = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(octet).collect()
}

#[tokio::test]
async fn a_user_gets_cookies_for_his_own_keys() {
    let (lab, source) = lab_with(Script::default()).await;
    let mut stream = lab.connect().await;
    // Vector A1.
    stream
        .write_all(&hex("80010002000080040002000f80000000"))
        .await
        .unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    let message = Message::decode(&reply, RESPONSE_LIMIT).unwrap();
    let response = KeyExchangeResponse::parse(&message, &ordinary_request()).unwrap();
    assert_eq!(response.cookies, cookies());
    assert_eq!(response.server.unwrap().as_str(), "127.0.0.1");
    let negotiated = Negotiated::ntpv4(AeadAlgorithm::AesSivCmac256).unwrap();
    let keys = tls::export_session_keys(stream.get_ref().1, &negotiated).unwrap();
    assert_eq!(source.keys(), [keys.c2s()]);
    assert_eq!(lab.count("ok"), 1);
}

#[tokio::test]
async fn each_user_has_other_keys() {
    let (lab, source) = lab_with(Script::default()).await;
    for _ in 0..5 {
        lab.ask(&hex("80010002000080040002000f80000000")).await;
    }
    let keys: HashSet<_> = source.keys().into_iter().collect();
    assert_eq!(keys.len(), 5);
}

#[tokio::test]
async fn keep_alive_is_never_granted_to_a_user() {
    let (lab, _source) = lab_with(Script::default()).await;
    let reply = lab
        .ask(&hex("80010002000080040002000f0008000080000000"))
        .await;
    let one_cookie = 4 + 104;
    let server = 4 + "127.0.0.1".len();
    assert_eq!(reply.len(), 6 + 6 + server + 8 * one_cookie + 4);
}

#[tokio::test]
async fn bad_requests_get_one_error_record_and_a_proper_end() {
    const ERROR_0: &str = "80020002000080000000";
    const ERROR_1: &str = "80020002000180000000";
    let fixed_key = format!(
        "800c0040{}80010002000080040002000f80000000",
        "00".repeat(64)
    );
    let oversize = format!("0032ffff{}", "00".repeat(5000));
    let cases = [
        (
            "unknown critical record",
            "80010002000080040002000f803200016180000000",
            ERROR_0,
        ),
        ("fixed keys", fixed_key.as_str(), ERROR_0),
        ("info", "80090000800a000080000000", ERROR_0),
        (
            "info, old numbers",
            "c0040000c00100004000000080000000",
            ERROR_0,
        ),
        ("no algorithm", "80010002000080000000", ERROR_1),
        (
            "empty protocol list",
            "8001000080040002000f80000000",
            ERROR_1,
        ),
        ("odd list", "8001000300000080040002000f80000000", ERROR_1),
        (
            "error record",
            "80010002000080040002000f80020002000080000000",
            ERROR_1,
        ),
        (
            "after the end",
            "80010002000080040002000f8000000000",
            ERROR_1,
        ),
        ("oversize", oversize.as_str(), ERROR_1),
        ("other protocol", "80010002800180000000", "8001000080000000"),
    ];
    let lab = Lab::without_source(PLENTY).await;
    for (what, request, expected) in cases {
        assert_eq!(lab.ask(&hex(request)).await, hex(expected), "{what}");
    }
    assert_eq!(lab.count("bad_request"), 10);
    assert_eq!(lab.count("nothing_in_common"), 1);
}

#[tokio::test]
async fn no_common_algorithm_is_told_as_such() {
    let (lab, _source) = lab_with(Script::default()).await;
    let reply = lab.ask(&hex("80010002000080040002006380000000")).await;
    assert_eq!(reply, hex("8001000200008004000080000000"));
}

#[tokio::test]
async fn failing_sources_are_error_2() {
    const ERROR_2: &str = "80020002000280000000";
    const REQUEST: &str = "80010002000080040002000f80000000";
    let lab = Lab::without_source(PLENTY).await;
    assert_eq!(lab.ask(&hex(REQUEST)).await, hex(ERROR_2));
    assert_eq!(lab.count("upstream_pre_key"), 1);

    let lab = Lab::start(Authority::new(), Vec::new(), PLENTY);
    assert_eq!(lab.ask(&hex(REQUEST)).await, hex(ERROR_2));
    assert_eq!(lab.count("no_source"), 1);

    let code = ErrorCode::SourceUnreachable;
    let (lab, _source) = lab_with(Script::answering([Answer::Error(code)])).await;
    assert_eq!(lab.ask(&hex(REQUEST)).await, hex(ERROR_2));
    assert_eq!(lab.count("upstream_post_key"), 1);
}

#[tokio::test]
async fn half_a_request_is_error_1_when_the_user_closes() {
    let lab = Lab::without_source(PLENTY).await;
    let mut stream = lab.connect().await;
    stream.write_all(&hex("80010002000080")).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    assert_eq!(reply, hex("80020002000180000000"));
}

#[tokio::test]
async fn half_a_request_is_error_1_when_the_time_is_over() {
    let lab = Lab::without_source(SHORT).await;
    assert_eq!(
        lab.ask(&hex("80010002000080")).await,
        hex("80020002000180000000")
    );
    assert_eq!(lab.count("timeout"), 1);
}

#[tokio::test]
async fn a_silent_source_is_error_2_within_the_time() {
    let authority = Authority::new();
    let script = Script::answering([Answer::Silence]);
    let source = TestSource::start(&authority.identity("127.0.0.1"), script).await;
    let lab = Lab::start(authority, vec![source.config()], SHORT);
    let reply = lab.ask(&hex("80010002000080040002000f80000000")).await;
    assert_eq!(reply, hex("80020002000280000000"));
}

#[tokio::test]
async fn a_user_who_says_nothing_is_closed() {
    let lab = Lab::without_source(SHORT).await;
    let mut tcp = TcpStream::connect(lab.pool.local_addresses()[0])
        .await
        .unwrap();
    assert_eq!(tcp.read(&mut [0]).await.unwrap(), 0);
    let mut garbage = TcpStream::connect(lab.pool.local_addresses()[0])
        .await
        .unwrap();
    garbage.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    // An alert may come, but then it ends.
    let _ = garbage.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn users_without_the_application_protocol_are_refused() {
    let lab = Lab::without_source(PLENTY).await;
    let mut config = rustls::ClientConfig::clone(&tls::client_config(&lab.authority.trust(), None));
    config.alpn_protocols.clear();
    let tcp = TcpStream::connect(lab.pool.local_addresses()[0])
        .await
        .unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream = connector
        .connect("127.0.0.1".try_into().unwrap(), tcp)
        .await
        .unwrap();
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    assert!(reply.is_empty());
}

#[tokio::test]
async fn shutdown_lets_a_running_exchange_finish() {
    let (lab, _source) = lab_with(Script::default()).await;
    let address = lab.pool.local_addresses()[0];
    let mut stream = lab.connect().await;
    let ending = tokio::spawn(lab.pool.shutdown());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    stream
        .write_all(&hex("80010002000080040002000f80000000"))
        .await
        .unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    let message = Message::decode(&reply, RESPONSE_LIMIT).unwrap();
    let response = KeyExchangeResponse::parse(&message, &ordinary_request()).unwrap();
    assert_eq!(response.protocol, ProtocolId::Ntpv4);
    ending.await.unwrap();
}

#[tokio::test]
async fn the_metrics_page_has_every_outcome_from_the_start() {
    let (lab, source) = lab_with(Script::default()).await;
    lab.ask(&hex("80010002000080040002000f80000000")).await;
    let page = lab.pool.registry().render();
    let expiry = "nts_pool_ke_certificate_expiry_seconds{cert=\"front\"} ";
    assert!(page.lines().any(|line| line.starts_with(expiry)), "{page}");
    let label = source.address.to_string();
    for line in [
        "nts_pool_ke_exchanges_total{outcome=\"ok\",family=\"ipv4\",kind=\"user\"} 1".to_owned(),
        "nts_pool_ke_exchanges_total{outcome=\"upstream_post_key\",family=\"ipv6\",kind=\"monitor\"} 0".to_owned(),
        "nts_pool_ke_exchange_seconds_count{phase=\"total\"} 1".to_owned(),
        "nts_pool_ke_pick_total{tier=\"t2\",level=\"global\"} 1".to_owned(),
        "nts_pool_ke_pick_total{tier=\"t4\",level=\"country\"} 0".to_owned(),
        "nts_pool_ke_panic_mode 0".to_owned(),
        "nts_pool_ke_failover_total{stage=\"connect\"} 0".to_owned(),
        "nts_pool_ke_same_source_retry_total{result=\"ok\"} 0".to_owned(),
        format!("nts_pool_ke_source_state{{source=\"{label}\"}} 1"),
    ] {
        assert!(page.lines().any(|it| it == line), "{line} not in\n{page}");
    }
}

#[tokio::test]
async fn a_reload_takes_effect_at_once_and_keeps_what_is_known() {
    const REQUEST: &str = "80010002000080040002000f80000000";
    const ERROR_2: &str = "80020002000280000000";
    let (mut lab, first) = lab_with(Script::default()).await;
    lab.ask(&hex(REQUEST)).await;
    let identity = lab.authority.identity("127.0.0.1");
    let second = TestSource::start(&identity, Script::default()).await;
    let config = |sources: Vec<SourceConfig>| config(&lab.authority, sources, PLENTY);
    let (both, another, none) = (
        config(vec![first.config(), second.config()]),
        config(vec![second.config()]),
        config(Vec::new()),
    );
    lab.pool.reload(both).unwrap();
    let page = lab.pool.registry().render();
    let known = format!("nts_pool_ke_source_state{{source=\"{}\"}} 1", first.address);
    assert!(page.contains(&known), "{page}");
    lab.pool.reload(another).unwrap();
    let before = first.keys().len();
    for _ in 0..5 {
        lab.ask(&hex(REQUEST)).await;
    }
    assert_eq!((first.keys().len(), second.keys().len()), (before, 5));
    lab.pool.reload(none).unwrap();
    assert_eq!(lab.ask(&hex(REQUEST)).await, hex(ERROR_2));
}
