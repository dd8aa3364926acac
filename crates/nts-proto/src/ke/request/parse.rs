//! From records to a request: the rules of RFC 8915 §4 and of the pool extension, in order.

use zeroize::Zeroizing;

use super::super::encode::MAX_LISTED;
use super::super::message::{Message, Record};
use super::super::name::NtpServerName;
use super::super::number_set::{NumberSet, PoolRecord};
use super::super::token::AuthenticationToken;
use super::{FixedKeyRequest, InfoRequest, KeyExchangeRequest, MAX_DENIED, Request};
use crate::bytes::{single_u16, u16_list};
use crate::code_points::{AeadAlgorithm, ProtocolId, RecordType};
use crate::error::{ParseError, RequestError};

pub(super) fn parse(
    message: &Message,
    authorize: impl FnOnce(Option<&AuthenticationToken>) -> bool,
) -> Result<Request, RequestError> {
    let mut fields = Fields::default();
    for record in message.records() {
        fields.take(record)?;
    }
    if let Some(record_type) = fields.gated
        && !authorize(fields.token.as_ref())
    {
        return Err(RequestError::NotAuthorized(record_type.code()));
    }
    if let Some(defect) = fields.defect {
        return Err(defect);
    }
    if fields.fixed_keys.is_some() {
        fields.into_fixed_key_request().map(Request::FixedKey)
    } else if fields.gated.is_some() {
        fields.into_info_request().map(Request::Info)
    } else {
        fields.into_key_exchange_request().map(Request::KeyExchange)
    }
}

/// What the records of one request hold, before its kind is known.
#[derive(Default)]
struct Fields<'a> {
    protocols: Option<&'a [u8]>,
    algorithms: Option<&'a [u8]>,
    exporter_context: Option<&'a [u8]>,
    fixed_keys: Option<&'a [u8]>,
    supported_protocols: Option<&'a [u8]>,
    supported_algorithms: Option<&'a [u8]>,
    server_names: Option<&'a [u8]>,
    keep_alive: Option<&'a [u8]>,
    denied: Vec<NtpServerName>,
    denies: bool,
    /// The token as sent, whether or not it is of any use.
    token_body: Option<&'a [u8]>,
    /// The token, if it is a valid one and precedes whatever it unlocks.
    token: Option<AuthenticationToken>,
    /// The first record that needs authorisation.
    gated: Option<RecordType>,
    number_set: Option<NumberSet>,
    mixed_number_sets: bool,
    /// The first thing wrong with the form, reported once authorisation is settled.
    defect: Option<RequestError>,
}

impl<'a> Fields<'a> {
    /// Takes the next record. Fails only for unknown critical records, which come before all else.
    fn take(&mut self, record: Record<'a>) -> Result<(), RequestError> {
        if let Some((set, pool_record)) = PoolRecord::classify(record.record_type, record.critical)
        {
            self.take_pool_record(set, pool_record, record);
            return Ok(());
        }
        let slot = match record.record_type {
            RecordType::NextProtocolNegotiation => &mut self.protocols,
            RecordType::AeadAlgorithmNegotiation => &mut self.algorithms,
            RecordType::CompliantAes128GcmSivExporterContext => &mut self.exporter_context,
            RecordType::Error | RecordType::Warning | RecordType::NewCookie => {
                self.found(RequestError::Forbidden(record.record_type));
                return Ok(());
            }
            // Which server or port the user would like is a wish that we do not heed.
            RecordType::Ntpv4ServerNegotiation | RecordType::Ntpv4PortNegotiation => return Ok(()),
            unknown if record.critical => {
                return Err(RequestError::UnrecognizedCriticalRecord(unknown.code()));
            }
            _ => return Ok(()),
        };
        if slot.replace(record.body).is_some() {
            self.found(ParseError::Duplicate(record.record_type).into());
        }
        Ok(())
    }

    fn take_pool_record(&mut self, set: NumberSet, pool_record: PoolRecord, record: Record<'a>) {
        let slot = match pool_record {
            PoolRecord::NtpServerDeny => return self.deny(record.body),
            PoolRecord::AuthenticationToken => {
                let precedes = self.gated.is_none() && self.keep_alive.is_none();
                if precedes && self.token_body.is_none() {
                    self.token = AuthenticationToken::new(record.body).ok();
                }
                &mut self.token_body
            }
            PoolRecord::KeepAlive => &mut self.keep_alive,
            PoolRecord::SupportedNextProtocolList => &mut self.supported_protocols,
            PoolRecord::SupportedAlgorithmList => &mut self.supported_algorithms,
            PoolRecord::ListServerNames => &mut self.server_names,
            PoolRecord::FixedKeyRequest => &mut self.fixed_keys,
        };
        if slot.replace(record.body).is_some() {
            self.found(ParseError::Duplicate(pool_record.record_type()).into());
        }
        if !matches!(
            pool_record,
            PoolRecord::AuthenticationToken | PoolRecord::KeepAlive
        ) {
            self.gated.get_or_insert(record.record_type);
        }
        self.mixed_number_sets |= *self.number_set.get_or_insert(set) != set;
    }

