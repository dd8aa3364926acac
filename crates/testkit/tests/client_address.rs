//! No more of a user's address stands in the log than the operator chose.
//!
//! One test, because the log belongs to the whole process.
#![cfg(feature = "unstable_nts-pool")]

use std::net::IpAddr;

use nts_service::telemetry::client_address::ClientAddress;
use testkit::Lab;
use testkit::lab::{POOL_NAME, loopback};
use testkit::log::CapturedLog;

const ERROR_1: &str = "80020002000180000000";

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_was_chosen_is_logged() {
    let log = CapturedLog::of_operators();
    let lab = Lab::new();
    let source = lab.source(loopback(2));
    let address = IpAddr::from([127, 1, 77, 88]);
    let mut before = 0;
    for (choice, expected) in [
        (ClientAddress::default(), None),
        (ClientAddress::Prefix, Some("client=127.1.77.0/24")),
        (ClientAddress::Full, Some("client=127.1.77.88")),
    ] {
        let pool = lab.pool_with(vec![source.entry()], |config| {
            config.observability.log_client_address = choice;
        });
        // A request without anything in it.
        let end = hex::decode("80000000").unwrap();
        let user = lab.user().at(address);
        let answer = user.converse(pool.address, POOL_NAME, &end).await;
        assert_eq!(hex::encode(answer.octets), ERROR_1);
        pool.running.shutdown().await;
        let text = log.text();
        let lines = &text[before..];
        before = text.len();
        assert!(lines.contains("exchange failed"), "{lines}");
        match expected {
            Some(client) => assert!(lines.contains(client), "{lines}"),
            None => assert!(!lines.contains("client"), "{lines}"),
        }
        assert_eq!(lines.contains("77.88"), choice == ClientAddress::Full);
    }
}
