//! What a failure of a source means to its operator, and what to do about it.

use nts_proto::code_points::ErrorCode;
use nts_proto::error::ResponseError;
use nts_service::diagnosis::{Step, explain_read};
use nts_service::ke_stream::ReadError;

use super::asking::{Asker, Fault};
use crate::upstream::UpstreamError;

/// How we prove to be a pool, in words.
struct Proof {
    /// What the source does not accept.
    what: &'static str,
    /// What its operator has to do.
    cure: &'static str,
}

const TOKEN: Proof = Proof {
    what: "this token",
    cure: "list this very token on the source, character by character (in ntp-daemon: \
           `accepted-pool-authentication-tokens` of the [[nts-ke-server]]), and reload or restart it",
};

const CERTIFICATE: Proof = Proof {
    what: "this certificate",
    cure: "list this very certificate on the source (in ntp-daemon: \
           `authorized-pool-server-certificates` of the [[nts-ke-server]]), and reload or restart it",
};

const NONE: Proof = Proof {
    what: "pools without a token",
    cure: "no proof was given: agree on a token, list it on the source (in ntp-daemon: \
           `accepted-pool-authentication-tokens` of the [[nts-ke-server]]), reload or restart it, and \
           give the token here with --token-path",
};

/// The source refused the first question as if it did not know it, or did not know us.
pub(super) fn refused(id: &'static str, error: &UpstreamError, asker: &Asker<'_>) -> Step {
    let Proof { what, cure } = match (asker.token(), asker.has_credentials()) {
        (Some(_), _) => TOKEN,
        (None, true) => CERTIFICATE,
        (None, false) => NONE,
    };
    let (text, advice) = match error {
        UpstreamError::Answer(ResponseError::Error(ErrorCode::BadRequest)) => (
            format!("Error 1 (bad request): the source does not accept {what}"),
            cure.to_owned(),
        ),
        UpstreamError::Answer(_) => (
            format!(
                "Error 0 (unrecognised critical record), under the present record numbers and the \
                 old ones: the server knows no pool requests, or it does not accept {what} and \
                 behaves to strangers as if it knew none"
            ),
            format!("{cure}. {CAPABLE}"),
        ),
        _ => (
            format!(
                "the server closes the connection without an answer: it knows no pool requests, or \
                 does not accept {what}"
            ),
            format!("{cure}. {CAPABLE}"),
        ),
    };
    Step::failed(id, text, advice)
}

const CAPABLE: &str = "Its software must know pools: ntp-daemon built with the feature \
                       `unstable_nts-pool`, or ntpd-rs from 1.9 on; chrony, NTPsec and other pools \
                       cannot serve a pool";

/// A step that failed; `what` says at what.
pub(super) fn failed(id: &'static str, what: &str, fault: &Fault) -> Step {
    let (text, advice) = words(fault);
    Step::failed(id, format!("{what}: {text}"), advice)
}

/// The same for something without which a source can serve.
pub(super) fn warning(id: &'static str, what: &str, fault: &Fault) -> Step {
    let (text, advice) = words(fault);
    Step::warning(id, format!("{what}: {text}"), advice)
}

const SOFTWARE: &str = "the source's software does not keep to draft-ietf-ntp-nts-keyexchange-pool: \
                        update it, and tell its makers if that does not help";

fn words(fault: &Fault) -> (String, &'static str) {
    let error = match fault {
        Fault::Unconnected(text) => return (text.clone(), OVERLOADED),
        Fault::Source(error) => error,
    };
    let text = error.to_string();
    let advice = match error {
        UpstreamError::Answer(ResponseError::Error(ErrorCode::InternalServerError)) => {
            "something failed inside the source: its log says what; try again in a minute"
        }
        UpstreamError::Answer(ResponseError::Error(
            ErrorCode::UnrecognizedCriticalRecord | ErrorCode::BadRequest,
        )) => {
            "the source answered our first question but refuses this one: does it check the token \
             again, and did that change meanwhile? Otherwise its software does not keep to \
             draft-ietf-ntp-nts-keyexchange-pool: update it"
        }
        UpstreamError::Answer(ResponseError::NoCookies) => {
            "without cookies users get no time: look at the source's log, and update its software"
        }
        UpstreamError::TimedOut => OVERLOADED,
        UpstreamError::ForbiddenPort(_) => {
            "the pool sends users to port 123 or ports from 1024 on only: set another in the \
             source's configuration (in ntp-daemon: `ntp-port`)"
        }
        UpstreamError::ForbiddenName(_) => {
            "write a DNS name or an IP address in the source's configuration (in ntp-daemon: \
             `ntp-server`)"
        }
        UpstreamError::ClosedUnanswered | UpstreamError::Truncated => {
            "the source gave up without a word: its log may say why; does it support what it was \
             asked for, with keys of the length that it announced?"
        }
        UpstreamError::Connection(io) => {
            let copy = std::io::Error::new(io.kind(), io.to_string());
            return match explain_read(ReadError::Io(copy)) {
                (_, Some(advice)) => (text, advice),
                (_, None) => (text, OVERLOADED),
            };
        }
        _ => SOFTWARE,
    };
    (text, advice)
}

const OVERLOADED: &str = "the source may be overloaded, limit the rate of this network, or have no \
                          connection left: look at its log and its limits, and try again in a minute";
