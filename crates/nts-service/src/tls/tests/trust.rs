use super::*;
use crate::config::Problems;

fn load(mode: TrustMode, content: Option<&str>) -> (Option<TrustAnchors>, String) {
    let files = Files::new();
    let problems = Problems::new();
    let file = content.map(|content| files.add("ca", content));
    let place = Place::file("c.toml").at_line(5).at_key("mode");
    let trust = TrustAnchors::load(mode, file.as_ref(), &place, &problems);
    assert_eq!(trust.is_none(), problems.has_errors());
    (trust, files.shown(&problems))
}

#[test]
fn modes_are_read_by_their_names() {
    for (text, mode) in [
        ("only", TrustMode::Only),
        ("system", TrustMode::System),
        ("system-and-file", TrustMode::SystemAndFile),
    ] {
        let text = format!("mode = '{text}'");
        let read = crate::config::parse("c", &text, |root| root.required::<TrustMode>("mode"));
        assert_eq!(read.unwrap().value, mode);
    }
    assert_eq!(TrustMode::default(), TrustMode::Only);
}

#[test]
fn a_file_of_authorities_is_checked() {
    let (one, two) = (Authority::new("One"), Authority::new("Two"));
    let both = format!("{}{}", one.pem, two.pem);
    for mode in [TrustMode::Only, TrustMode::SystemAndFile] {
        let (trust, problems) = load(mode, Some(&both));
        assert!(trust.is_some() && problems.is_empty(), "{problems}");

        let (trust, problems) = load(mode, None);
        assert!(trust.is_none());
        assert!(
            problems.starts_with("error: c.toml:5: mode: needs a file"),
            "{problems}"
        );

        let (trust, problems) = load(mode, Some(&one.server().key_pem));
        assert!(trust.is_none());
        assert!(problems.starts_with("error: c.toml:7: ca: `ca`: it holds a private key"));

        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let (trust, problems) = load(mode, Some(&format!("{both}{junk}")));
        assert!(trust.is_none());
        assert!(
            problems.contains("its certificate number 3 is damaged"),
            "{problems}"
        );
    }
}

#[test]
fn a_server_certificate_in_place_of_its_authority_is_a_warning() {
    let (trust, problems) = load(TrustMode::Only, Some(&Authority::new("CA").server().pem));
    assert!(trust.is_some());
    assert!(problems.starts_with("warning: c.toml:7: ca: `ca`: its certificate number 1"));
    assert!(
        problems.contains("not marked as an authority"),
        "{problems}"
    );
}

#[test]
fn an_expired_authority_is_a_warning() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    years(2020, 2021)(&mut params);
    let (trust, problems) = load(
        TrustMode::Only,
        Some(&params.self_signed(&key).unwrap().pem()),
    );
    assert!(trust.is_some());
    assert!(
        problems.contains(" expired on Jan  1 00:00:00 2021"),
        "{problems}"
    );
}

#[test]
fn an_empty_set_trusts_nobody_and_is_an_error() {
    assert!(TrustAnchors::only([]).is_err());
}

#[test]
fn without_authorities_in_the_system_the_cure_is_named() {
    // Whether this machine has any is not ours to say.
    let (trust, problems) = load(TrustMode::System, None);
    match trust {
        Some(_) => assert_eq!(problems, ""),
        None => {
            assert!(problems.starts_with("error: c.toml:5: mode: no certificate authorities"));
            assert!(problems.contains("package `ca-certificates`"), "{problems}");
        }
    }
}

#[test]
fn other_authorities_have_another_fingerprint() {
    let (one, two) = (Authority::new("One"), Authority::new("Two"));
    let fingerprint = |mode, authority: &Authority| {
        let trust = load(mode, Some(&authority.pem)).0.unwrap();
        trust.fingerprint()
    };
    let first = fingerprint(TrustMode::Only, &one);
    assert_eq!(first, fingerprint(TrustMode::Only, &one));
    assert_ne!(first, fingerprint(TrustMode::Only, &two));
    let both = fingerprint(TrustMode::SystemAndFile, &one);
    assert_eq!(both, fingerprint(TrustMode::SystemAndFile, &one));
    assert_ne!(both, fingerprint(TrustMode::SystemAndFile, &two));
    assert_ne!(first, both);
}
