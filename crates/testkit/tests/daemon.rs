//! The daemon's own client as a user: of sources, and of a pool that gives it several.
#![cfg(feature = "unstable_nts-pool")]

use std::collections::BTreeSet;
use std::net::SocketAddr;

use ntp_daemon::client::Client;
use ntp_daemon::clock::Keeper;
use ntp_daemon::config::{
    PollLimits, RemoteAddress, SourceConfig, SourceMode, SynchronizationConfig,
};
use ntp_daemon::observe::state::{SourceCondition, SourceState};
use testkit::Lab;
use testkit::deadline::eventually;
use testkit::faulty_source::{Answer, Script};
use testkit::lab::{RealSource, loopback};

/// Longest credible difference between this machine's clock and itself, in seconds.
const SAME_CLOCK: f64 = 0.1;

fn client(mode: SourceMode, server: SocketAddr) -> Client {
    let keeper = Keeper::of_own_clock(&SynchronizationConfig::default()).expect("our own clock");
    let source = SourceConfig {
        mode,
        address: RemoteAddress {
            host: server.ip().to_string(),
            port: server.port(),
        },
        poll_interval_limits: PollLimits::default(),
        initial_poll_interval: PollLimits::default().min,
        burst: true,
    };
    Client::spawn(&[source], &keeper)
}

/// Waits until this many remotes have answered, and gives their rows.
async fn reachable(client: &Client, count: usize) -> Vec<SourceState> {
    let board = client.board();
    eventually("the remotes to answer", || {
        let mut rows = board.sources();
        rows.retain(|row| row.state == SourceCondition::Reachable);
        (rows.len() == count).then_some(rows)
    })
    .await
}

fn assert_measured(row: &SourceState) {
    let offset = row.offset.expect("a reachable source has an offset");
    assert!(offset.abs() < SAME_CLOCK, "{row:?}");
    assert!(row.delay.is_some_and(|delay| delay > 0.0), "{row:?}");
    assert_eq!(row.stratum, Some(1), "{row:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_gives_the_daemon_distinct_sources() {
    let lab = Lab::new();
    let sources = [2, 3, 4].map(|last| lab.source(loopback(last)));
    let pool = lab.pool(sources.iter().map(RealSource::entry).collect());
    let trust = lab.authority().trust();
    let client = client(SourceMode::NtsPool { count: 3, trust }, pool.address);
    let rows = reachable(&client, 3).await;
    let served: BTreeSet<_> = rows.iter().map(|row| row.address).collect();
    assert_eq!(served, sources.iter().map(|source| source.ntp).collect());
    for row in &rows {
        assert_measured(row);
        assert!(row.authenticated, "{row:?}");
        assert!(
            row.nts_cookies.is_some_and(|cookies| cookies >= 7),
            "{row:?}"
        );
    }
    let configured = client.board().configured_sources();
    assert_eq!((configured[0].wanted, configured[0].held), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_with_too_few_sources_gives_what_it_has() {
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let pool = lab.pool(vec![source.entry()]);
    let trust = lab.authority().trust();
    let client = client(SourceMode::NtsPool { count: 2, trust }, pool.address);
    let rows = reachable(&client, 1).await;
    assert_eq!(rows[0].address, source.ntp);
    // The same source again is no second source.
    let board = client.board();
    eventually("the second place to be given up for now", || {
        let configured = board.configured_sources();
        (configured[0].last_error.is_some() && configured[0].held == 1).then_some(())
    })
    .await;
    assert_eq!(client.board().sources().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_daemon_asks_sources_itself_with_and_without_nts() {
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let trust = lab.authority().trust();
    for (mode, server, authenticated) in [
        (SourceMode::Nts { trust }, source.ke, true),
        (SourceMode::Server, source.ntp, false),
    ] {
        let client = client(mode, server);
        let rows = reachable(&client, 1).await;
        assert_measured(&rows[0]);
        assert_eq!(rows[0].authenticated, authenticated);
        assert_eq!(rows[0].address, source.ntp);
    }
}

/// A source that cannot open its own cookies says so, and the daemon never takes its time.
#[tokio::test(flavor = "multi_thread")]
async fn cookies_that_open_nothing_give_no_time() {
    let lab = Lab::new();
    let real = lab.source(loopback(2));
    let port = real.ntp.port().to_be_bytes();
    let script = Script::on_fixed_key(Answer::with_record(0x8007, &port));
    let liar = lab.faulty_source(loopback(2), script).await;
    let pool = lab.pool(vec![liar.entry()]);
    let trust = lab.authority().trust();
    let client = client(SourceMode::NtsPool { count: 1, trust }, pool.address);
    eventually("a request with a false cookie", || {
        (real.ntp_counts().nts_nak_packets > 0).then_some(())
    })
    .await;
    let rows = client.board().sources();
    assert!(
        rows.iter()
            .all(|row| row.offset.is_none() && !row.authenticated),
        "{rows:?}"
    );
}
