use super::*;

#[tokio::test]
async fn a_user_gets_eight_cookies_for_the_keys_of_its_connection() {
    let lab = Lab::new();
    let mut user = lab.connect().await;
    let answer = user.ask(ORDINARY).await;
    lab.check_cookies(&answer, CHOSEN, END, 15, &user.export(15));
    assert_eq!(user.receive().await, "");
    let expected = KeStatsSnapshot {
        accepted_connections: 1,
        key_exchanges: 1,
        ..KeStatsSnapshot::default()
    };
    assert_eq!(lab.counted(), expected);
}

#[tokio::test]
async fn server_and_port_are_told_as_configured() {
    let lab = Lab::with(|config, _| {
        config.ntp_server = Some("a.test".parse().unwrap());
        config.ntp_port = Some(1123);
    });
    let mut user = lab.connect().await;
    let answer = user.ask(ORDINARY).await;
    let before = format!("{CHOSEN}80060006612e74657374800700020463");
    lab.check_cookies(&answer, &before, END, 15, &user.export(15));
}

#[tokio::test]
async fn the_first_algorithm_of_the_user_that_is_supported_is_chosen() {
    let lab = Lab::new();
    // With deny records, which are no business of a plain server.
    let mut user = lab.connect().await;
    let request = "800100020000800400040011000f000d0006612e74657374000d0006622e7465737480000000";
    let answer = user.ask(request).await;
    lab.check_cookies(
        &answer,
        "800100020000800400020011",
        END,
        17,
        &user.export(17),
    );
    // AEAD 30 is off by default, with and without record 1024.
    let mut user = lab.connect().await;
    let answer = user
        .ask("80010002000080040004001e000f0400000080000000")
        .await;
    lab.check_cookies(&answer, CHOSEN, END, 15, &user.export(15));
}

#[tokio::test]
async fn a_user_that_has_said_all_before_is_answered() {
    let lab = Lab::new();
    let mut user = lab.connect().await;
    user.send(ORDINARY).await;
    user.0.shutdown().await.unwrap();
    let answer = user.receive().await;
    lab.check_cookies(&answer, CHOSEN, END, 15, &user.export(15));
}

#[tokio::test]
async fn a_request_may_come_in_pieces() {
    let lab = Lab::new();
    let mut user = lab.connect().await;
    let (first, second) = ORDINARY.split_at(10);
    user.send(first).await;
    let answer = user.ask(second).await;
    lab.check_cookies(&answer, CHOSEN, END, 15, &user.export(15));
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_and_closed() {
    let lab = Lab::new();
    let oversize = format!("800100020000{}", "0032fff0".to_owned() + &"00".repeat(5000));
    for (request, answer) in [
        // Nothing in common.
        ("800100028001800400020010800000 00", "8001000080000000"),
        (
            "800100020000800400020010 80000000",
            "8001000200008004000080000000",
        ),
        // No AEAD; empty and odd lists; no request at all.
        ("80010002000080000000", ERROR_1),
        ("8001000080040002000f80000000", ERROR_1),
        ("8001000300000080040002000f80000000", ERROR_1),
        (END, ERROR_1),
        // Octets after End of Message; an End of Message that is not empty.
        ("80010002000080040002000f8000000000", ERROR_1),
        ("80010002000080040002000f8000000100", ERROR_1),
        // Not NTS-KE; more than is read.
        ("474554202f20485454502f312e310d0a0d0a", ERROR_1),
        (&oversize, ERROR_1),
        // An unknown critical record; an Error, a cookie from a client.
        ("80010002000080040002000f803200016180000000", ERROR_0),
        ("80010002000080040002000f80020002000080000000", ERROR_1),
        ("80010002000080040002000f000500046162636480000000", ERROR_1),
        // Records for pools, from a stranger: as if they were unknown.
        ("80090000800a00000008000080000000", ERROR_0),
        ("c0040000c00100004000000080000000", ERROR_0),
        ("800b000080000000", ERROR_0),
        (
            &format!("800c0040{KEYS}80010002000080040002000f80000000"),
            ERROR_0,
        ),
    ] {
        let request = request.replace(' ', "");
        assert_eq!(
            lab.connect().await.ask_last(&request).await,
            answer,
            "{request}"
        );
    }
    assert_eq!(lab.counted().refused_requests, 17);
    assert_eq!(lab.counted().key_exchanges, 0);
}

#[tokio::test]
async fn an_unknown_record_that_is_not_critical_changes_nothing() {
    let lab = Lab::new();
    let mut user = lab.connect().await;
    let answer = user.ask("80010002000080040002000f003200016180000000").await;
    lab.check_cookies(&answer, CHOSEN, END, 15, &user.export(15));
}

#[tokio::test]
async fn keep_alive_of_a_user_is_ignored() {
    let lab = Lab::new();
    let mut user = lab.connect().await;
    let answer = user
        .ask(&format!("80010002000080040002000f{KEEP_ALIVE}{END}"))
        .await;
    lab.check_cookies(&answer, CHOSEN, END, 15, &user.export(15));
    assert_eq!(user.receive().await, "");
}
