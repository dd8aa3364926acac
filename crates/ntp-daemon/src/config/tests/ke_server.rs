use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::fixtures::{Issued, Pki};

/// A server with a certificate, an NTP server at the default port, and `more` keys.
fn server(issued: &Issued, more: &str) -> String {
    format!(
        "[[server]]\nlisten = '127.0.0.1:123'\n[[nts-ke-server]]\nlisten = '127.0.0.1:4460'\n{}{more}",
        issued.toml()
    )
}

#[test]
fn defaults_and_values_of_every_key() {
    let pki = Pki::new();
    let issued = pki.issue("a.test");
    let loaded = good(&server(&issued, ""));
    assert!(loaded.warnings.is_empty());
    let ke_server = &loaded.config.ke_servers[0];
    assert_eq!(ke_server.listen.to_string(), "127.0.0.1:4460");
    assert_eq!(ke_server.key_exchange_timeout.as_millis(), 1000);
    assert_eq!(ke_server.concurrent_connections, 512);
    assert_eq!(ke_server.longlived_connections, 51);
    assert_eq!((ke_server.ntp_port, &ke_server.ntp_server), (None, &None));
    assert_eq!(ke_server.proxy_protocol, None);
    assert!(ke_server.authorization.certificates.is_empty());
    assert!(ke_server.authorization.tokens.is_empty());

    let text = server(
        &issued,
        "key-exchange-timeout-ms = 250\nconcurrent-connections = 7\nlonglived-connections = 3\n\
         ntp-port = 1123\nntp-server = 'NTP.a.test.'\naccept-ntp-versions = [4]\n\
         proxy-protocol = { mode = 'required', allow = ['192.0.2.1/32'] }\n",
    );
    let ke_server = &good(&text).config.ke_servers[0];
    assert_eq!(ke_server.key_exchange_timeout.as_millis(), 250);
    assert_eq!(
        (
            ke_server.concurrent_connections,
            ke_server.longlived_connections
        ),
        (7, 3)
    );
    assert_eq!(ke_server.ntp_port, Some(1123));
    let balancers = ke_server.proxy_protocol.as_ref().unwrap().networks();
    assert_eq!(balancers, ["192.0.2.1/32".parse().unwrap()]);
    assert_eq!(
        ke_server.ntp_server.as_ref().unwrap().as_str(),
        "NTP.a.test."
    );
}

#[test]
fn clients_must_not_be_sent_where_nobody_answers() {
    let pki = Pki::new();
    let issued = pki.issue("a.test");
    let elsewhere = |more: &str| {
        let text = server(&issued, more).replace("127.0.0.1:123'", "127.0.0.1:1123'");
        warnings(&text)
    };
    assert_eq!(
        elsewhere(""),
        [
            "warning: ntp.toml:3: nts-ke-server[1]: clients are sent to NTPv4 port 123 of this host, \
          where no [[server]] listens; add one, or set ntp-port or ntp-server"
        ]
    );
    assert_eq!(elsewhere("ntp-port = 1123"), Vec::<String>::new());
    assert_eq!(elsewhere("ntp-server = 'a.test'"), Vec::<String>::new());
}

#[test]
fn values_are_checked() {
    let pki = Pki::new();
    let issued = pki.issue("a.test");
    let text = server(
        &issued,
        "key-exchange-timeout-ms = 0\nntp-port = 0\nntp-server = 'a b'\naccept-ntp-versions = [5]\n",
    );
    assert_eq!(
        problems(&text),
        [
            "error: ntp.toml:7: nts-ke-server[1].key-exchange-timeout-ms = 0: out of range; write \
             a number from 1 to 600000 milliseconds",
            "error: ntp.toml:8: nts-ke-server[1].ntp-port = 0: no such port; write a number from \
             1 to 65535",
            "error: ntp.toml:9: nts-ke-server[1].ntp-server = 'a b': neither a DNS name nor an IP \
             address; write a name like `time.example.org` (letters, digits, `-`, `.`) or an \
             address like `192.0.2.1` or `2001:db8::1`",
            "error: ntp.toml:10: nts-ke-server[1].accept-ntp-versions[1]: NTPv5 is not supported; \
             take 5 out",
        ]
    );
}

#[test]
fn certificates_are_checked_with_the_rest() {
    let pki = Pki::new();
    let (one, other) = (pki.issue("one.test"), pki.issue("other.test"));
    let mixed = Issued {
        chain_path: one.chain_path,
        key_path: other.key_path,
    };
    let found = problems(&server(&mixed, "ntp-prot = 1"));
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(
        found[0].contains("ntp.toml:6: nts-ke-server[1].private-key-path"),
        "{found:#?}"
    );
    assert_eq!(
        found[1],
        "error: ntp.toml:7: nts-ke-server[1].ntp-prot: unknown key; did you mean `ntp-port`?"
    );
}

