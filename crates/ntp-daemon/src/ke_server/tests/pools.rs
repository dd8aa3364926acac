use super::*;

/// Protocols and algorithms with Keep Alive, after the token.
fn info() -> String {
    format!("{TOKEN_RECORD}80090000800a0000{KEEP_ALIVE}{END}")
}

/// What [`info`] is answered with, apart from Keep Alive and End of Message.
const LISTS: &str = "800900020000800a0008000f002000110040";

/// A Fixed Key Request, after the token.
fn fixed_key(keys: &str, protocol: &str, algorithm: &str) -> String {
    let length = keys.len() / 2;
    format!(
        "{TOKEN_RECORD}800c{length:04x}{keys}80010002{protocol}80040002{algorithm}{KEEP_ALIVE}{END}"
    )
}

#[tokio::test]
async fn one_connection_carries_info_and_keys_as_long_as_keep_alive_is_asked_for() {
    let lab = Lab::new();
    let mut pool = lab.connect().await;
    let lists = format!("{LISTS}{KEEP_ALIVE}{END}");
    assert_eq!(pool.ask(&info()).await, lists);
    // A second time too: the connection is as good as before.
    assert_eq!(pool.ask(&info()).await, lists);
    for _ in 0..2 {
        let answer = pool.ask(&fixed_key(KEYS, "0000", "000f")).await;
        lab.check_cookies(&answer, CHOSEN, &format!("{KEEP_ALIVE}{END}"), 15, KEYS);
    }
    let last = info().replace(KEEP_ALIVE, "");
    assert_eq!(pool.ask_last(&last).await, format!("{LISTS}{END}"));
    let expected = KeStatsSnapshot {
        accepted_connections: 1,
        info_requests: 3,
        fixed_key_requests: 2,
        ..KeStatsSnapshot::default()
    };
    assert_eq!(lab.counted(), expected);
}

#[tokio::test]
async fn server_and_port_are_in_the_answer_to_keys_and_the_name_in_the_list() {
    let lab = Lab::with(|config, _| {
        config.ntp_server = Some("a.test".parse().unwrap());
        config.ntp_port = Some(1123);
    });
    let mut pool = lab.connect().await;
    let answer = pool.ask(&fixed_key(KEYS, "0000", "000f")).await;
    let before = format!("{CHOSEN}80060006612e74657374800700020463");
    lab.check_cookies(&answer, &before, &format!("{KEEP_ALIVE}{END}"), 15, KEYS);
    let names = format!("{TOKEN_RECORD}800b0000{KEEP_ALIVE}{END}");
    assert_eq!(
        pool.ask(&names).await,
        format!("80060006612e74657374{KEEP_ALIVE}{END}")
    );
}

#[tokio::test]
async fn a_source_without_a_name_lists_none() {
    let lab = Lab::new();
    let names = format!("{TOKEN_RECORD}800b0000{END}");
    assert_eq!(lab.connect().await.ask_last(&names).await, END);
}

#[tokio::test]
async fn keys_that_do_not_fit_are_refused() {
    let lab = Lab::new();
    let short = &KEYS[..124];
    let two = fixed_key(KEYS, "0000", "000f").replace("80040002000f", "80040004000f0011");
    for (request, answer) in [
        (fixed_key(short, "0000", "000f"), ERROR_1),
        (fixed_key("", "0000", "000f"), ERROR_1),
        (fixed_key(KEYS, "0000", "0011"), ERROR_1),
        (two, ERROR_1),
        // Not supported: as in an ordinary exchange, before a look at the length.
        (fixed_key(short, "8001", "000f"), "8001000080000000"),
        (
            fixed_key(short, "0000", "001e"),
            "8001000200008004000080000000",
        ),
    ] {
        assert_eq!(
            lab.connect().await.ask_last(&request).await,
            answer,
            "{request}"
        );
    }
}

#[tokio::test]
async fn an_ordinary_exchange_on_a_kept_alive_connection_is_refused() {
    let lab = Lab::new();
    let mut pool = lab.connect().await;
    pool.ask(&info()).await;
    assert_eq!(pool.ask_last(ORDINARY).await, ERROR_1);
    assert_eq!(lab.counted().key_exchanges, 0);
}

#[tokio::test]
async fn the_token_is_looked_at_in_every_request() {
    let lab = Lab::new();
    let wrong = info().replace("3031", "3132");
    let late = format!("80090000{TOKEN_RECORD}{END}");
    for request in [&wrong, &late] {
        assert_eq!(lab.connect().await.ask_last(request).await, ERROR_0);
        let mut pool = lab.connect().await;
        pool.ask(&info()).await;
        assert_eq!(pool.ask_last(request).await, ERROR_0);
    }
}

