use std::sync::Arc;

use nts_proto::code_points::AeadAlgorithm;
use nts_proto::ke::keys::{Direction, EXPORTER_LABEL, exporter_context};
use nts_proto::ke::negotiation::Negotiated;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CipherSuite, ClientConfig, NamedGroup, ProtocolVersion, ServerConfig};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_rustls::{client, server};

use super::*;

type Pair = (
    Result<client::TlsStream<DuplexStream>, HandshakeError>,
    Result<server::TlsStream<DuplexStream>, HandshakeError>,
);

async fn shake(client: Arc<ClientConfig>, server: Arc<ServerConfig>, alpn: Alpn) -> Pair {
    shake_as(client, server, alpn, "a.test").await
}

async fn shake_as(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    alpn: Alpn,
    name: &str,
) -> Pair {
    let (ours, theirs) = duplex(1 << 16);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    tokio::join!(connect(client, name, ours), accept(server, alpn, theirs))
}

/// A client that trusts the authority and a server whose certificate is from there.
fn configs(
    authority: &Authority,
    clients: ClientCertificates,
) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let identity = authority.server().identity();
    (
        client_config(&authority.trust(), None),
        server_config(&identity, clients),
    )
}

/// The client's error for this leaf under this name.
async fn refusal(leaf: &Leaf, trust: &TrustAnchors, name: &str) -> String {
    let server = server_config(&leaf.identity(), ClientCertificates::Ignore);
    let (client, _) = shake_as(client_config(trust, None), server, Alpn::Required, name).await;
    let error = client.expect_err(name);
    assert_eq!(error.label(), "certificate", "{error}");
    error.to_string()
}

