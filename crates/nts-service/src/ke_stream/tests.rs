use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use rcgen::{CertificateParams, KeyPair};
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{BufReader, DuplexStream, ReadBuf, duplex};
use tokio::time::Instant;

use super::*;
use crate::tls::{
    Alpn, ClientCertificates, Identity, TrustAnchors, accept, client_config, connect, server_config,
};

/// Next Protocol Negotiation: NTPv4; End of Message.
const REQUEST: [u8; 10] = [0x80, 1, 0, 2, 0, 0, 0x80, 0, 0, 0];

#[tokio::test]
async fn a_message_in_single_octets_is_read_without_waiting_for_the_end() {
    let (ours, mut theirs) = duplex(1);
    let mut ours = BufReader::new(ours);
    let write = async {
        for octet in REQUEST {
            theirs.write_all(&[octet]).await.unwrap();
        }
    };
    let mut ours = BufReader::new(&mut ours);
    let (message, ()) = tokio::join!(read_message(&mut ours, 4096), write);
    assert!(message.is_ok());
    drop(theirs);
}

#[tokio::test]
async fn the_end_before_end_of_message_is_an_error_that_tells_how_far_it_came() {
    for length in 0..REQUEST.len() {
        let mut octets = &REQUEST[..length];
        let error = read_message(&mut octets, 4096).await.unwrap_err();
        assert!(
            matches!(error, ReadError::Closed { received, .. } if received == length),
            "{length}: {error:?}"
        );
    }
}

