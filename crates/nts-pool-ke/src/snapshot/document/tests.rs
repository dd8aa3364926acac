//! Lists that are taken, and every kind that is not.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn key() -> SigningKey {
    SigningKey::generate().unwrap()
}

fn trust(key: &SigningKey) -> Trust {
    Trust {
        keys: vec![key.public()],
        pool: Some("pool.test".to_owned()),
    }
}

fn header(serial: u64) -> Header {
    Header {
        pool: "pool.test".to_owned(),
        serial,
        issued: UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    }
}

fn entries() -> Map<String, Value> {
    Map::from_iter([("sources".to_owned(), json!([{ "domain": "a.test" }]))])
}

fn list(serial: u64, key: &SigningKey) -> Document {
    sign(&header(serial), entries(), key).unwrap()
}

#[test]
fn what_was_signed_is_taken() {
    let key = key();
    let list = list(7, &key);
    let octets = list.octets().to_vec();
    let opened = Document::open(octets.clone(), &trust(&key)).unwrap();
    assert_eq!(opened.header(), &header(7));
    assert_eq!(
        opened.text(),
        "{\"issued\":1800000000,\"pool\":\"pool.test\",\"schema\":1,\"serial\":7,\
         \"sources\":[{\"domain\":\"a.test\"}]}"
    );
    assert_eq!(opened.octets(), octets);
    // One of several keys is enough, and any pool will do if none is named.
    let trust = Trust {
        keys: vec![self::key().public(), key.public()],
        pool: None,
    };
    assert!(Document::open(octets, &trust).is_ok());
}

#[test]
fn what_is_signed_by_nobody_or_somebody_else_is_not() {
    let key = key();
    let trust = trust(&key);
    let good = list(7, &key).octets().to_vec();
    let open = |octets: &[u8]| Document::open(octets.to_vec(), &trust).unwrap_err();
    let other = list(7, &self::key());
    assert_eq!(open(other.octets()), Rejection::Signature);
    let length = good.len();
    assert_eq!(open(&good[..length - 1]), Rejection::Signature);
    assert_eq!(open(&[&good[..], b"\n"].concat()), Rejection::Signature);
    let line = good.iter().position(|it| *it == b'\n').unwrap();
    for unsigned in [
        &good[line + 1..],
        &good[..line],
        &good[1..],
        b"",
        MARK.as_bytes(),
    ] {
        assert_eq!(open(unsigned), Rejection::Unsigned);
    }
    assert_eq!(open(&vec![b' '; MAX_LENGTH + 1]), Rejection::TooLong);
    let none = Trust {
        keys: Vec::new(),
        pool: None,
    };
    assert_eq!(Document::open(good, &none), Err(Rejection::Signature));
}

#[test]
fn no_bit_of_it_can_be_flipped() {
    let key = key();
    let trust = trust(&key);
    let good = list(7, &key).octets().to_vec();
    for at in 0..good.len() * 8 {
        let mut octets = good.clone();
        octets[at / 8] ^= 1 << (at % 8);
        let opened = Document::open(octets, &trust);
        assert!(
            matches!(opened, Err(Rejection::Signature | Rejection::Unsigned)),
            "bit {at}: {opened:?}"
        );
    }
}

#[test]
fn a_good_signature_is_not_enough() {
    let key = key();
    let trust = trust(&key);
    let open =
        |text: &str| Document::open(with_signature(text, &key).into_bytes(), &trust).unwrap_err();
    let malformed = |what: &str| Rejection::Malformed(what.to_owned());
    assert_eq!(
        open("{ }"),
        Rejection::NotCanonical(NotCanonical::Spelling(1))
    );
    assert!(matches!(
        open(""),
        Rejection::NotCanonical(NotCanonical::Syntax(_))
    ));
    assert_eq!(open("[]"), malformed("it is no JSON object"));
    assert_eq!(open("{}"), Rejection::Schema(Value::Null));
    assert_eq!(open("{\"schema\":2}"), Rejection::Schema(2.into()));
    assert_eq!(open("{\"schema\":\"1\"}"), Rejection::Schema("1".into()));
    let header = |issued: &str, pool: &str, serial: &str| {
        open(&format!(
            "{{\"issued\":{issued},\"pool\":{pool},\"schema\":1,\"serial\":{serial}}}"
        ))
    };
    for (rejection, key) in [
        (header("\"now\"", "\"pool.test\"", "1"), "issued"),
        (header("-1", "\"pool.test\"", "1"), "issued"),
        (header("1", "\"\"", "1"), "pool"),
        (header("1", "\"\\n\"", "1"), "pool"),
        (header("1", "\"pool.test\"", "1.5"), "serial"),
        (header("1", "\"pool.test\"", "-1"), "serial"),
    ] {
        let text = rejection.to_string();
        let expected = format!("it is properly signed, but `{key}` is missing or wrong;");
        assert!(text.starts_with(&expected), "{text}");
    }
    assert_eq!(
        header("1", "\"other.test\"", "1"),
        Rejection::Pool {
            found: "other.test".to_owned(),
            wanted: "pool.test".to_owned()
        }
    );
    let signature = BASE64.encode(&key.sign(&[0xff]));
    let octets = [format!("{MARK}{signature}\n").as_bytes(), &[0xff]].concat();
    assert_eq!(
        Document::open(octets, &trust),
        Err(malformed("it is no text in UTF-8"))
    );
}

#[test]
fn serials_only_grow() {
    let key = key();
    let list = |serial| list(serial, &key);
    assert_eq!(list(8).may_follow(&list(7)), Ok(()));
    assert_eq!(list(7).may_follow(&list(7)), Ok(()));
    let rolled_back = |found| Err(Rejection::RolledBack { found, last: 7 });
    assert_eq!(list(6).may_follow(&list(7)), rolled_back(6));
    let mut later = header(7);
    later.issued += Duration::from_secs(1);
    let later = sign(&later, entries(), &key).unwrap();
    assert_eq!(later.may_follow(&list(7)), rolled_back(7));
    // Signed anew with another key it is still the same list.
    let again = sign(&header(7), entries(), &self::key()).unwrap();
    assert_eq!(again.may_follow(&list(7)), Ok(()));
    // A key may sign for several pools: another one's list is not the next of this.
    let mut other = header(8);
    other.pool = "other.test".to_owned();
    let other = sign(&other, entries(), &key).unwrap();
    let for_other = Rejection::Pool {
        found: "other.test".to_owned(),
        wanted: header(7).pool,
    };
    assert_eq!(other.may_follow(&list(7)), Err(for_other));
    let largest = (1 << 53) - 1;
    assert!(sign(&header(largest), entries(), &key).is_ok());
    assert!(sign(&header(largest + 1), entries(), &key).is_err());
}

#[test]
fn a_clock_that_is_behind_makes_a_list_young() {
    let header = header(1);
    let later = header.issued + Duration::from_secs(90);
    assert_eq!(header.age(later).as_secs(), 90);
    assert_eq!(header.age(UNIX_EPOCH).as_secs(), 0);
    assert_eq!(header.issued_at(), 1_800_000_000);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let trust = trust(&key());
        let _ = Document::open([MARK.as_bytes(), &octets].concat(), &trust);
        let _ = Document::open(octets, &trust);
    }
}
