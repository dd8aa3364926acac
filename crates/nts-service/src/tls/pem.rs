//! Certificates and keys out of PEM files, with a word for every way in which that fails.
//!
//! The error texts say what is wrong with "it", the file, and the cure.

use rustls_pki_types::pem::{self, PemObject, SectionKind};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroize;

/// All certificates of a PEM file, in its order; at least one.
pub(super) fn certificates(octets: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut certificates = Vec::new();
    let mut other = None;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(octets) {
        let (kind, mut der) = section.map_err(|error| damaged(&error))?;
        match kind {
            SectionKind::Certificate => certificates.push(CertificateDer::from(der)),
            kind => {
                der.zeroize();
                other = other.or(Some(kind));
            }
        }
    }
    if !certificates.is_empty() {
        return Ok(certificates);
    }
    Err(match other {
        Some(kind) if is_key(kind) => "it holds a private key but no certificate; \
            name the certificate file here (are the two paths swapped?)"
            .to_owned(),
        Some(SectionKind::Csr) => "it holds a certificate request but no certificate; \
            have the request signed by an authority and name the certificate it gives you"
            .to_owned(),
        Some(_) => "it holds no certificate; name a PEM file with a section \
            `-----BEGIN CERTIFICATE-----`"
            .to_owned(),
        None => no_pem(octets, "certificate", "openssl x509"),
    })
}

/// The first private key of a PEM file (PKCS#8, SEC1 or PKCS#1).
pub(super) fn private_key(octets: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let mut other = None;
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(octets) {
        let (kind, der) = section.map_err(|error| match is_encrypted(octets) {
            true => protected(),
            false => damaged(&error),
        })?;
        if is_key(kind) {
            return PrivateKeyDer::from_pem(kind, der).ok_or_else(|| {
                "its key has an unknown form; convert it with `openssl pkey`".to_owned()
            });
        }
        other = other.or(Some(kind));
    }
    if is_encrypted(octets) {
        return Err(protected());
    }
    Err(match other {
        Some(SectionKind::Certificate) => "it holds a certificate but no private key; \
            name the key file here (are the two paths swapped?)"
            .to_owned(),
        Some(_) => "it holds no private key; name a PEM file with a section \
            `-----BEGIN PRIVATE KEY-----`"
            .to_owned(),
        None => no_pem(octets, "private key", "openssl pkey"),
    })
}

fn is_key(kind: SectionKind) -> bool {
    matches!(
        kind,
        SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey
    )
}

/// Whether there is a key with a passphrase, in PKCS#8 or in the older form of OpenSSL, whose
/// header lines (RFC 1421 §4.6) are no base64.
fn is_encrypted(octets: &[u8]) -> bool {
    const MARKS: [&[u8]; 2] = [
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----",
        b"Proc-Type: 4,ENCRYPTED",
    ];
    MARKS
        .iter()
        .any(|mark| octets.windows(mark.len()).any(|window| window == *mark))
}

fn protected() -> String {
    "its private key is protected by a passphrase, which a daemon cannot enter; remove the \
     protection with `openssl pkey -in OLD -out NEW` and `chmod 600 NEW`"
        .to_owned()
}

/// A file without any PEM section.
fn no_pem(octets: &[u8], what: &str, tool: &str) -> String {
    match octets {
        [] => format!("it is empty; a PEM {what} belongs there"),
        // The tag of an ASN.1 SEQUENCE, with which each DER certificate and key begins.
        [0x30, ..] => format!(
            "it looks like DER, not PEM; convert it with \
             `{tool} -inform DER -in OLD -out NEW`"
        ),
        _ => format!("it is no PEM file; a PEM {what} begins with a line `-----BEGIN …-----`"),
    }
}

/// A PEM section that cannot be read. The parser's own text may hold lines of a key, so it is
/// not shown.
fn damaged(error: &pem::Error) -> String {
    let what = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has a BEGIN line but no END line",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "a section cannot be read",
    };
    format!("it is damaged: {what}; copy the file again")
}
