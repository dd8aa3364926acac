use proptest::prelude::*;

use super::super::testing::octets;
use super::*;

/// Feeds `text` whole, and octet by octet, and expects the same of both.
fn check(text: &str, limit: usize, expected: Result<usize, ParseError>) {
    let octets = octets(text);
    let count = |message: Message| message.records().count();
    assert_eq!(
        Message::decode(&octets, limit).map(count),
        expected,
        "{text}"
    );
    let mut pieces = octets.chunks(1);
    assert_eq!(
        feed_all(&mut MessageDecoder::new(limit), &mut pieces),
        expected,
        "{text}"
    );
}

/// Feeds every piece; gives the number of records.
fn feed_all(
    decoder: &mut MessageDecoder,
    pieces: &mut dyn Iterator<Item = &[u8]>,
) -> Result<usize, ParseError> {
    let mut result = Err(ParseError::Incomplete);
    for piece in pieces {
        match decoder.feed(piece) {
            Ok(None) => {}
            Ok(Some(message)) => result = Ok(message.records().count()),
            Err(error) => return Err(error),
        }
    }
    result
}

#[test]
fn messages_end_with_end_of_message() {
    check("80000000", 4096, Ok(0));
    check("80010002000080040002000f80000000", 4096, Ok(2));
    // The critical bit of End of Message is not looked at.
    check("8001000200000000 0000", 4096, Ok(1));
    check("", 4096, Err(ParseError::Incomplete));
    check("800100020000800400", 4096, Err(ParseError::Incomplete));
    check(
        "80010002000080000000 80",
        4096,
        Err(ParseError::TrailingData),
    );
    check(
        "80000001 00",
        4096,
        Err(ParseError::BodyLength(RecordType::EndOfMessage)),
    );
}

#[test]
fn the_limit_holds_to_the_octet() {
    // 16 octets.
    let a1 = "80010002000080040002000f80000000";
    check(a1, 16, Ok(2));
    check(a1, 15, Err(ParseError::TooLong));
    check("80000000", 4, Ok(0));
    check("80000000", 3, Err(ParseError::TooLong));
    // The header alone says that the body does not fit.
    check("0005ffff", 4096, Err(ParseError::TooLong));
    check("00050ff8", 4096, Err(ParseError::Incomplete));
    check("00050ffd", 4096, Err(ParseError::TooLong));
}

#[test]
fn a_message_may_have_the_full_length() {
    let mut octets = octets("0005fff8");
    octets.resize(RESPONSE_LIMIT - 4, 0xaa);
    octets.extend([0x80, 0, 0, 0]);
    let message = Message::decode(&octets, RESPONSE_LIMIT).unwrap();
    let bodies: Vec<_> = message.records().map(|record| record.body.len()).collect();
    assert_eq!(bodies, [0xfff8]);
}

#[test]
fn records_come_as_they_were_sent() {
    let message = Message::decode(
        &octets("800100020000 0005 0003 a0a1a2 7fff0000 80000000"),
        99,
    );
    let message = message.unwrap();
    let records: Vec<_> = message
        .records()
        .map(|r| (r.critical, r.record_type.code(), r.body))
        .collect();
    assert_eq!(
        records,
        [
            (true, 1, &[0, 0][..]),
            (false, 5, &[0xa0, 0xa1, 0xa2]),
            (false, 0x7fff, &[])
        ]
    );
}

#[test]
fn errors_and_ends_are_final() {
    let mut decoder = MessageDecoder::new(8);
    assert_eq!(
        decoder.feed(&octets("00050006")).unwrap_err(),
        ParseError::TooLong
    );
    assert_eq!(
        decoder.feed(&octets("80000000")).unwrap_err(),
        ParseError::TooLong
    );
    let mut decoder = MessageDecoder::new(8);
    assert!(decoder.is_empty());
    assert!(decoder.feed(&octets("80000000")).unwrap().is_some());
    assert!(decoder.feed(&[]).unwrap().is_none());
    assert_eq!(decoder.feed(&[0]).unwrap_err(), ParseError::TrailingData);
}

#[test]
fn debug_shows_no_octets() {
    let message = Message::decode(&octets("0005000461626364 80000000"), 99).unwrap();
    assert_eq!(
        format!("{message:?}"),
        "Message { octets: <12 octets redacted> }"
    );
}

/// Octets that are often, but not always, a message or nearly one.
fn nearly_a_message() -> impl Strategy<Value = Vec<u8>> {
    let record = (
        any::<u16>(),
        prop::collection::vec(any::<u8>(), 0..40),
        0_u8..2,
    );
    let records = prop::collection::vec(record, 0..8);
    (records, prop::collection::vec(any::<u8>(), 0..6)).prop_map(|(records, tail)| {
        let mut octets = Vec::new();
        for (record_type, body, lie) in records {
            octets.extend(record_type.to_be_bytes());
            octets.extend([0, u8::try_from(body.len()).unwrap() + lie]);
            octets.extend(body);
        }
        octets.extend([0x80, 0, 0, 0]);
        octets.extend(tail);
        octets
    })
}

proptest! {
    #[test]
    fn any_split_gives_what_the_whole_gives(
        octets in nearly_a_message(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        limit in 0_usize..200,
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(octets.len() + 1)).collect();
        cuts.extend([0, octets.len()]);
        cuts.sort_unstable();
        let mut decoder = MessageDecoder::new(limit);
        let mut pieces = cuts.windows(2).map(|cut| &octets[cut[0]..cut[1]]);
        let split = feed_all(&mut decoder, &mut pieces);
        let whole = Message::decode(&octets, limit).map(|message| message.records().count());
        prop_assert_eq!(split, whole);
    }

    #[test]
    fn any_octets_are_read_without_panic_and_within_the_limit(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        limit in 0_usize..600,
    ) {
        let mut decoder = MessageDecoder::new(limit);
        for piece in &pieces {
            if let Ok(Some(message)) = decoder.feed(piece) {
                prop_assert!(message.octets.len() <= limit);
            }
            prop_assert!(decoder.buffer.len() <= limit);
        }
    }

    #[test]
    fn records_survive_encoding(
        records in prop::collection::vec(
            (any::<bool>(), 1_u16..0x8000, prop::collection::vec(any::<u8>(), 0..100)), 0..10),
    ) {
        let mut encoder = super::super::encode::Encoder::default();
        for (critical, record_type, body) in &records {
            encoder.record(*critical, RecordType::from(*record_type), body);
        }
        let message = Message::decode(encoder.finish().as_ref(), RESPONSE_LIMIT).unwrap();
        let read: Vec<_> = message
            .records()
            .map(|r| (r.critical, r.record_type.code(), r.body.to_vec()))
            .collect();
        prop_assert_eq!(read, records);
    }
}
