//! Limits of one request.

use super::*;

const ERROR_1: &str = "80020002000180000000";

/// NTPv4 with AEAD 15, the only source denied, and a record of `padding` octets that means nothing.
fn request(padding: usize) -> Vec<u8> {
    let denied = format!("000d{:04x}{}", 9, "3132372e302e302e31");
    let padding = format!("4fff{padding:04x}{}", "00".repeat(padding));
    hex(&format!(
        "80010002000080040002000f{denied}{padding}80000000"
    ))
}

async fn lab(max_request: usize, max_denied: usize) -> (Lab, TestSource) {
    let authority = Authority::new();
    let source = TestSource::start(&authority.identity("127.0.0.1"), Script::default()).await;
    let mut config = config(&authority, vec![source.config()], PLENTY);
    (config.limits.max_request, config.limits.max_denied) = (max_request, max_denied);
    let pool = Pool::start(config).unwrap();
    (Lab { authority, pool }, source)
}

#[tokio::test]
async fn a_request_that_is_too_long_is_error_1() {
    let (lab, _source) = lab(1024, 32).await;
    let fixed = request(0).len();
    assert!(lab.ask(&request(1024 - fixed)).await.len() > 100);
    assert_eq!(lab.ask(&request(1025 - fixed)).await, hex(ERROR_1));
}

#[tokio::test]
async fn names_beyond_the_limit_are_not_denied() {
    for (max_denied, tier) in [(32, "t3"), (0, "t2")] {
        let (lab, _source) = lab(4096, max_denied).await;
        assert!(lab.ask(&request(0)).await.len() > 100);
        let labels = [("tier", tier), ("level", "global")];
        let registry = lab.pool.registry();
        let picked = registry
            .counter("nts_pool_ke_pick_total", "", &labels)
            .get();
        assert_eq!(picked, 1, "{}", registry.render());
    }
}