#[tokio::test]
async fn limits_and_leftovers_are_the_decoders_business() {
    let error = read_message(&mut &REQUEST[..], 9).await.unwrap_err();
    assert!(
        matches!(error, ReadError::Malformed(ParseError::TooLong)),
        "{error:?}"
    );
    let two = [REQUEST, REQUEST].concat();
    let error = read_message(&mut &two[..], 4096).await.unwrap_err();
    assert!(
        matches!(error, ReadError::Malformed(ParseError::TrailingData)),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_endless_message_is_stopped_at_the_limit() {
    let mut endless = BufReader::new(tokio::io::repeat(0x11));
    let error = read_message(&mut endless, 65536).await.unwrap_err();
    assert!(
        matches!(error, ReadError::Malformed(ParseError::TooLong)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_message_that_needs_two_records_is_refused() {
    let mut sink = Vec::new();
    let error = write_message(&mut sink, &[0; MAX_WRITE + 1])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(sink.is_empty());
    write_message(&mut sink, &[0; MAX_WRITE]).await.unwrap();
    assert_eq!(sink.len(), MAX_WRITE);
}

/// A stream that keeps a copy of each write to it.
struct Tap<S> {
    stream: S,
    written: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, octets);
        if let Poll::Ready(Ok(count)) = written {
            let octets = octets[..count].to_vec();
            self.written.lock().unwrap().push(octets);
        }
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let slices: Vec<&[u8]> = slices.iter().map(|slice| &**slice).collect();
        self.poll_write(context, &slices.concat())
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

type Client = tokio_rustls::client::TlsStream<DuplexStream>;
type Server = tokio_rustls::server::TlsStream<Tap<DuplexStream>>;

/// A TLS session, and what its server has written since the handshake.
async fn session() -> (Client, Server, Arc<Mutex<Vec<Vec<u8>>>>) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["a.test".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let trust = TrustAnchors::only([certificate.der().clone()]).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let identity = Identity::new(vec![certificate.der().clone()], key).unwrap();
    let written = Arc::new(Mutex::new(Vec::new()));
    let (ours, theirs) = duplex(1 << 16);
    let theirs = Tap {
        stream: theirs,
        written: written.clone(),
    };
    let (client, server) = tokio::join!(
        connect(
            client_config(&trust, None),
            ServerName::try_from("a.test").unwrap(),
            ours
        ),
        accept(
            server_config(&identity, ClientCertificates::Ignore),
            Alpn::Required,
            theirs
        ),
    );
    written.lock().unwrap().clear();
    (client.unwrap(), server.unwrap(), written)
}

/// The lengths of the TLS records in `octets`.
fn records(mut octets: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [_, _, _, high, low, rest @ ..] = octets {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        lengths.push(length);
        octets = &rest[length..];
    }
    assert!(octets.is_empty());
    lengths
}

#[tokio::test]
async fn each_message_is_exactly_one_tls_record() {
    // Content type and tag of TLS 1.3 with AES-GCM.
    const OVERHEAD: usize = 1 + 16;
    for length in [1, 1000, MAX_WRITE] {
        let (_client, mut server, written) = session().await;
        write_message(&mut server, &vec![0; length]).await.unwrap();
        let writes = written.lock().unwrap().clone();
        assert_eq!(writes.len(), 1);
        assert_eq!(records(&writes[0]), [length + OVERHEAD]);
    }
}

#[tokio::test]
async fn the_last_message_and_the_good_bye_are_one_write() {
    // Content type and tag; an alert has two octets.
    const OVERHEAD: usize = 1 + 16;
    let (mut client, mut server, written) = session().await;
    let error = write_last_message(&mut server, &[0; MAX_WRITE + 1])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    write_last_message(&mut server, &REQUEST).await.unwrap();
    let writes = written.lock().unwrap().clone();
    assert_eq!(writes.len(), 1);
    assert_eq!(
        records(&writes[0]),
        [REQUEST.len() + OVERHEAD, 2 + OVERHEAD]
    );
    read_message(&mut client, 65536).await.unwrap();
    // No error: close_notify has come.
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn request_and_answer_cross_a_real_session() {
    let (mut client, mut server, _) = session().await;
    write_message(&mut client, &REQUEST).await.unwrap();
    read_message(&mut server, 4096).await.unwrap();
    // The user may have closed his half already (RFC 8915 §4).
    client.shutdown().await.unwrap();
    write_message(&mut server, &REQUEST).await.unwrap();
    tokio::join!(close(server), async {
        read_message(&mut client, 65536).await.unwrap();
        let mut rest = Vec::new();
        // No error: close_notify has come.
        client.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
    });
}

#[tokio::test]
async fn closed_is_closed_but_whether_the_peer_said_so_is_told() {
    for says_so in [true, false] {
        let (mut client, mut server, _) = session().await;
        if says_so {
            client.shutdown().await.unwrap();
        }
        drop(client);
        let error = read_message(&mut server, 4096).await.unwrap_err();
        assert!(
            matches!(error, ReadError::Closed { received: 0, said_so } if said_so == says_so),
            "{error:?}"
        );
    }
}

/// A connection that fails at the first read.
struct Broken(io::ErrorKind);

impl AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        _buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(self.0.into()))
    }
}

#[tokio::test]
async fn a_reset_counts_as_closed_and_other_failures_do_not() {
    let read = async |kind| {
        let mut broken = BufReader::new(Broken(kind));
        read_message(&mut broken, 4096).await.unwrap_err()
    };
    for kind in [io::ErrorKind::ConnectionReset, io::ErrorKind::UnexpectedEof] {
        let error = read(kind).await;
        assert!(
            matches!(
                error,
                ReadError::Closed {
                    received: 0,
                    said_so: false
                }
            ),
            "{error:?}"
        );
    }
    let error = read(io::ErrorKind::InvalidData).await;
    assert!(matches!(error, ReadError::Io(_)), "{error:?}");
}

/// How long `close` takes while `peer` does its part.
async fn time_to_close<P: Future>(peer: impl FnOnce(DuplexStream) -> P) -> Duration {
    let (ours, theirs) = duplex(1 << 10);
    let began = Instant::now();
    let closing = async {
        close(ours).await;
        began.elapsed()
    };
    tokio::join!(closing, peer(theirs)).0
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_the_peer_but_not_for_long() {
    let polite = time_to_close(|mut peer| async move {
        peer.read_to_end(&mut Vec::new()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
    });
    assert_eq!(polite.await.as_millis(), 30);

    let silent = time_to_close(|mut peer| async move {
        peer.read_to_end(&mut Vec::new()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(60)).await;
    });
    assert_eq!(silent.await.as_millis(), CLOSE_WAIT.as_millis());
}

#[tokio::test(start_paused = true)]
async fn closing_drains_a_bounded_amount() {
    let mut sent = 0;
    time_to_close(|mut peer| {
        let sent = &mut sent;
        async move {
            while let Ok(count) = peer.write(&[0; 1000]).await {
                *sent += count;
            }
        }
    })
    .await;
    assert!(
        (MAX_DRAIN..MAX_DRAIN + DRAIN_SIZE + 1024).contains(&sent),
        "{sent}"
    );
}
