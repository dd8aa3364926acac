//! The record decoder: however the octets are cut, the outcome is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nts_fuzz::take;
use nts_proto::error::ParseError;
use nts_proto::ke::message::{Message, MessageDecoder};

const LIMIT: usize = 4096;

fuzz_target!(|data: &[u8]| {
    let mut data = data;
    let step = usize::from(take(&mut data)) + 1;
    let whole = Message::decode(data, LIMIT);
    if whole.is_ok() {
        assert!(data.len() <= LIMIT);
    }

    let mut decoder = MessageDecoder::new(LIMIT);
    let mut message = None;
    let mut error = None;
    for piece in data.chunks(step) {
        match decoder.feed(piece) {
            Ok(done) => message = message.or(done),
            Err(failed) => {
                error = Some(failed);
                assert_eq!(decoder.feed(piece).err(), Some(failed));
                break;
            }
        }
    }
    match (whole, error, message) {
        (Ok(_), None, Some(_)) | (Err(ParseError::Incomplete), None, None) => {}
        (Err(whole), Some(pieces), _) => assert_eq!(whole, pieces),
        (whole, pieces, message) => {
            panic!("whole: {whole:?}, pieces: {pieces:?}, message: {message:?}")
        }
    }
});
