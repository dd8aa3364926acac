//! `nts-pool-ke status` against a running pool.
#![cfg(feature = "unstable_nts-pool")]

use std::fs;

use nts_pool_ke::config::ObservabilityConfig;
use nts_service::exit::ExitCode;
use testkit::Lab;
use testkit::deadline::within;
use testkit::diagnosis::{Printed, pool_tool};
use testkit::faulty_source::{Answer, Script};
use testkit::lab::{POOL_NAME, TOKEN, loopback};
use testkit::user::plain_request;

/// Shows the state of the pool whose metrics are there.
async fn status(metrics: &str, more: &[&str]) -> Printed {
    let url = format!("http://{metrics}");
    let mut arguments = vec!["status", "--metrics", &url];
    arguments.extend(more);
    pool_tool(&arguments).await
}

/// Looks until the document is as it should be.
async fn document_when(
    metrics: &str,
    good: impl Fn(&serde_json::Value) -> bool,
) -> serde_json::Value {
    let looking = async {
        loop {
            let printed = status(metrics, &["--json"]).await;
            assert_eq!(
                (printed.code, printed.problems.as_str()),
                (ExitCode::Success, "")
            );
            let document = serde_json::from_str(&printed.out).expect("JSON");
            if good(&document) {
                return document;
            }
        }
    };
    within("the pool to find out", looking).await
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_and_how_they_do() {
    let lab = Lab::new();
    let good = lab.source(loopback(2));
    let error = Answer::Octets(hex::decode("80020002000180000000").unwrap());
    let bad = lab.faulty_source(loopback(3), Script::on_info(error)).await;
    let mut heavy = good.entry();
    heavy.weight = 3;
    let pool = lab.pool_with(vec![heavy, bad.entry()], |config| {
        config.observability = ObservabilityConfig {
            metrics_exporter_listen: Some("127.0.0.1:0".parse().unwrap()),
            ..ObservabilityConfig::default()
        };
    });
    let metrics = pool.running.metrics_address().unwrap().to_string();
    document_when(&metrics, |it| it["sources"][1]["last_error"].is_object()).await;
    lab.user()
        .key_exchange(pool.address, POOL_NAME, &plain_request())
        .await
        .unwrap();

    let served = |it: &serde_json::Value| it["sources"][0]["exchanges"] == 1;
    let document = document_when(&metrics, served).await;
    assert_eq!(document["ready"], true);
    assert_eq!(document["omitted"], 0);
    let [first, second] = [&document["sources"][0], &document["sources"][1]];
    assert_eq!(first["id"], good.ke.to_string());
    assert_eq!(first["state"], "healthy");
    assert_eq!(
        (&first["weight"], &first["success"]),
        (&3.into(), &1.0.into())
    );
    assert_eq!(first["last_error"], serde_json::Value::Null);
    assert_eq!(second["id"], bad.address().to_string());
    assert_eq!(second["exchanges"], 0);
    let last_error = &second["last_error"];
    assert_eq!(last_error["occasion"], "check");
    assert_eq!(
        last_error["text"],
        "its answer is of no use: the server answered with error BadRequest (1)"
    );

    let printed = status(&metrics, &[]).await;
    assert_eq!(printed.code, ExitCode::Success);
    assert!(!printed.out.contains(TOKEN));
    let mut lines = printed.out.lines();
    assert_eq!(
        lines.next(),
        Some("nts-pool-ke 0.1.0: ready, 1 of 2 sources healthy")
    );
    let head: Vec<_> = lines.nth(1).unwrap().split_whitespace().collect();
    assert_eq!(head[..5], ["SOURCE", "STATE", "WEIGHT", "SHARE", "SUCCESS"]);
    let row: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(row[..3], [good.ke.to_string().as_str(), "healthy", "3"]);
    assert!(
        lines
            .next()
            .unwrap()
            .contains("check: its answer is of no use")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pool.toml");
    let path = file.to_str().unwrap();
    // The rest of the file may name keys that whoever asks cannot read.
    fs::write(
        &file,
        "[nts-pool-ke-server]\nprivate-key-path = \"/nowhere\"\n",
    )
    .unwrap();
    let printed = pool_tool(&["status", "-c", path]).await;
    assert_eq!(printed.code, ExitCode::Config);
    let words = "`metrics-exporter-listen` is missing in [observability]";
    assert!(printed.problems.contains(words), "{}", printed.problems);

    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let listen = format!("[observability]\nmetrics-exporter-listen = \"{address}\"\n");
    fs::write(&file, listen).unwrap();
    let printed = pool_tool(&["status", "-c", path]).await;
    assert_eq!(
        (printed.code, printed.out.as_str()),
        (ExitCode::Failure, "")
    );
    let words = format!("{address} does not answer: Connection refused");
    assert!(printed.problems.contains(&words), "{}", printed.problems);
    assert!(printed.problems.contains("is nts-pool-ke running"));
}
