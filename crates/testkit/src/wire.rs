//! NTS-KE octets as they are, for peers that must be able to say anything.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use nts_proto::ke::message::{MessageDecoder, RESPONSE_LIMIT};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::deadline::within;

/// One record, as it stands in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The type with the critical bit, as on the wire.
    pub wire_type: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Record {
    /// A record with this type, critical bit included, and this body.
    pub fn new(wire_type: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            wire_type,
            body: body.into(),
        }
    }

    /// The type without the critical bit.
    pub fn record_type(&self) -> u16 {
        self.wire_type & 0x7fff
    }
}

/// The records of a message before End of Message.
///
/// # Panics
/// If a record is incomplete.
pub fn records(message: &[u8]) -> Vec<Record> {
    let mut rest = message;
    let mut records = Vec::new();
    while let Some(([t0, t1, l0, l1], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let (body, after) = after.split_at(length);
        records.push(Record::new(u16::from_be_bytes([*t0, *t1]), body));
        rest = after;
    }
    records.retain(|record| record.record_type() != 0);
    records
}

/// The message of these records and End of Message.
///
/// # Panics
/// If a body is too long for a record.
pub fn message(records: &[Record]) -> Vec<u8> {
    let mut octets = Vec::new();
    for record in records.iter().chain([&Record::new(0x8000, [])]) {
        octets.extend(record.wire_type.to_be_bytes());
        let length = u16::try_from(record.body.len()).expect("a body that fits into a record");
        octets.extend(length.to_be_bytes());
        octets.extend(&record.body);
    }
    octets
}

/// Reads one message as it is. `None` if the peer ends, in whatever way, before it is complete;
/// what is no message comes as it was read. `note` is told of all that comes, message or not.
pub(crate) async fn read_octets(
    stream: &mut (impl AsyncRead + Unpin),
    mut note: impl FnMut(&[u8]),
) -> Option<Vec<u8>> {
    let mut decoder = MessageDecoder::new(RESPONSE_LIMIT);
    let mut octets = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream
            .read(&mut buffer)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        note(&buffer[..count]);
        octets.extend_from_slice(&buffer[..count]);
        match decoder.feed(&buffer[..count]) {
            Ok(None) => {}
            Ok(Some(_)) | Err(_) => return Some(octets),
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With close_notify, as it should.
    CloseNotify,
    /// TCP ended without it.
    Cut,
}

/// Everything that a server sent until it closed the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// The octets within TLS.
    pub octets: Vec<u8>,
    /// How it ended.
    pub end: End,
}

/// A TCP connection to `server` from the address `local`, with any port.
///
/// # Errors
/// What the network says.
pub async fn connect_from(local: IpAddr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = if local.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.bind(SocketAddr::new(local, 0))?;
    within("connect", socket.connect(server)).await
}

/// A TLS connection on which the test says what it likes.
pub struct RawClient {
    stream: TlsStream<TcpStream>,
}

impl RawClient {
    /// Connects and shakes hands; whether the server speaks NTS-KE is not looked at.
    ///
    /// # Errors
    /// What the TLS library or the network say.
    pub async fn connect(
        config: Arc<ClientConfig>,
        address: SocketAddr,
        name: &str,
    ) -> io::Result<Self> {
        let stream = within("connect", TcpStream::connect(address)).await?;
        Self::over(stream, config, name).await
    }

    /// Shakes hands on a TCP connection.
    ///
    /// # Errors
    /// What the TLS library or the network say.
    pub async fn over(
        stream: TcpStream,
        config: Arc<ClientConfig>,
        name: &str,
    ) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).expect("a DNS name or an IP address");
        stream.set_nodelay(true)?;
        let handshake = TlsConnector::from(config).connect(name, stream);
        let stream = within("a handshake", handshake).await?;
        Ok(Self { stream })
    }

    /// The TLS session, for its exporter.
    pub fn session(&self) -> &rustls::ClientConnection {
        self.stream.get_ref().1
    }

    /// Sends octets in one write.
    ///
    /// # Panics
    /// If the server is gone.
    pub async fn send(&mut self, octets: &[u8]) {
        let write = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        within("send", write)
            .await
            .expect("the server still listens");
    }

    /// Sends octets and close_notify to a server that may hang up at any of them; what it says.
    pub async fn say_all(mut self, octets: &[u8]) -> Transcript {
        let say = async {
            self.stream.write_all(octets).await?;
            self.stream.shutdown().await
        };
        // What it said before it hung up is what counts.
        let _ = within("send", say).await;
        self.receive_all().await
    }

    /// Says close_notify and goes on listening.
    ///
    /// # Panics
    /// If the server is gone.
    pub async fn finish_sending(&mut self) {
        within("close_notify", self.stream.shutdown())
            .await
            .expect("the server still listens");
    }

    /// Reads one message.
    ///
    /// # Panics
    /// If the server closes first.
    pub async fn receive(&mut self) -> Vec<u8> {
        let message = within("a message", read_octets(&mut self.stream, |_| ())).await;
        message.expect("a complete message")
    }

    /// Reads whatever comes until the server closes.
    pub async fn receive_all(&mut self) -> Transcript {
        within("the end of the connection", read_to_end(&mut self.stream)).await
    }
}

/// An HTTP server's answer to a GET of this path: its status and its text.
///
/// # Panics
/// If there is no answer.
pub async fn http_get(server: SocketAddr, path: &str) -> (u16, String) {
    let ask = async {
        let mut stream = TcpStream::connect(server).await?;
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = within("an HTTP answer", ask).await.expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
    let (_, text) = answer.split_once("\r\n\r\n").unwrap_or_default();
    (status.expect("a status line"), text.to_owned())
}

async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> Transcript {
    let mut octets = Vec::new();
    let end = match stream.read_to_end(&mut octets).await {
        Ok(_) => End::CloseNotify,
        Err(_) => End::Cut,
    };
    Transcript { octets, end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_make_the_message_they_came_from() {
        let octets = hex::decode("80010002000080040002000f80000000").unwrap();
        let parsed = records(&octets);
        assert_eq!(
            parsed,
            [Record::new(0x8001, [0, 0]), Record::new(0x8004, [0, 15])]
        );
        assert_eq!(message(&parsed), octets);
    }
}
