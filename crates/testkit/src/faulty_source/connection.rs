//! One connection of a faulty source.

use nts_proto::code_points::{AeadAlgorithm, ErrorCode, ProtocolId};
use nts_proto::cookie::Cookie;
use nts_proto::ke::EncodedMessage;
use nts_proto::ke::message::{Message, REQUEST_LIMIT};
use nts_proto::ke::negotiation::negotiate;
use nts_proto::ke::request::{FixedKeyRequest, Request};
use nts_proto::ke::response::{FixedKeyResponse, InfoResponse, KeyExchangeResponse, Refusal};
use nts_service::tls;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::Shared;
use super::script::{Answer, Connect};
use super::seen::{Asked, Kind};
use crate::wire::{message, read_octets, records};

/// Cookies of one answer, and octets in each.
const COOKIES: u8 = 8;
const COOKIE_LENGTH: usize = 104;

/// Serves the connection of this number as the script of the moment says.
pub(super) async fn serve(mut stream: TcpStream, number: usize, shared: &Shared) {
    match shared.script().connect {
        Connect::Close => return,
        Connect::Silent => return until_closed(&mut stream, |_| ()).await,
        _ => {}
    }
    let Ok(mut stream) = TlsAcceptor::from(shared.tls()).accept(stream).await else {
        shared.note(|seen| seen.failed_handshakes += 1);
        return;
    };
    let received = |octets: &[u8]| shared.note(|seen| seen.received(number, octets));
    if shared.script().connect == Connect::SilentAfterHandshake {
        return until_closed(&mut stream, received).await;
    }
    while let Some(octets) = read_octets(&mut stream, received).await {
        let request = Message::decode(&octets, REQUEST_LIMIT).ok();
        let asked = Asked::new(number, octets, request.is_some());
        let kind = asked.kind;
        shared.note(|seen| seen.requests.push(asked));
        let good = right_answer(request.as_ref(), &stream, shared);
        let script = shared.script();
        let answer = match kind {
            Kind::FixedKey => script.fixed_key,
            Kind::Info => script.info,
            Kind::KeyExchange | Kind::Garbage => Answer::Good,
        };
        let answer = match answer {
            Answer::Decided(decide) => decide(&shared.seen.borrow()),
            answer => answer,
        };
        if let Answer::Silence = answer {
            return until_closed(&mut stream, received).await;
        }
        if !send(&mut stream, good.as_ref(), answer).await {
            return;
        }
    }
}

/// Gives the answer; `false` if the connection ends with it.
async fn send(stream: &mut TlsStream<TcpStream>, good: &[u8], answer: Answer) -> bool {
    let octets = match answer {
        Answer::Good => good.to_vec(),
        Answer::Edited(ref edit) => message(&edit(records(good))),
        Answer::Octets(ref octets) => octets.clone(),
        Answer::Half => good.split_at(good.len() / 2).0.to_vec(),
        Answer::Held(ref gate) => {
            gate.pass().await;
            good.to_vec()
        }
        // A decision that decides nothing gives nothing.
        Answer::Cut | Answer::Silence | Answer::Decided(_) => return false,
    };
    // The other side may be gone; that is for the test to see on the other side.
    if stream.write_all(&octets).await.is_err() || stream.flush().await.is_err() {
        return false;
    }
    match answer {
        Answer::Half => false,
        Answer::Octets(_) => {
            let _ = stream.shutdown().await;
            false
        }
        _ if records(&octets)
            .iter()
            .any(|it| [8, 0x4000].contains(&it.record_type())) =>
        {
            true
        }
        _ => {
            let _ = stream.shutdown().await;
            false
        }
    }
}

/// Reads and says nothing.
async fn until_closed(stream: &mut (impl AsyncRead + Unpin), note: impl Fn(&[u8])) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        note(&buffer[..count]);
    }
}

/// What a source without faults would answer.
fn right_answer(
    request: Option<&Message>,
    stream: &TlsStream<TcpStream>,
    shared: &Shared,
) -> EncodedMessage {
    let Some(request) = request else {
        return Refusal::Error(ErrorCode::BadRequest).encode();
    };
    let shown = tls::peer_certificate(stream.get_ref().1);
    let by_certificate = shared
        .certificate
        .as_ref()
        .is_none_or(|known| Some(known) == shown);
    let request = Request::parse(request, |sent| {
        let by_token = |known| sent.is_some_and(|sent| sent.matches(known));
        by_certificate && shared.token.as_ref().is_none_or(by_token)
    });
    match request {
        Err(error) => Refusal::from(error).encode(),
        Ok(Request::Info(request)) => {
            InfoResponse::answer(&request, &shared.capabilities, &[], true)
                .encode(request.number_set)
        }
        Ok(Request::FixedKey(request)) => fixed_key(&request, shared),
        Ok(Request::KeyExchange(request)) => match negotiate(&request, &shared.capabilities) {
            Ok(chosen) => response(chosen.protocol(), chosen.algorithm()).encode(),
            Err(refusal) => refusal.encode(),
        },
    }
}

fn fixed_key(request: &FixedKeyRequest, shared: &Shared) -> EncodedMessage {
    match request.accept(&shared.capabilities) {
        Ok(_keys) => FixedKeyResponse {
            exchange: response(request.protocol(), request.algorithm()),
            keep_alive: request.keep_alive(),
        }
        .encode(request.number_set()),
        Err(refusal) => refusal.encode(),
    }
}

fn response(protocol: ProtocolId, algorithm: AeadAlgorithm) -> KeyExchangeResponse {
    let cookie = |number| Cookie::new(vec![0xc0 | number; COOKIE_LENGTH]);
    KeyExchangeResponse {
        protocol,
        algorithm,
        compliant_exporter: false,
        server: None,
        port: None,
        cookies: (0..COOKIES).map(cookie).collect(),
    }
}
