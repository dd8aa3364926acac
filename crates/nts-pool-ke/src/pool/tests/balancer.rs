//! Users who come through a balancer.

use nts_service::proxy_protocol::ProxyProtocol;

use super::*;

const REQUEST: &str = "80010002000080040002000f80000000";

/// A header that forwards [2001:db8::7]:40000.
fn header() -> Vec<u8> {
    let user = "20010db8000000000000000000000007";
    let server = "20010db8000000000000000000000001";
    let signature = "0d0a0d0a000d0a515549540a";
    hex(&format!("{signature}21210024{user}{server}9c40116c"))
}

#[tokio::test]
async fn the_address_that_the_balancer_tells_counts() {
    let authority = Authority::new();
    let source = TestSource::start(&authority.identity("127.0.0.1"), Script::default()).await;
    let mut config = config(&authority, vec![source.config()], PLENTY);
    let balancers = ["127.0.0.0/8".parse().unwrap()];
    config.proxy_protocol = ProxyProtocol::from_networks(balancers);
    let pool = Pool::start(config).unwrap();
    let mut tcp = TcpStream::connect(pool.local_addresses()[0]).await.unwrap();
    tcp.write_all(&header()).await.unwrap();
    let client = tls::client_config(&authority.trust(), None);
    let name = "127.0.0.1".try_into().unwrap();
    let mut user = tls::connect(client, name, tcp).await.unwrap();
    user.write_all(&hex(REQUEST)).await.unwrap();
    let mut reply = Vec::new();
    user.read_to_end(&mut reply).await.unwrap();
    let message = Message::decode(&reply, RESPONSE_LIMIT).unwrap();
    KeyExchangeResponse::parse(&message, &ordinary_request()).unwrap();
    let page = pool.registry().render();
    let line = "nts_pool_ke_exchanges_total{outcome=\"ok\",family=\"ipv6\",kind=\"user\"} 1";
    assert!(page.lines().any(|it| it == line), "{page}");
}