    fn deny(&mut self, body: &[u8]) {
        self.denies = true;
        if self.denied.len() == MAX_DENIED {
            return;
        }
        // A name that is none denies nobody.
        let Ok(name) = NtpServerName::from_bytes(body) else {
            return;
        };
        // The same name may come under the old and the new number.
        if !self.denied.iter().any(|denied| denied.same_host(&name)) {
            self.denied.push(name);
        }
    }

    fn found(&mut self, defect: RequestError) {
        self.defect.get_or_insert(defect);
    }

    fn into_key_exchange_request(self) -> Result<KeyExchangeRequest, RequestError> {
        let protocols = self
            .protocols
            .ok_or(missing(RecordType::NextProtocolNegotiation))?;
        let protocols = numbers(
            RecordType::NextProtocolNegotiation,
            protocols,
            ProtocolId::KNOWN,
        )?;
        let algorithms = match self.algorithms {
            Some(body) => numbers(
                RecordType::AeadAlgorithmNegotiation,
                body,
                AeadAlgorithm::KNOWN,
            )?,
            None if protocols.contains(&ProtocolId::Ntpv4) => {
                return Err(missing(RecordType::AeadAlgorithmNegotiation));
            }
            None => Vec::new(),
        };
        if self.exporter_context.is_some_and(|body| !body.is_empty()) {
            return Err(bad_length(RecordType::CompliantAes128GcmSivExporterContext));
        }
        Ok(KeyExchangeRequest {
            protocols,
            algorithms,
            denied: self.denied,
            compliant_exporter: self.exporter_context.is_some(),
        })
    }

    fn into_info_request(self) -> Result<InfoRequest, RequestError> {
        let number_set = self.unmixed_number_set()?;
        for (field, record_type) in [
            (self.protocols, RecordType::NextProtocolNegotiation),
            (self.algorithms, RecordType::AeadAlgorithmNegotiation),
        ] {
            if field.is_some() {
                return Err(RequestError::Forbidden(record_type));
            }
        }
        Ok(InfoRequest {
            number_set,
            token: self.token,
            protocols: self.supported_protocols.is_some(),
            algorithms: self.supported_algorithms.is_some(),
            server_names: self.server_names.is_some(),
            keep_alive: self.keep_alive.is_some(),
        })
    }

    fn into_fixed_key_request(self) -> Result<FixedKeyRequest, RequestError> {
        let number_set = self.unmixed_number_set()?;
        for (present, record_type) in [
            (
                self.supported_protocols.is_some(),
                RecordType::SupportedNextProtocolList,
            ),
            (
                self.supported_algorithms.is_some(),
                RecordType::SupportedAlgorithmList,
            ),
            (self.server_names.is_some(), RecordType::ListServerNames),
            (self.denies, RecordType::NtpServerDeny),
        ] {
            if present {
                return Err(RequestError::Forbidden(record_type));
            }
        }
        let protocol = exactly_one(RecordType::NextProtocolNegotiation, self.protocols)?.into();
        let algorithm = exactly_one(RecordType::AeadAlgorithmNegotiation, self.algorithms)?.into();
        Ok(FixedKeyRequest {
            number_set,
            token: self.token,
            protocol,
            algorithm,
            keep_alive: self.keep_alive.is_some(),
            key_octets: Zeroizing::new(self.fixed_keys.unwrap_or_default().to_vec()),
        })
    }

    fn unmixed_number_set(&self) -> Result<NumberSet, RequestError> {
        match self.number_set {
            Some(set) if !self.mixed_number_sets => Ok(set),
            _ => Err(RequestError::MixedNumberSets),
        }
    }
}

/// The numbers of a list that must not be empty: the first [`MAX_LISTED`], and whatever else is
/// known. Each source of a pool is compared with all of them, so the list must not be as long as
/// the user likes.
fn numbers<T: From<u16> + PartialEq>(
    record_type: RecordType,
    body: &[u8],
    known: &[T],
) -> Result<Vec<T>, RequestError> {
    let list = u16_list(body).filter(|_| !body.is_empty());
    let mut offered = Vec::new();
    for number in list.ok_or(bad_length(record_type))?.map(T::from) {
        if offered.len() < MAX_LISTED || known.contains(&number) && !offered.contains(&number) {
            offered.push(number);
        }
    }
    Ok(offered)
}

/// The number of a list that must have exactly one.
fn exactly_one(record_type: RecordType, body: Option<&[u8]>) -> Result<u16, RequestError> {
    single_u16(body.ok_or(missing(record_type))?).ok_or(bad_length(record_type))
}

fn missing(record_type: RecordType) -> RequestError {
    ParseError::Missing(record_type).into()
}

fn bad_length(record_type: RecordType) -> RequestError {
    ParseError::BodyLength(record_type).into()
}
