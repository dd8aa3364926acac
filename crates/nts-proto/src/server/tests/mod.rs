//! The server of the test vector, and requests of which every part can be had wrong.

mod nts;
mod plain;
mod properties;

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::aead::AeadKey;
use crate::code_points::{AeadAlgorithm, ExtensionFieldType};
use crate::ke::keys::SessionKeys;
use crate::ntp::authenticator::Sealing;
use crate::ntp::extension::ExtensionFields;
use crate::ntp::header::{Header, LeapIndicator, Mode, ReferenceId};
use crate::ntp::packet::{Occurrence, Packet};
use crate::ntp::writer::PacketWriter;
use crate::testing::exchange::{self, SERVER_RECEIVED, SERVER_SENT};
use crate::testing::{ScriptedRng, range};
use crate::time::NtpShort;

const TIME: ReplyKind = ReplyKind::Time;

/// A server with the keys and the clock of the vector.
struct Server {
    system: SystemState,
    keys: KeySet,
    policy: Policy,
    treatment: Treatment,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            system: exchange::system_state(),
            keys: exchange::key_set(),
            policy: Policy::default(),
            treatment: Treatment::Serve,
        }
    }
}

impl Server {
    fn respond(&self, datagram: &[u8], rng: &mut impl CryptoRng) -> Result<Answer, DropReason> {
        let mut out = vec![0x5a; datagram.len() + 100];
        let responder = Responder {
            system: &self.system,
            keys: &self.keys,
            policy: &self.policy,
        };
        let request = Request {
            datagram,
            received: SERVER_RECEIVED,
            treatment: self.treatment,
        };
        match responder.respond(&request, || SERVER_SENT, rng, &mut out) {
            Outcome::Drop(reason) => Err(reason),
            Outcome::Reply {
                length,
                kind,
                authenticated,
            } => {
                assert!(length <= datagram.len(), "longer than the request");
                out.truncate(length);
                Ok(Answer {
                    bytes: out,
                    kind,
                    authenticated,
                })
            }
        }
    }

    fn answer(&self, datagram: &[u8]) -> Result<Answer, DropReason> {
        self.respond(datagram, &mut StdRng::seed_from_u64(1))
    }
}

#[derive(Debug, PartialEq)]
struct Answer {
    bytes: Vec<u8>,
    kind: ReplyKind,
    authenticated: bool,
}

impl Answer {
    fn header(&self) -> Header {
        Packet::parse(&self.bytes).unwrap().header
    }

    /// The cookies inside, after checking that the answer is authentic.
    fn cookies(&self, s2c: &AeadKey) -> Vec<Vec<u8>> {
        let packet = Packet::parse(&self.bytes).unwrap();
        assert_eq!(packet.cookie, Occurrence::None);
        let authenticator = packet.authenticator.unwrap();
        let mut plaintext = vec![0; authenticator.plaintext_length()];
        authenticator.open(s2c, &mut plaintext).unwrap();
        ExtensionFields::encrypted(&plaintext)
            .map(|field| {
                let field = field.unwrap();
                assert_eq!(field.field_type, ExtensionFieldType::NtsCookie);
                field.value.to_vec()
            })
            .collect()
    }
}

fn s2c() -> AeadKey {
    AeadKey::new(AeadAlgorithm::AesSivCmac256, &range(0x20, 32)).unwrap()
}

/// A request of which every part can be had wrong.
struct Draft {
    algorithm: AeadAlgorithm,
    identifiers: Vec<usize>,
    cookies: usize,
    placeholders: Vec<usize>,
    hidden: Vec<(u16, usize)>,
    server: Server,
}

impl Draft {
    fn new(algorithm: u16) -> Self {
        Self {
            algorithm: algorithm.into(),
            identifiers: vec![32],
            cookies: 1,
            placeholders: vec![],
            hidden: vec![],
            server: Server::default(),
        }
    }

    fn keys(&self) -> SessionKeys {
        let length = self.algorithm.key_length().unwrap();
        SessionKeys::new(&vec![0xc2; length], &vec![0x2c; length]).unwrap()
    }

    fn s2c(&self) -> AeadKey {
        AeadKey::new(self.algorithm, self.keys().s2c()).unwrap()
    }

    fn build(&self) -> Vec<u8> {
        let mut rng = StdRng::seed_from_u64(2);
        let c2s = AeadKey::new(self.algorithm, self.keys().c2s()).unwrap();
        let cookie = self
            .server
            .keys
            .seal(self.algorithm, &self.keys(), &mut rng)
            .unwrap();
        let mut buffer = vec![0; 9000];
        let mut writer = PacketWriter::new(&mut buffer).unwrap();
        for length in &self.identifiers {
            let value = vec![0x1d; *length];
            writer
                .put_field(ExtensionFieldType::UniqueIdentifier, &value)
                .unwrap();
        }
        for _ in 0..self.cookies {
            writer
                .put_field(ExtensionFieldType::NtsCookie, cookie.as_bytes())
                .unwrap();
        }
        for length in &self.placeholders {
            let value = vec![0; *length];
            writer
                .put_field(ExtensionFieldType::NtsCookiePlaceholder, &value)
                .unwrap();
        }
        writer.set_header(&Header::request(NtpTimestamp::from_bits(77)));
        let sealing = Sealing::begin(&mut writer, &c2s, &mut rng).unwrap();
        for (field_type, length) in &self.hidden {
            let value = vec![0; *length];
            writer.put_field((*field_type).into(), &value).unwrap();
        }
        sealing.finish(&mut writer, &c2s).unwrap();
        let length = writer.len();
        buffer.truncate(length);
        buffer
    }

    fn answer(&self) -> Result<Answer, DropReason> {
        self.server.answer(&self.build())
    }

    /// How many cookies come back.
    fn earned(&self) -> usize {
        self.answer().unwrap().cookies(&self.s2c()).len()
    }
}

fn plain_request() -> Vec<u8> {
    Header::request(NtpTimestamp::from_bits(0x0123_4567_89ab_cdef))
        .to_bytes()
        .to_vec()
}
