//! From records to a response: every rule of RFC 8915 §4 and of the pool extension for clients.

use super::super::message::{Message, Record};
use super::super::name::NtpServerName;
use super::super::number_set::{NumberSet, PoolRecord};
use super::super::request::{FixedKeyRequest, InfoRequest, KeyExchangeRequest};
use super::{
    FixedKeyResponse, InfoResponse, KeyExchangeResponse, MAX_COOKIE_LENGTH, MAX_COOKIES,
    MAX_SERVER_NAMES,
};
use crate::bytes::{single_u16, u16_list};
use crate::code_points::{AeadAlgorithm, ErrorCode, ProtocolId, RecordType};
use crate::cookie::Cookie;
use crate::error::{ParseError, ResponseError};

pub(super) fn key_exchange(
    message: &Message,
    request: &KeyExchangeRequest,
) -> Result<KeyExchangeResponse, ResponseError> {
    let (response, _) = exchange(message, &request.protocols, &request.algorithms, None)?;
    if response.algorithm == AeadAlgorithm::Aes128GcmSiv
        && !(request.compliant_exporter && response.compliant_exporter)
    {
        return Err(ResponseError::AmbiguousExporterContext);
    }
    Ok(response)
}

pub(super) fn fixed_key(
    message: &Message,
    request: &FixedKeyRequest,
) -> Result<FixedKeyResponse, ResponseError> {
    let protocol = [request.protocol()];
    let algorithm = [request.algorithm()];
    let (exchange, granted) = exchange(message, &protocol, &algorithm, Some(request.number_set()))?;
    Ok(FixedKeyResponse {
        exchange,
        keep_alive: granted && request.keep_alive(),
    })
}

pub(super) fn info(
    message: &Message,
    request: &InfoRequest,
) -> Result<InfoResponse, ResponseError> {
    refuse_failures(message)?;
    let mut fields = InfoFields::default();
    for record in message.records() {
        fields.take(record, request)?;
    }
    fields.into_response(request)
}

/// An Error record comes before all else, then what we cannot understand, then warnings.
fn refuse_failures(message: &Message) -> Result<(), ResponseError> {
    if let Some(record) = find(message, RecordType::Error) {
        let code = single_u16(record.body).ok_or(bad_length(RecordType::Error))?;
        return Err(ResponseError::Error(ErrorCode::from(code)));
    }
    for record in message.records().filter(|record| record.critical) {
        let known = !matches!(record.record_type, RecordType::Unknown(_));
        if !known {
            let code = record.record_type.code();
            return Err(ResponseError::UnrecognizedCriticalRecord(code));
        }
    }
    if let Some(record) = find(message, RecordType::Warning) {
        let code = single_u16(record.body).ok_or(bad_length(RecordType::Warning))?;
        return Err(ResponseError::Warning(code));
    }
    Ok(())
}

fn find(message: &Message, record_type: RecordType) -> Option<Record<'_>> {
    message
        .records()
        .find(|record| record.record_type == record_type)
}

/// Reads what answers an ordinary exchange, and whether Keep Alive was granted in `keep_alive`'s
/// numbers.
fn exchange(
    message: &Message,
    protocols: &[ProtocolId],
    algorithms: &[AeadAlgorithm],
    keep_alive: Option<NumberSet>,
) -> Result<(KeyExchangeResponse, bool), ResponseError> {
    refuse_failures(message)?;
    let mut fields = ExchangeFields::default();
    for record in message.records() {
        fields.take(record, keep_alive)?;
    }
    let granted = fields.keep_alive;
    Ok((fields.into_response(protocols, algorithms)?, granted))
}

#[derive(Default)]
struct ExchangeFields<'a> {
    protocol: Option<&'a [u8]>,
    algorithm: Option<&'a [u8]>,
    server: Option<&'a [u8]>,
    port: Option<&'a [u8]>,
    exporter_context: Option<&'a [u8]>,
    cookies: Vec<Cookie>,
    keep_alive: bool,
}

