//! Stands in for a time source where the pool alone is to be measured: answers pools with cookies
//! that were made before, so that it takes little of the machine. Nobody can use those cookies.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use clap::Args;
use nts_proto::code_points::{AeadAlgorithm, ProtocolId};
use nts_proto::cookie::Cookie;
use nts_proto::ke::EncodedMessage;
use nts_proto::ke::message::{Message, REQUEST_LIMIT};
use nts_proto::ke::negotiation::Capabilities;
use nts_proto::ke::request::Request;
use nts_proto::ke::response::{
    FixedKeyResponse, InfoResponse, KeyExchangeResponse, MAX_COOKIES, Refusal,
};
use nts_proto::keyset::cookie_length;
use nts_service::tls::{Alpn, ClientCertificates, Identity};
use nts_service::{ke_stream, tls};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio::runtime::Builder;

use crate::BoxError;

/// The only algorithm.
const ALGORITHM: AeadAlgorithm = AeadAlgorithm::AesSivCmac256;

/// Options of `nts-bench stand-in`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Address and port to listen on.
    listen: SocketAddr,
    /// PEM file of its certificate chain.
    #[arg(long, value_name = "FILE")]
    chain: PathBuf,
    /// PEM file of its private key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

/// Answers pools until the process is ended.
///
/// # Errors
/// If it cannot start.
pub(crate) fn run(options: &Options) -> Result<(), BoxError> {
    let chain = CertificateDer::pem_file_iter(&options.chain)?.collect::<Result<Vec<_>, _>>()?;
    let identity = Identity::new(chain, PrivateKeyDer::from_pem_file(&options.key)?)?;
    let source = Arc::new(StandIn::new(identity)?);
    let listener = TcpListener::bind(options.listen)?;
    listener.set_nonblocking(true)?;
    let threads = thread::available_parallelism()?.get();
    thread::scope(|scope| {
        let serve = |listener| source.serve(listener);
        let threads = (0..threads).map(|_| {
            Ok(scope.spawn({
                let listener = listener.try_clone()?;
                move || serve(listener)
            }))
        });
        let threads = threads.collect::<Result<Vec<_>, BoxError>>()?;
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().expect("a thread does not panic"))
    })
}

/// What it has to say, made beforehand.
struct StandIn {
    config: Arc<ServerConfig>,
    supported: Capabilities,
    response: FixedKeyResponse,
}

impl StandIn {
    fn new(identity: Identity) -> Result<Self, BoxError> {
        let length = cookie_length(ALGORITHM).ok_or("no cookies for the algorithm")?;
        Ok(Self {
            config: tls::server_config(&identity, ClientCertificates::Ignore),
            supported: Capabilities::ntpv4(&[ALGORITHM]),
            response: FixedKeyResponse {
                exchange: KeyExchangeResponse {
                    protocol: ProtocolId::Ntpv4,
                    algorithm: ALGORITHM,
                    compliant_exporter: false,
                    server: None,
                    port: None,
                    cookies: vec![Cookie::new(vec![0x55; length]); MAX_COOKIES],
                },
                keep_alive: true,
            },
        })
    }

    /// Serves what falls to this thread.
    fn serve(self: &Arc<Self>, listener: TcpListener) -> Result<(), BoxError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                let source = Arc::clone(self);
                // Whatever goes wrong, the pool sees the end of its connection.
                tokio::spawn(async move { source.converse(stream).await.ok() });
            }
        })
    }

    /// Answers on one connection, for as long as the pool keeps it.
    async fn converse(&self, stream: TcpStream) -> Result<(), BoxError> {
        stream.set_nodelay(true)?;
        let config = Arc::clone(&self.config);
        let mut stream = tls::accept(config, Alpn::Required, stream).await?;
        loop {
            let message = ke_stream::read_message(&mut stream, REQUEST_LIMIT).await?;
            ke_stream::write_message(&mut stream, self.answer(&message).as_ref()).await?;
        }
    }

    fn answer(&self, message: &Message) -> EncodedMessage {
        match Request::parse(message, |_| true) {
            Ok(Request::Info(request)) => {
                let answer = InfoResponse::answer(&request, &self.supported, &[], true);
                answer.encode(request.number_set)
            }
            Ok(Request::FixedKey(request)) => self.response.encode(request.number_set()),
            Ok(Request::KeyExchange(_)) => Refusal::NoCommonProtocol.encode(),
            Err(error) => Refusal::from(error).encode(),
        }
    }
}

#[cfg(test)]
mod tests {
    use nts_proto::ke::keys::SessionKeys;
    use nts_proto::ke::message::RESPONSE_LIMIT;
    use nts_proto::ke::number_set::NumberSet;
    use nts_proto::ke::request::{FixedKeyRequest, InfoRequest, KeyExchangeRequest};
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    fn stand_in() -> StandIn {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["source.example".into()]).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        StandIn::new(Identity::new(vec![cert.der().clone()], key).unwrap()).unwrap()
    }

    fn asked(request: &EncodedMessage) -> Message {
        let request = Message::decode(request.as_ref(), REQUEST_LIMIT).unwrap();
        Message::decode(stand_in().answer(&request).as_ref(), RESPONSE_LIMIT).unwrap()
    }

    #[test]
    fn pools_get_what_a_source_would_give_them() {
        let info = InfoRequest {
            number_set: NumberSet::Ietf,
            token: None,
            protocols: true,
            algorithms: true,
            server_names: false,
            keep_alive: true,
        };
        let response = InfoResponse::parse(&asked(&info.encode()), &info).unwrap();
        assert_eq!(response.algorithms, Some(vec![(ALGORITHM, 32)]));
        let keys = SessionKeys::new(&[1; 32], &[2; 32]).unwrap();
        for set in [NumberSet::Ietf, NumberSet::Draft] {
            let request =
                FixedKeyRequest::new(set, None, ProtocolId::Ntpv4, ALGORITHM, &keys, true);
            let response = FixedKeyResponse::parse(&asked(&request.encode()), &request).unwrap();
            assert!(response.keep_alive);
            let lengths: Vec<_> = response.exchange.cookies.iter().map(Cookie::len).collect();
            assert_eq!(lengths, [104; 8]);
        }
    }

    #[test]
    fn users_get_no_cookies() {
        let request = KeyExchangeRequest {
            protocols: vec![ProtocolId::Ntpv4],
            algorithms: vec![ALGORITHM],
            denied: Vec::new(),
            compliant_exporter: false,
        };
        assert!(KeyExchangeResponse::parse(&asked(&request.encode()), &request).is_err());
    }
}
