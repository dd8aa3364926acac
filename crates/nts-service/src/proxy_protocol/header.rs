//! Reading a header: the framing is ours, what is inside is read by the crate `ppp`.

use std::io;
use std::net::SocketAddr;

use ppp::v2::{Addresses, Header, Protocol, Type};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Forwarded, MAX_LENGTH, UniqueId};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, and the length of what follows.
const FIXED: usize = 16;
/// Version 2 with the command LOCAL, and with the command PROXY.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;

/// Why there is no header.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// The connection ended, or failed, before the header was complete.
    #[error("the connection ended within the PROXY header: {0}")]
    Cut(#[from] io::Error),
    /// The first octets are no header of version 2.
    #[error("no PROXY header of version 2 (`send-proxy-v2`)")]
    NoHeader,
    /// It announces too much.
    #[error("a PROXY header of {0} octets is too long")]
    TooLong(usize),
    /// It contradicts itself, or is about something else than TCP.
    #[error("malformed PROXY header")]
    Malformed,
}

/// Reads one header and not an octet more. The deadline is the caller's. Not cancel safe.
///
/// # Errors
/// [`HeaderError`]; the connection is of no use then.
pub async fn read_header<S>(stream: &mut S) -> Result<Forwarded, HeaderError>
where
    S: AsyncRead + Unpin,
{
    let mut buffer = [0; FIXED + MAX_LENGTH];
    let (fixed, rest) = buffer.split_at_mut(FIXED);
    stream.read_exact(fixed).await?;
    let command = fixed[12];
    if !fixed.starts_with(SIGNATURE) || !matches!(command, LOCAL | PROXY) {
        return Err(HeaderError::NoHeader);
    }
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    let rest = rest.get_mut(..length);
    stream
        .read_exact(rest.ok_or(HeaderError::TooLong(length))?)
        .await?;
    match command {
        // What stands in it is to be ignored, whatever it is.
        LOCAL => Ok(Forwarded {
            health_check: true,
            ..Forwarded::default()
        }),
        _ => interpret(&buffer[..FIXED + length]),
    }
}

/// The content of a whole header with the command PROXY.
fn interpret(octets: &[u8]) -> Result<Forwarded, HeaderError> {
    let header = Header::try_from(octets).map_err(|_| HeaderError::Malformed)?;
    let user = match (header.addresses, header.protocol) {
        (Addresses::IPv4(ends), Protocol::Stream) => {
            Some(SocketAddr::from((ends.source_address, ends.source_port)))
        }
        (Addresses::IPv6(ends), Protocol::Stream) => {
            let address = ends.source_address.to_canonical();
            Some(SocketAddr::from((address, ends.source_port)))
        }
        // The balancer does not know.
        (Addresses::Unspecified, _) => None,
        _ => return Err(HeaderError::Malformed),
    };
    let mut unique_id = None;
    for field in header.tlvs() {
        let field = field.map_err(|_| HeaderError::Malformed)?;
        if field.kind == Type::UniqueId as u8 {
            unique_id = UniqueId::new(&field.value);
        }
    }
    Ok(Forwarded {
        user,
        health_check: false,
        unique_id,
    })
}