impl<'a> ExchangeFields<'a> {
    fn take(
        &mut self,
        record: Record<'a>,
        keep_alive: Option<NumberSet>,
    ) -> Result<(), ResponseError> {
        if let Some((set, pool_record)) = PoolRecord::classify(record.record_type, record.critical)
        {
            match pool_record {
                PoolRecord::KeepAlive => self.keep_alive |= keep_alive == Some(set),
                PoolRecord::NtpServerDeny | PoolRecord::AuthenticationToken => {}
                _ => return Err(ResponseError::Unasked(pool_record.record_type())),
            }
            return Ok(());
        }
        let slot = match record.record_type {
            RecordType::NextProtocolNegotiation => &mut self.protocol,
            RecordType::AeadAlgorithmNegotiation => &mut self.algorithm,
            RecordType::Ntpv4ServerNegotiation => &mut self.server,
            RecordType::Ntpv4PortNegotiation => &mut self.port,
            RecordType::CompliantAes128GcmSivExporterContext => &mut self.exporter_context,
            RecordType::NewCookie => {
                if usable_cookie(record.body) && self.cookies.len() < MAX_COOKIES {
                    self.cookies.push(Cookie::new(record.body));
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        match slot.replace(record.body) {
            Some(_) => Err(ParseError::Duplicate(record.record_type).into()),
            None => Ok(()),
        }
    }

    fn into_response(
        self,
        protocols: &[ProtocolId],
        algorithms: &[AeadAlgorithm],
    ) -> Result<KeyExchangeResponse, ResponseError> {
        let chosen = at_most_one(RecordType::NextProtocolNegotiation, self.protocol)?;
        let protocol = ProtocolId::from(chosen.ok_or(ResponseError::NoCommonProtocol)?);
        if !protocols.contains(&protocol) {
            return Err(ResponseError::ProtocolNotOffered(protocol));
        }
        let chosen = at_most_one(RecordType::AeadAlgorithmNegotiation, self.algorithm)?;
        let algorithm = AeadAlgorithm::from(chosen.ok_or(ResponseError::NoCommonAlgorithm)?);
        if !algorithms.contains(&algorithm) {
            return Err(ResponseError::AlgorithmNotOffered(algorithm));
        }
        if self.exporter_context.is_some_and(|body| !body.is_empty()) {
            return Err(bad_length(RecordType::CompliantAes128GcmSivExporterContext));
        }
        if self.cookies.is_empty() {
            return Err(ResponseError::NoCookies);
        }
        Ok(KeyExchangeResponse {
            protocol,
            algorithm,
            compliant_exporter: self.exporter_context.is_some(),
            server: self.server.map(server_name).transpose()?,
            port: self.port.map(port).transpose()?,
            cookies: self.cookies,
        })
    }
}

#[derive(Default)]
struct InfoFields {
    protocols: Option<Vec<ProtocolId>>,
    algorithms: Option<Vec<(AeadAlgorithm, u16)>>,
    server_names: Vec<NtpServerName>,
    keep_alive: bool,
    /// There are records that only an ordinary exchange is answered with.
    negotiates: bool,
}

impl InfoFields {
    fn take(&mut self, record: Record<'_>, request: &InfoRequest) -> Result<(), ResponseError> {
        if let Some((set, pool_record)) = PoolRecord::classify(record.record_type, record.critical)
        {
            return self.take_pool_record(set, pool_record, record.body, request);
        }
        match record.record_type {
            RecordType::Ntpv4ServerNegotiation if request.server_names => {
                if self.server_names.len() < MAX_SERVER_NAMES {
                    self.server_names.push(server_name(record.body)?);
                }
                Ok(())
            }
            RecordType::NextProtocolNegotiation
            | RecordType::AeadAlgorithmNegotiation
            | RecordType::NewCookie
            | RecordType::Ntpv4ServerNegotiation
            | RecordType::Ntpv4PortNegotiation => match request.number_set {
                NumberSet::Draft => {
                    self.negotiates = true;
                    Ok(())
                }
                NumberSet::Ietf => Err(ResponseError::Unasked(record.record_type)),
            },
            _ => Ok(()),
        }
    }

    fn take_pool_record(
        &mut self,
        set: NumberSet,
        pool_record: PoolRecord,
        body: &[u8],
        request: &InfoRequest,
    ) -> Result<(), ResponseError> {
        let in_kind = set == request.number_set;
        let record_type = pool_record.record_type();
        match pool_record {
            PoolRecord::KeepAlive => {
                self.keep_alive |= in_kind && request.keep_alive;
                Ok(())
            }
            PoolRecord::SupportedNextProtocolList if in_kind && request.protocols => {
                let list = u16_list(body).ok_or(bad_length(record_type))?;
                once(
                    record_type,
                    &mut self.protocols,
                    list.map(ProtocolId::from).collect(),
                )
            }
            PoolRecord::SupportedAlgorithmList if in_kind && request.algorithms => {
                let list = algorithm_lengths(body).ok_or(bad_length(record_type))?;
                once(record_type, &mut self.algorithms, list)
            }
            PoolRecord::NtpServerDeny | PoolRecord::AuthenticationToken => Ok(()),
            _ => Err(ResponseError::Unasked(record_type)),
        }
    }

    fn into_response(self, request: &InfoRequest) -> Result<InfoResponse, ResponseError> {
        if request.protocols && self.protocols.is_none() {
            return Err(missing(RecordType::SupportedNextProtocolList));
        }
        if request.algorithms && self.algorithms.is_none() {
            return Err(missing(RecordType::SupportedAlgorithmList));
        }
        // A name beside a negotiation belongs to the negotiation.
        let server_names = if self.negotiates {
            Vec::new()
        } else {
            self.server_names
        };
        Ok(InfoResponse {
            protocols: self.protocols,
            algorithms: self.algorithms,
            server_names,
            keep_alive: self.keep_alive,
        })
    }
}

fn once<T>(record_type: RecordType, slot: &mut Option<T>, value: T) -> Result<(), ResponseError> {
    match slot.replace(value) {
        Some(_) => Err(ParseError::Duplicate(record_type).into()),
        None => Ok(()),
    }
}

fn algorithm_lengths(body: &[u8]) -> Option<Vec<(AeadAlgorithm, u16)>> {
    let (pairs, rest) = body.as_chunks::<4>();
    let pair = |[i0, i1, l0, l1]: &[u8; 4]| {
        (
            AeadAlgorithm::from(u16::from_be_bytes([*i0, *i1])),
            u16::from_be_bytes([*l0, *l1]),
        )
    };
    rest.is_empty().then(|| pairs.iter().map(pair).collect())
}

/// The choice that a record holds: none if its body is empty.
fn at_most_one(record_type: RecordType, body: Option<&[u8]>) -> Result<Option<u16>, ResponseError> {
    match body {
        None => Err(missing(record_type)),
        Some([]) => Ok(None),
        Some(body) => single_u16(body).map(Some).ok_or(bad_length(record_type)),
    }
}

fn usable_cookie(body: &[u8]) -> bool {
    (1..=MAX_COOKIE_LENGTH).contains(&body.len())
}

fn server_name(body: &[u8]) -> Result<NtpServerName, ResponseError> {
    NtpServerName::from_bytes(body).map_err(|_| ResponseError::BadServerName)
}

fn port(body: &[u8]) -> Result<u16, ResponseError> {
    single_u16(body)
        .filter(|port| *port != 0)
        .ok_or(ResponseError::BadPort)
}

fn missing(record_type: RecordType) -> ResponseError {
    ParseError::Missing(record_type).into()
}

fn bad_length(record_type: RecordType) -> ResponseError {
    ParseError::BodyLength(record_type).into()
}
