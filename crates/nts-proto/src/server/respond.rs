//! From request to reply.

use rand_core::CryptoRng;

use super::{Outcome, Request, Responder};
use crate::time::NtpTimestamp;

pub(super) fn respond(
    _responder: &Responder<'_>,
    _request: &Request<'_>,
    _transmit: impl FnOnce() -> NtpTimestamp,
    _rng: &mut impl CryptoRng,
    _out: &mut [u8],
) -> Outcome {
    todo!()
}