#[tokio::test]
async fn both_sides_get_tls13_alpn_and_the_same_keys() {
    let authority = Authority::new("CA");
    let (client, server) = configs(&authority, ClientCertificates::Ignore);
    let (client, server) = shake(client, server, Alpn::Required).await;
    let (client, server) = (client.unwrap(), server.unwrap());
    let (client, server) = (client.get_ref().1, server.get_ref().1);
    assert_eq!(server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    assert_eq!(server.alpn_protocol(), Some(&b"ntske/1"[..]));
    let group = server
        .negotiated_key_exchange_group()
        .map(|group| group.name());
    assert_eq!(group, Some(NamedGroup::X25519MLKEM768));
    assert_eq!(peer_certificate(server), None);

    for algorithm in [AeadAlgorithm::AesSivCmac256, AeadAlgorithm::AesSivCmac512] {
        let negotiated = Negotiated::ntpv4(algorithm).unwrap();
        let ours = export_session_keys(client, &negotiated).unwrap();
        let theirs = export_session_keys(server, &negotiated).unwrap();
        assert_eq!((ours.c2s(), ours.s2c()), (theirs.c2s(), theirs.s2c()));
        assert_ne!(ours.c2s(), ours.s2c());
        assert_eq!(ours.c2s().len(), negotiated.key_length());
        let context = exporter_context(negotiated.protocol(), algorithm, Direction::ServerToClient);
        let key = vec![0; negotiated.key_length()];
        let key = server
            .export_keying_material(key, EXPORTER_LABEL, Some(&context))
            .unwrap();
        assert_eq!(ours.s2c(), key);
    }
}

#[tokio::test]
async fn the_server_chooses_aes_128_whatever_the_client_prefers() {
    let authority = Authority::new("CA");
    let (_, server) = configs(&authority, ClientCertificates::Ignore);
    let mut provider = (*provider::provider()).clone();
    provider.cipher_suites.reverse();
    let mut client = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(authority.trust().verifier())
        .with_no_client_auth();
    client.alpn_protocols = vec![ALPN.to_vec()];
    let (_, server) = shake(Arc::new(client), server, Alpn::Required).await;
    let suite = server
        .unwrap()
        .get_ref()
        .1
        .negotiated_cipher_suite()
        .unwrap()
        .suite();
    assert_eq!(suite, CipherSuite::TLS13_AES_128_GCM_SHA256);
}

#[tokio::test]
async fn users_get_no_session_tickets_and_no_early_data() {
    let authority = Authority::new("CA");
    let (client, server) = configs(&authority, ClientCertificates::Ignore);
    assert_eq!(
        (server.max_early_data_size, server.send_tls13_tickets),
        (0, 0)
    );
    let (client, server) = shake(client, server, Alpn::Required).await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    server.write_all(b"x").await.unwrap();
    server.flush().await.unwrap();
    // A ticket would have come before this octet.
    client.read_exact(&mut [0]).await.unwrap();
    assert_eq!(client.get_ref().1.tls13_tickets_received(), 0);
}

fn with_alpn(config: &ClientConfig, protocols: &[&[u8]]) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

#[tokio::test]
async fn clients_without_alpn_are_refused_unless_admitted() {
    let authority = Authority::new("CA");
    let (client, server) = configs(&authority, ClientCertificates::Ignore);
    let silent = with_alpn(&client, &[]);
    let (_, refused) = shake(silent.clone(), server.clone(), Alpn::Required).await;
    assert!(matches!(refused, Err(HandshakeError::Alpn)), "{refused:?}");
    let (_, admitted) = shake(silent, server.clone(), Alpn::Optional).await;
    assert!(admitted.is_ok());
    // Another protocol is never admitted: TLS itself refuses it.
    let web = with_alpn(&client, &[b"h2"]);
    let (client, server) = shake(web, server, Alpn::Optional).await;
    assert!(matches!(client, Err(HandshakeError::Alpn)), "{client:?}");
    assert!(matches!(server, Err(HandshakeError::Alpn)), "{server:?}");
}

#[tokio::test]
async fn servers_without_alpn_are_refused() {
    let authority = Authority::new("CA");
    let (client, server) = configs(&authority, ClientCertificates::Ignore);
    let mut silent = (*server).clone();
    silent.alpn_protocols.clear();
    let (client, _) = shake(client, Arc::new(silent), Alpn::Optional).await;
    let error = client.unwrap_err();
    assert!(matches!(error, HandshakeError::Alpn), "{error}");
    assert!(error.to_string().contains("ntske/1"));
}

#[tokio::test]
async fn a_requested_client_certificate_may_be_absent_or_from_anywhere() {
    let authority = Authority::new("CA");
    let (client, server) = configs(&authority, ClientCertificates::Request);
    let (_, anonymous) = shake(client, server.clone(), Alpn::Required).await;
    assert_eq!(peer_certificate(anonymous.unwrap().get_ref().1), None);

    // Issued elsewhere, expired, for servers only: all of that is not judged here.
    let pool = Authority::new("Elsewhere").leaf(&["pool.test"], |params| {
        years(2000, 2001)(params);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    let client = client_config(&authority.trust(), Some(&pool.identity()));
    let (_, presented) = shake(client.clone(), server, Alpn::Required).await;
    assert_eq!(
        peer_certificate(presented.unwrap().get_ref().1),
        Some(&pool.der)
    );

    let (_, server) = configs(&authority, ClientCertificates::Ignore);
    let (_, unasked) = shake(client, server, Alpn::Required).await;
    assert_eq!(peer_certificate(unasked.unwrap().get_ref().1), None);
}

#[tokio::test]
async fn a_client_must_hold_the_key_of_the_certificate_it_presents() {
    let authority = Authority::new("CA");
    let (client, server) = configs(&authority, ClientCertificates::Request);
    let (victim, thief) = (authority.server(), authority.server().identity());
    let forged = CertifiedKey::new(vec![victim.der], thief.certified_key().key.clone());
    let mut client = (*client).clone();
    client.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(forged));
    let (_, server) = shake(Arc::new(client), server, Alpn::Required).await;
    let error = server.unwrap_err();
    assert_eq!(error.label(), "certificate", "{error}");
}

#[tokio::test]
async fn a_client_certificate_that_is_none_is_refused() {
    let authority = Authority::new("CA");
    let (client, server) = configs(&authority, ClientCertificates::Request);
    let key = authority.server().identity().certified_key().key.clone();
    let junk = CertifiedKey::new(vec![CertificateDer::from(vec![0x30, 0])], key);
    let mut client = (*client).clone();
    client.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(junk));
    let (_, server) = shake(Arc::new(client), server, Alpn::Required).await;
    assert_eq!(server.unwrap_err().label(), "certificate");
}

#[tokio::test]
async fn refused_server_certificates_are_explained() {
    let authority = Authority::new("CA");
    let trust = authority.trust();

    let old = authority.leaf(&["a.test"], years(2000, 2001));
    let text = refusal(&old, &trust, "a.test").await;
    assert!(
        text.contains("expired on Jan  1 00:00:00 2001 +00:00"),
        "{text}"
    );

    let coming = authority.leaf(&["a.test"], years(2900, 2901));
    let text = refusal(&coming, &trust, "a.test").await;
    assert!(
        text.contains("not valid before Jan  1 00:00:00 2900 +00:00"),
        "{text}"
    );
    assert!(text.ends_with("check this machine's clock"), "{text}");

    let text = refusal(&authority.server(), &trust, "b.test").await;
    assert_eq!(
        text,
        "the peer's certificate is for `a.test`, `192.0.2.1`, not for `b.test`; use a name it is \
         for, or have one made for `b.test`"
    );
    let text = refusal(&authority.server(), &trust, "192.0.2.2").await;
    assert!(text.contains("not for `192.0.2.2`"), "{text}");

    let nameless = authority.leaf(&[], |_| {});
    let text = refusal(&nameless, &trust, "a.test").await;
    assert!(text.contains("names no host at all"), "{text}");

    let stranger = Authority::new("Stranger");
    let text = refusal(&stranger.server(), &trust, "a.test").await;
    assert!(
        text.contains("issued by an authority that is not trusted here"),
        "{text}"
    );

    let made_anew = Authority::new("CA");
    let text = refusal(&made_anew.server(), &trust, "a.test").await;
    assert!(text.contains("was the authority made anew?"), "{text}");

    let for_clients = authority.leaf(&["a.test"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    let text = refusal(&for_clients, &trust, "a.test").await;
    assert!(text.contains("not meant for TLS servers"), "{text}");
}

#[tokio::test]
async fn an_address_is_a_name_too() {
    let authority = Authority::new("CA");
    let (client, server) = configs(&authority, ClientCertificates::Ignore);
    let (client, server) = shake_as(client, server, Alpn::Required, "192.0.2.1").await;
    assert!(client.is_ok() && server.is_ok());
}

#[tokio::test]
async fn the_server_learns_that_its_certificate_was_refused() {
    let authority = Authority::new("CA");
    let (client, _) = configs(&authority, ClientCertificates::Ignore);
    let stranger = Authority::new("Stranger").server().identity();
    let server = server_config(&stranger, ClientCertificates::Ignore);
    let (_, server) = shake(client, server, Alpn::Required).await;
    let error = server.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the peer refused our certificate (TLS alert UnknownCA)"
    );
}

#[tokio::test]
async fn what_is_not_tls_13_is_refused() {
    let authority = Authority::new("CA");
    let (_, server) = configs(&authority, ClientCertificates::Ignore);
    // A ClientHello of TLS 1.2: no supported_versions extension.
    let mut hello = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3];
    hello.extend([7; 32]);
    hello.extend([0, 0, 2, 0xc0, 0x2b, 1, 0]);
    let whole = hello.len();
    assert_eq!(whole, 50);
    for (octets, label) in [
        (&hello[..], "protocol"),
        (b"GET / HTTP/1.1\r\n\r\n", "protocol"),
        (b"", "closed"),
    ] {
        let (mut ours, theirs) = duplex(1 << 16);
        ours.write_all(octets).await.unwrap();
        ours.shutdown().await.unwrap();
        let error = accept(server.clone(), Alpn::Required, theirs)
            .await
            .unwrap_err();
        assert_eq!(error.label(), label, "{error}");
    }
}
