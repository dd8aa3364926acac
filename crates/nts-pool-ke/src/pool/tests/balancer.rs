//! Users who come through a balancer.

use nts_service::config::{Located, Place};
use nts_service::proxy_protocol::ProxyProtocol;
use tokio::net::TcpSocket;

use super::*;
use crate::config::GeoDatabase;
use crate::selection::{Geo, Groups, Region};

const REQUEST: &str = "80010002000080040002000f80000000";
const DATABASE: &[u8] = include_bytes!("../../../testdata/geo.mmdb");

/// A header that forwards [2001:db8::7]:40000, who is in Germany, and one that tells no address.
const FROM_GERMANY: &str = "21210024 20010db8000000000000000000000007 \
                            20010db8000000000000000000000001 9c40116c";
const FROM_NOWHERE: &str = "21000000";

/// A pool behind a balancer in 127.0.0.0/8, with a source for Germany and one for anybody.
async fn pool_with_places(authority: &Authority) -> (Pool, [TestSource; 2]) {
    let identity = authority.identity("127.0.0.1");
    let near = TestSource::start(&identity, Script::default()).await;
    let far = TestSource::start(&identity, Script::default()).await;
    let mut german = near.config();
    german.regions = vec![Region::parse("DE", &Groups::default()).unwrap()];
    let mut config = config(authority, vec![german, far.config()], PLENTY);
    config.proxy_protocol = ProxyProtocol::from_networks(["127.0.0.0/8".parse().unwrap()]);
    config.geo = Some(GeoDatabase {
        file: Located::new("geo.mmdb".into(), Place::file("pool.toml")),
        geo: Some(Arc::new(Geo::new(DATABASE.to_vec()).unwrap())),
    });
    (Pool::start(config).unwrap(), [near, far])
}

/// One exchange of a user whom the balancer announces like this.
async fn exchange(authority: &Authority, pool: &Pool, header: &str) {
    let signature = "0d0a0d0a000d0a515549540a";
    let header = format!("{signature}{header}").replace(' ', "");
    // By the database this address is in Germany too, but it is the balancer's.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.1.0.1:0".parse().unwrap()).unwrap();
    let mut tcp = socket.connect(pool.local_addresses()[0]).await.unwrap();
    tcp.write_all(&hex(&header)).await.unwrap();
    let client = tls::client_config(&authority.trust(), None);
    let name = "127.0.0.1".try_into().unwrap();
    let mut user = tls::connect(client, name, tcp).await.unwrap();
    user.write_all(&hex(REQUEST)).await.unwrap();
    let mut reply = Vec::new();
    user.read_to_end(&mut reply).await.unwrap();
    let message = Message::decode(&reply, RESPONSE_LIMIT).unwrap();
    KeyExchangeResponse::parse(&message, &ordinary_request()).unwrap();
}

#[tokio::test]
async fn the_address_that_the_balancer_tells_decides_family_and_country() {
    let authority = Authority::new();
    let (pool, _sources) = pool_with_places(&authority).await;
    for (header, family, level) in [
        (FROM_GERMANY, "ipv6", "country"),
        // The balancer's own family, and no country.
        (FROM_NOWHERE, "ipv4", "global"),
    ] {
        exchange(&authority, &pool, header).await;
        let page = pool.registry().render();
        for line in [
            format!("nts_pool_ke_pick_total{{tier=\"t2\",level=\"{level}\"}} 1"),
            format!("outcome=\"ok\",family=\"{family}\""),
        ] {
            let counted = page
                .lines()
                .any(|it| it.contains(&line) && it.ends_with(" 1"));
            assert!(counted, "{line} not in\n{page}");
        }
    }
}
