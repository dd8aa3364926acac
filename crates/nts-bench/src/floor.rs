//! What the server's side of a key exchange costs at least: TLS 1.3 in memory, with the keys
//! exported, and nothing else. No sockets, no NTS-KE messages.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use nix::time::{ClockId, clock_gettime};
use nts_proto::code_points::AeadAlgorithm;
use nts_proto::ke::negotiation::Negotiated;
use nts_service::tls::{self, ClientCertificates, Identity};
use rustls::{ClientConnection, ServerConfig, ServerConnection};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde::Serialize;

use crate::BoxError;
use crate::key_exchange::{Group, Offer, Suite, User};

/// Handshakes before any is counted.
const WARM_UP: u32 = 200;

/// Octets of a flight, at most.
const FLIGHT: usize = 1 << 16;

/// Options of `nts-bench floor`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// PEM file of the server's certificate chain.
    #[arg(long, value_name = "FILE")]
    chain: PathBuf,
    /// PEM file of its private key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// PEM file of the authority of the certificate.
    #[arg(long, value_name = "FILE")]
    authority: PathBuf,
    /// Name or address in the certificate.
    #[arg(long)]
    name: String,
    /// What the client offers for the agreement on keys.
    #[arg(long, value_enum, default_value_t = Group::X25519)]
    group: Group,
    /// Which cipher suites the client offers.
    #[arg(long, value_enum, default_value_t = Suite::Any)]
    suite: Suite,
    /// Handshakes that are counted.
    #[arg(long, default_value_t = 3000)]
    count: u32,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    handshakes: u32,
    /// CPU time of the server's side per handshake.
    cpu_us_per_handshake: f64,
}

/// Shakes hands in memory and prints a [`Report`].
///
/// # Errors
/// Whatever went wrong.
pub(crate) fn run(options: &Options) -> Result<(), BoxError> {
    let chain = CertificateDer::pem_file_iter(&options.chain)?.collect::<Result<Vec<_>, _>>()?;
    let identity = Identity::new(chain, PrivateKeyDer::from_pem_file(&options.key)?)?;
    let server = tls::server_config(&identity, ClientCertificates::Ignore);
    let offer = Offer {
        group: options.group,
        suite: options.suite,
        ..Offer::default()
    };
    let algorithm = AeadAlgorithm::AesSivCmac256;
    let user = User::new(&options.authority, offer, algorithm, Vec::new())?;
    let name = ServerName::try_from(options.name.clone())?;
    let mut used = Duration::ZERO;
    for number in 0..WARM_UP + options.count {
        let once = handshake(&server, &user, &name)?;
        if number >= WARM_UP {
            used += once;
        }
    }
    let report = Report {
        handshakes: options.count,
        cpu_us_per_handshake: used.as_secs_f64() * 1e6 / f64::from(options.count.max(1)),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

/// One handshake: CPU time of the server's side, two keys exported.
fn handshake(
    config: &Arc<ServerConfig>,
    user: &User,
    name: &ServerName<'static>,
) -> Result<Duration, BoxError> {
    let mut client = ClientConnection::new(user.config(), name.clone())?;
    let mut wire = Vec::with_capacity(FLIGHT);
    client.write_tls(&mut wire)?;

    let mut used = Duration::ZERO;
    let started = cpu()?;
    let mut server = ServerConnection::new(Arc::clone(config))?;
    take(wire.as_slice(), |octets| server.read_tls(octets))?;
    server.process_new_packets()?;
    wire.clear();
    while server.wants_write() {
        server.write_tls(&mut wire)?;
    }
    used += cpu()?.saturating_sub(started);

    take(wire.as_slice(), |octets| client.read_tls(octets))?;
    client.process_new_packets()?;
    wire.clear();
    while client.wants_write() {
        client.write_tls(&mut wire)?;
    }

    let started = cpu()?;
    take(wire.as_slice(), |octets| server.read_tls(octets))?;
    server.process_new_packets()?;
    let negotiated = Negotiated::ntpv4(AeadAlgorithm::AesSivCmac256).ok_or("no key length")?;
    tls::export_session_keys(&server, &negotiated)?;
    drop(server);
    used += cpu()?.saturating_sub(started);
    Ok(used)
}

/// Hands all octets to a connection, which takes them in pieces.
fn take(
    mut octets: &[u8],
    mut read: impl FnMut(&mut &[u8]) -> std::io::Result<usize>,
) -> std::io::Result<()> {
    while !octets.is_empty() {
        read(&mut octets)?;
    }
    Ok(())
}

/// CPU time of this thread so far.
fn cpu() -> Result<Duration, BoxError> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}
