//! Where to listen.

use super::*;
use crate::config;

fn read(value: &str) -> Result<Listen, String> {
    let text = format!("listen = {value}");
    let loaded = config::parse("c.toml", &text, |root| Listen::read(root, "listen"));
    loaded
        .map(|loaded| loaded.value)
        .map_err(|problems| problems.to_string())
}

#[test]
fn addresses_or_the_service_manager() {
    let address = "127.0.0.1:4460".parse().unwrap();
    assert_eq!(read("\"127.0.0.1:4460\""), Ok(vec![address].into()));
    for value in ["[\"127.0.0.1:4460\", \"[::1]:4460\"]", "\"systemd\""] {
        assert_eq!(read(value).unwrap().to_string(), value);
    }
    assert_eq!(read("[\"systemd\"]"), Ok(Listen::Inherited));
    assert_eq!(
        read("[\"systemd\", \"127.0.0.1:4460\"]").unwrap_err(),
        "error: c.toml:1: listen[1]: `systemd` stands alone; its .socket unit says where to listen"
    );
}

#[tokio::test]
async fn inherited_sockets_are_listened_on() {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let inherited = Inherited::from(vec![socket]);
    let listeners = Listen::Inherited.open(inherited).unwrap();
    let user = TcpStream::connect(address).await.unwrap();
    let (_, peer) = listeners[0].accept().await.unwrap();
    assert_eq!(peer, user.local_addr().unwrap());
    let error = Listen::Inherited.open(Inherited::none()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("start the program by a .socket unit")
    );
}
