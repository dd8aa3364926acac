//! How a pool ends.

use super::*;

const REQUEST: &str = "80010002000080040002000f80000000";
const ERROR_2: &str = "80020002000280000000";

/// What `/readyz` of the pool answers.
async fn readyz(pool: &Pool) -> String {
    let mut stream = TcpStream::connect(pool.metrics_address().unwrap())
        .await
        .unwrap();
    stream
        .write_all(b"GET /readyz HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn whoever_cannot_be_served_before_the_end_gets_error_2() {
    let authority = Authority::new();
    let script = Script::answering([Answer::Silence]);
    let source = TestSource::start(&authority.identity("127.0.0.1"), script).await;
    let mut config = config(&authority, vec![source.config()], PLENTY);
    config.shutdown.timeout = Duration::from_millis(50);
    let pool = Pool::start(config).unwrap();
    let lab = Lab { authority, pool };
    let (mut asking, mut silent) = (lab.connect().await, lab.connect().await);
    asking.write_all(&hex(REQUEST)).await.unwrap();
    lab.pool.shutdown().await;
    for stream in [&mut asking, &mut silent] {
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await.unwrap();
        assert_eq!(reply, hex(ERROR_2));
    }
}

#[tokio::test]
async fn a_balancer_has_time_to_notice_the_end() {
    let authority = Authority::new();
    let source = TestSource::start(&authority.identity("127.0.0.1"), Script::default()).await;
    let mut config = config(&authority, vec![source.config()], PLENTY);
    config.shutdown.delay = Duration::from_secs(2);
    config.observability.metrics_exporter_listen = Some("127.0.0.1:0".parse().unwrap());
    let pool = Pool::start(config).unwrap();
    let lab = Lab { authority, pool };
    lab.ask(&hex(REQUEST)).await;
    assert!(readyz(&lab.pool).await.starts_with("HTTP/1.1 200"));
    let metrics = lab.pool.metrics_address().unwrap();
    let address = lab.pool.local_addresses()[0];
    let began = tokio::time::Instant::now();
    let Lab { authority, pool } = lab;
    let ending = tokio::spawn(pool.shutdown());
    // It says that it is not ready, and serves on.
    loop {
        let mut stream = TcpStream::connect(metrics).await.unwrap();
        stream
            .write_all(b"GET /readyz HTTP/1.1\r\n\r\n")
            .await
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        if text.starts_with("HTTP/1.1 503") {
            assert!(text.ends_with("stopping\n"), "{text}");
            break;
        }
    }
    let tcp = TcpStream::connect(address).await.unwrap();
    let client = tls::client_config(&authority.trust(), None);
    let name = "127.0.0.1".try_into().unwrap();
    let mut user = tls::connect(client, name, tcp).await.unwrap();
    user.write_all(&hex(REQUEST)).await.unwrap();
    let mut reply = Vec::new();
    user.read_to_end(&mut reply).await.unwrap();
    assert!(reply.len() > 100, "{reply:?}");
    ending.await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(2));
}
