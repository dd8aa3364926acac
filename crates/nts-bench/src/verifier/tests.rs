use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use rustls_pki_types::PrivateKeyDer;

use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server that shows this certificate and signs with this key, whether they match or not.
#[derive(Debug)]
struct Server(Arc<CertifiedKey>);

impl Server {
    /// With a certificate for `name` of its own.
    fn new(authority: &Authority, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        Self::with(certificate.der().clone(), &key)
    }

    /// Somebody who shows the certificate without having its key.
    fn impostor(&self) -> Self {
        Self::with(self.0.cert[0].clone(), &KeyPair::generate().unwrap())
    }

    fn with(certificate: CertificateDer<'static>, key: &KeyPair) -> Self {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        Self(Arc::new(CertifiedKey::new(vec![certificate], key)))
    }
}

impl ResolvesServerCert for Server {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

/// A client that trusts the authority and verifies each `every`th handshake.
fn client(authority: &Authority, every: u64) -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let verifier = Verifier::new(roots, Arc::clone(&provider), every).unwrap();
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Arc::new(config)
}

/// Whether a handshake in memory with the server, taken for `name`, comes to its end.
fn accepts(client: &Arc<ClientConfig>, server: &Server, name: &'static str) -> bool {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Server(Arc::clone(&server.0))));
    let name = ServerName::try_from(name).unwrap();
    let mut client = Connection::from(ClientConnection::new(Arc::clone(client), name).unwrap());
    let mut server = Connection::from(ServerConnection::new(Arc::new(config)).unwrap());
    while client.is_handshaking() || server.is_handshaking() {
        hand_over(&mut client, &mut server).unwrap();
        if hand_over(&mut server, &mut client).is_err() {
            return false;
        }
    }
    true
}

fn hand_over(from: &mut Connection, to: &mut Connection) -> Result<(), Error> {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).unwrap();
    }
    let mut wire = wire.as_slice();
    while !wire.is_empty() {
        to.read_tls(&mut wire).unwrap();
        to.process_new_packets()?;
    }
    Ok(())
}

#[test]
fn the_first_and_each_so_manyth_signature_is_verified() {
    let authority = authority();
    let server = Server::new(&authority, "pool.example");
    let impostor = server.impostor();
    let client = client(&authority, 3);
    assert!(!accepts(&client, &impostor, "pool.example"));
    for _ in 0..2 {
        assert!(accepts(&client, &impostor, "pool.example"));
    }
    assert!(!accepts(&client, &impostor, "pool.example"));
    for _ in 0..6 {
        assert!(accepts(&client, &server, "pool.example"));
    }
}

#[test]
fn a_certificate_that_differs_is_verified_whenever_it_comes() {
    let authority = authority();
    let server = Server::new(&authority, "pool.example");
    let client = client(&authority, 1000);
    assert!(accepts(&client, &server, "pool.example"));
    assert!(accepts(&client, &server, "pool.example"));
    assert!(!accepts(&client, &server, "other.example"));
    let stranger = Server::new(&self::authority(), "pool.example");
    assert!(!accepts(&client, &stranger, "pool.example"));
    let renewed = Server::new(&authority, "pool.example");
    assert!(accepts(&client, &renewed, "pool.example"));
}

#[test]
fn with_one_nothing_is_left_out() {
    let authority = authority();
    let server = Server::new(&authority, "pool.example");
    let client = client(&authority, 1);
    for _ in 0..3 {
        assert!(accepts(&client, &server, "pool.example"));
        assert!(!accepts(&client, &server.impostor(), "pool.example"));
    }
}