#[cfg(not(feature = "unstable_nts-pool"))]
#[test]
fn what_belongs_to_pools_needs_the_feature() {
    let pki = Pki::new();
    let text = server(
        &pki.issue("a.test"),
        "authorized-pool-server-certificates = []\n\
         accepted-pool-authentication-tokens = ['0123456789abcdef0123456789abcdef']\n\
         [[source]]\nmode = 'nts-pool'\naddress = 'a.test'\ncount = 1\n",
    );
    let cure = "this program was built without the feature `unstable_nts-pool`; build it with \
                `cargo build --release --features unstable_nts-pool` or take this out";
    assert_eq!(
        problems(&text),
        [
            format!(
                "error: ntp.toml:7: nts-ke-server[1].authorized-pool-server-certificates: {cure}"
            ),
            format!(
                "error: ntp.toml:8: nts-ke-server[1].accepted-pool-authentication-tokens: {cure}"
            ),
            format!("error: ntp.toml:10: source[1].mode = 'nts-pool': {cure}"),
        ]
    );
}

#[cfg(feature = "unstable_nts-pool")]
mod with_pools {
    use nts_proto::ke::token::AuthenticationToken;

    use super::*;

    #[test]
    fn pools_are_authorised_by_certificate_and_token() {
        let pki = Pki::new();
        let pool = pki.issue("pool.test");
        let text = server(
            &pki.issue("a.test"),
            &format!(
                "authorized-pool-server-certificates = [{:?}]\n\
                 accepted-pool-authentication-tokens = ['0123456789abcdef0123456789abcdef']\n",
                pool.chain_path
            ),
        );
        let loaded = good(&text);
        assert!(loaded.warnings.is_empty());
        let authorization = &loaded.config.ke_servers[0].authorization;
        assert_eq!(authorization.certificates, pool.chain());
        let token = AuthenticationToken::new("0123456789abcdef0123456789abcdef").unwrap();
        assert!(authorization.tokens[0].matches(&token));
        assert!(!format!("{loaded:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn a_pool_certificate_that_has_expired_is_a_warning() {
        let pki = Pki::new();
        let old = pki.issue_with("pool.test", |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        });
        let more = format!(
            "authorized-pool-server-certificates = [{:?}]",
            old.chain_path
        );
        assert_eq!(
            warnings(&server(&pki.issue("a.test"), &more)),
            [format!(
                "warning: ntp.toml:7: nts-ke-server[1].authorized-pool-server-certificates[1]: \
                 `{}`: its certificate expired on Jan  1 00:00:00 2021 +00:00, so its pool must \
                 have another by now; ask for that one",
                old.chain_path.display()
            )]
        );
    }

    #[test]
    fn tokens_are_checked_and_never_shown() {
        let pki = Pki::new();
        let text = server(
            &pki.issue("a.test"),
            "accepted-pool-authentication-tokens = ['', 'guess', 'a\u{e4}', 7]",
        );
        let found = problems(&text);
        let at = "ntp.toml:7: nts-ke-server[1].accepted-pool-authentication-tokens";
        let weak = "a token of fewer than 22 characters can be guessed; make one with \
                    `openssl rand -hex 32`";
        let wrong = "a token is 1 to 512 ASCII characters without NUL; make another one";
        assert_eq!(
            found,
            [
                format!("error: {at}[4]: a whole number where a text belongs; write it in quotes"),
                format!("error: {at}[1]: {wrong}"),
                format!("warning: {at}[2]: {weak}"),
                format!("error: {at}[3]: {wrong}"),
            ]
        );
    }

    #[test]
    fn a_file_with_tokens_is_a_secret_file() {
        let pki = Pki::new();
        let text = server(
            &pki.issue("a.test"),
            "accepted-pool-authentication-tokens = ['0123456789abcdef0123456789abcdef']",
        );
        let path = pki.path("ntp.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(load(&path).unwrap().warnings.is_empty());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let shown = path.display();
        assert_eq!(
            lines(load(&path).unwrap().warnings),
            [format!(
                "warning: {shown}:7: nts-ke-server[1].accepted-pool-authentication-tokens[1]: \
                 this file holds a secret and every user of this machine can read it; run \
                 `chmod o-r '{shown}'`"
            )]
        );
    }

    #[test]
    fn a_client_of_a_pool() {
        let pki = Pki::new();
        let text = format!(
            "[[source]]\nmode = 'nts-pool'\naddress = 'localhost:4460'\n\
             certificate-authority = {:?}\ncount = 1\n\
             [synchronization]\nminimum-agreeing-sources = 1\n",
            pki.path("ca.pem")
        );
        let loaded = good(&text);
        assert_eq!(loaded.warnings.to_string(), "");
        let source = &loaded.config.sources[0];
        assert!(matches!(source.mode, SourceMode::NtsPool { count: 1, .. }));
        assert_eq!(source.address.to_string(), "localhost:4460");
    }
}

#[test]
fn the_certificate_authority_is_read_with_the_configuration() {
    let source = "[[source]]\nmode = 'nts'\naddress = 'a.test'\ncertificate-authority = 'no.pem'\n\
                  [synchronization]\nminimum-agreeing-sources = 1";
    let found = problems(source);
    let start = "error: ntp.toml:4: source[1].certificate-authority: there is no file `no.pem`";
    assert!(
        found.len() == 1 && found[0].starts_with(start),
        "{found:#?}"
    );
}

#[test]
fn a_key_file_that_others_can_read_is_a_warning() {
    let pki = Pki::new();
    let issued = pki.issue("a.test");
    let mode = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&issued.key_path, mode).unwrap();
    let found = warnings(&server(&issued, ""));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("warning: ntp.toml:6: nts-ke-server[1].private-key-path"));
}
