//! What a certificate says about itself, as far as loading needs it.
//!
//! Only for checks and messages: whether a peer's certificate is trusted is decided by the TLS
//! library alone.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rustls_pki_types::{CertificateDer, UnixTime};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

/// Before this (2025-01-01) a clock has surely not been set since the machine was switched on.
const EARLIEST_CREDIBLE: i64 = 1_735_689_600;

/// A certificate that ends within this time is worth a warning.
const SOON: i64 = 14 * 86_400;

/// Facts of one certificate.
pub(super) struct Facts {
    pub(super) subject: String,
    pub(super) issuer: String,
    subject_der: Vec<u8>,
    issuer_der: Vec<u8>,
    not_before: ASN1Time,
    not_after: ASN1Time,
    /// DNS names and IP addresses it is made for.
    pub(super) names: Vec<String>,
    pub(super) is_ca: bool,
}

/// What the calendar says about a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Valid for a while.
    Good,
    /// Valid, but look at this.
    Warning(String),
    /// Not valid.
    Error(String),
}

impl Facts {
    /// `None` if the octets are no certificate.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
        rest.is_empty().then(|| Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            subject_der: parsed.subject().as_raw().to_vec(),
            issuer_der: parsed.issuer().as_raw().to_vec(),
            not_before: parsed.validity().not_before,
            not_after: parsed.validity().not_after,
            names: names(&parsed),
            is_ca: parsed.is_ca(),
        })
    }

    /// Whether `issuer` may have issued this certificate, going by the names.
    pub(super) fn is_issued_by(&self, issuer: &Self) -> bool {
        self.issuer_der == issuer.subject_der
    }

    /// The start of validity.
    pub(super) fn not_before(&self) -> SystemTime {
        system_time(self.not_before)
    }

    /// The end of validity.
    pub(super) fn not_after(&self) -> SystemTime {
        system_time(self.not_after)
    }

    /// The end of validity in words, if that was before `now`.
    pub(super) fn end_before(&self, now: UnixTime) -> Option<String> {
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        (self.not_after.timestamp() < seconds).then(|| self.not_after.to_string())
    }

    /// Whether the certificate is valid at `now`.
    ///
    /// "Not yet valid" on a machine whose clock was never set is a warning only: a time daemon
    /// must be able to start there, or the clock would never be set.
    pub(super) fn validity(&self, now: UnixTime) -> Verdict {
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if seconds < self.not_before.timestamp() {
            let text = format!(
                "is not valid before {}, and this machine's clock says {}; check this machine's \
                 clock, or have the certificate made anew",
                self.not_before,
                date(now)
            );
            return match seconds < EARLIEST_CREDIBLE {
                true => Verdict::Warning(text),
                false => Verdict::Error(text),
            };
        }
        let left = self.not_after.timestamp() - seconds;
        if left < 0 {
            return Verdict::Error(format!(
                "expired on {} (this machine's clock says {}); renew the certificate",
                self.not_after,
                date(now)
            ));
        }
        if left < SOON {
            return Verdict::Warning(format!(
                "expires soon, on {}; renew the certificate",
                self.not_after
            ));
        }
        Verdict::Good
    }
}

fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => match *octets {
            [a, b, c, d] => Some(IpAddr::from([*a, *b, *c, *d]).to_string()),
            octets => <[u8; 16]>::try_from(octets)
                .ok()
                .map(|it| IpAddr::from(it).to_string()),
        },
        _ => None,
    };
    extension
        .value
        .general_names
        .iter()
        .filter_map(name)
        .collect()
}

/// A date for people, in UTC.
pub fn date_of(time: SystemTime) -> String {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    date(UnixTime::since_unix_epoch(since))
}

/// A date for people.
pub(super) fn date(time: UnixTime) -> String {
    i64::try_from(time.as_secs())
        .ok()
        .and_then(|seconds| ASN1Time::from_timestamp(seconds).ok())
        .map_or_else(
            || format!("{} s after 1970", time.as_secs()),
            |time| time.to_string(),
        )
}