#[tokio::test]
async fn beyond_the_slots_the_answer_comes_without_keep_alive() {
    let lab = Lab::with(|config, _| config.longlived_connections = 1);
    let mut first = lab.connect().await;
    assert_eq!(
        first.ask(&info()).await,
        format!("{LISTS}{KEEP_ALIVE}{END}")
    );
    assert_eq!(
        lab.connect().await.ask_last(&info()).await,
        format!("{LISTS}{END}")
    );
    // The connection that has the slot keeps it.
    assert_eq!(
        first.ask(&info()).await,
        format!("{LISTS}{KEEP_ALIVE}{END}")
    );
    assert_eq!(
        first.ask_last(&info().replace(KEEP_ALIVE, "")).await,
        format!("{LISTS}{END}")
    );
    // And gives it back.
    let mut next = lab.connect().await;
    assert_eq!(next.ask(&info()).await, format!("{LISTS}{KEEP_ALIVE}{END}"));
}

#[tokio::test]
async fn kept_alive_connections_take_no_slot_of_users() {
    let lab = Lab::with(|config, _| config.concurrent_connections = 1);
    let mut pool = lab.connect().await;
    pool.ask(&info()).await;
    let mut user = lab.connect().await;
    let answer = user.ask(ORDINARY).await;
    lab.check_cookies(&answer, CHOSEN, END, 15, &user.export(15));
}

#[tokio::test]
async fn cookies_are_sealed_with_the_newest_key_at_each_request() {
    let lab = Lab::new();
    let mut pool = lab.connect().await;
    let first = pool.ask(&fixed_key(KEYS, "0000", "000f")).await;
    assert_eq!(
        key_id(&first),
        format!("{:08x}", lab.keys.current().sealing_id())
    );
    lab.keys.rotate();
    let second = pool.ask(&fixed_key(KEYS, "0000", "000f")).await;
    assert_eq!(
        key_id(&second),
        format!("{:08x}", lab.keys.current().sealing_id())
    );
    assert_ne!(key_id(&first), key_id(&second));
    lab.check_cookies(&second, CHOSEN, &format!("{KEEP_ALIVE}{END}"), 15, KEYS);
}

#[tokio::test]
async fn a_pool_is_known_by_its_very_certificate_under_the_old_numbers() {
    let mut pool_identity = None;
    let lab = Lab::with(|config, pki| {
        let issued = pki.issue("pool.test");
        config.authorization = KeAuthorization {
            certificates: issued.chain(),
            tokens: Vec::new(),
        };
        pool_identity = Some(Identity::new(issued.chain(), issued.key()).unwrap());
    });
    let mut pool = lab.connect_as(pool_identity.as_ref()).await;
    let info = "c0040000c00100004000000080000000";
    let lists = "c00400020000c0010008000f0020001100404000000080000000";
    assert_eq!(pool.ask(info).await, lists);
    let fixed_key = format!("c0020040{KEYS}80010002000080040002000f{END}");
    let answer = pool.ask(&fixed_key).await;
    lab.check_cookies(&answer, CHOSEN, END, 15, KEYS);
    assert_eq!(pool.receive().await, "");

    // Another certificate of the same name and authority, and none at all.
    let other = identity(&lab.pki, "pool.test");
    assert_eq!(
        lab.connect_as(Some(&other)).await.ask_last(info).await,
        ERROR_0
    );
    assert_eq!(lab.connect().await.ask_last(info).await, ERROR_0);
    // Users come to the same port, with or without a certificate.
    for identity in [None, Some(&other)] {
        let mut user = lab.connect_as(identity).await;
        let answer = user.ask(ORDINARY).await;
        lab.check_cookies(&answer, CHOSEN, END, 15, &user.export(15));
    }
}

#[tokio::test]
async fn old_numbers_with_a_token_are_answered_in_kind_and_never_mixed() {
    let lab = Lab::new();
    let old_token = TOKEN_RECORD.replacen("000e", "4005", 1);
    let request = format!("{old_token}c0020040{KEYS}80010002000080040002000f40000000{END}");
    let answer = lab.connect().await.ask(&request).await;
    lab.check_cookies(&answer, CHOSEN, &format!("40000000{END}"), 15, KEYS);
    let mixed = format!("{old_token}80090000{END}");
    assert_eq!(lab.connect().await.ask_last(&mixed).await, ERROR_1);
}

#[tokio::test]
async fn a_server_that_knows_no_pool_authorises_none() {
    let lab = Lab::with(|config, _| config.authorization = KeAuthorization::default());
    assert_eq!(lab.connect().await.ask_last(&info()).await, ERROR_0);
}
