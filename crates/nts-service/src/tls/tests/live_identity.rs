use std::time::Duration;

use rustls_pki_types::{ServerName, UnixTime};
use tokio::io::duplex;

use super::*;
use crate::config::Problems;

/// The beginning of 2026.
const NOW: u64 = 1_767_225_600;

/// A server that shows the pair of two files.
struct Server {
    files: Files,
    chain: Located<PathBuf>,
    key: Located<PathBuf>,
    live: LiveIdentity,
}

impl Server {
    fn showing(leaf: &Leaf) -> Self {
        let files = Files::new();
        let chain = files.add("chain", &leaf.pem);
        let key = files.add("key", &leaf.key_pem);
        Self {
            files,
            chain,
            key,
            live: LiveIdentity::new(leaf.identity()),
        }
    }

    /// What became of it, and what a person reads.
    fn renew(&self) -> (Renewal, String) {
        let problems = Problems::new();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(NOW));
        let renewal = self.live.renew_at(&self.chain, &self.key, &problems, now);
        assert_eq!(problems.has_errors(), renewal == Renewal::Refused);
        (renewal, self.files.shown(&problems))
    }

    fn shows(&self, leaf: &Leaf) -> bool {
        self.live.current().certificate() == Some(&leaf.der)
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_whom_comes_next() {
    let authority = Authority::new("CA");
    let (old, new) = (authority.server(), authority.server());
    let server = Server::showing(&old);
    let config = server_config(server.live.clone(), ClientCertificates::Ignore);
    let client = client_config(&authority.trust(), None);
    let seen = async || {
        let (ours, theirs) = duplex(1 << 16);
        let name = ServerName::try_from("a.test").unwrap();
        let (user, _server) = tokio::join!(
            connect(client.clone(), name, ours),
            accept(config.clone(), Alpn::Required, theirs)
        );
        let user = user.unwrap();
        user.get_ref().1.peer_certificates().unwrap()[0].clone()
    };
    assert_eq!(seen().await, old.der);
    assert_eq!(server.renew(), (Renewal::Unchanged, String::new()));
    server.files.add("chain", &new.pem);
    server.files.add("key", &new.key_pem);
    assert_eq!(server.renew(), (Renewal::Renewed, String::new()));
    assert_eq!(seen().await, new.der);
}

#[test]
fn cert_half_renewed() {
    let authority = Authority::new("CA");
    let (old, new) = (authority.server(), authority.server());
    for (first, second) in [("chain", "key"), ("key", "chain")] {
        let server = Server::showing(&old);
        let content = |name| {
            if name == "chain" {
                &new.pem
            } else {
                &new.key_pem
            }
        };
        server.files.add(first, content(first));
        let (renewal, said) = server.renew();
        assert_eq!(renewal, Renewal::HalfRenewed);
        assert_eq!(
            said,
            "warning: c.toml:7: key: `key`: the private key does not belong to the certificate of \
             `CN=a.test` in `chain`; the certificate that was loaded before stays until both \
             files are renewed"
        );
        assert!(server.shows(&old));
        server.files.add(second, content(second));
        assert_eq!(server.renew(), (Renewal::Renewed, String::new()));
        assert!(server.shows(&new));
    }
}

#[test]
fn a_certificate_that_no_user_would_accept_is_not_taken() {
    let authority = Authority::new("CA");
    let old = authority.server();
    let expired = authority.leaf(&["a.test", "192.0.2.1"], years(2020, 2025));
    let nameless = authority.leaf(&[], |_| {});
    for (leaf, what) in [(&expired, "expired on"), (&nameless, "has no names")] {
        let server = Server::showing(&old);
        server.files.add("chain", &leaf.pem);
        server.files.add("key", &leaf.key_pem);
        let (renewal, said) = server.renew();
        assert_eq!(renewal, Renewal::Refused);
        assert!(
            said.contains("error: c.toml:7: chain: `chain`: its"),
            "{said}"
        );
        assert!(said.contains(what), "{said}");
        assert!(server.shows(&old));
    }
}

#[test]
fn files_that_are_damaged_or_gone_change_nothing() {
    let old = Authority::new("CA").server();
    let server = Server::showing(&old);
    server.files.add("chain", "cut off");
    let (renewal, said) = server.renew();
    assert_eq!(renewal, Renewal::Refused);
    assert!(said.contains("it is no PEM file"), "{said}");
    std::fs::remove_file(&*server.chain).unwrap();
    assert_eq!(server.renew().0, Renewal::Refused);
    assert!(server.shows(&old));
}

#[test]
fn names_that_get_lost_are_told() {
    let authority = Authority::new("CA");
    let server = Server::showing(&authority.server());
    let other = authority.leaf(&["a.test", "b.test"], |_| {});
    server.files.add("chain", &other.pem);
    server.files.add("key", &other.key_pem);
    let (renewal, said) = server.renew();
    assert_eq!(renewal, Renewal::Renewed);
    assert_eq!(
        said,
        "warning: c.toml:7: chain: `chain`: its certificate no longer names `192.0.2.1`; clients \
         that use such a name will refuse it"
    );
}

#[test]
fn the_time_that_is_left_can_be_asked_for() {
    let leaf = Authority::new("CA").leaf(&["a.test"], years(2025, 2026));
    let identity = leaf.identity();
    let end = std::time::UNIX_EPOCH + Duration::from_secs(NOW);
    let hour = Duration::from_secs(3600);
    assert_eq!(identity.time_left(end - hour), Some(hour));
    assert_eq!(identity.time_left(end + hour), None);
}
