//! What happened to a source, in words for people.

use nts_proto::association::{KeyReason, Kiss, UnusableReason};
use nts_proto::ntp::header::KissCode;

/// Why new keys are wanted.
pub(super) fn explain_keys(reason: KeyReason) -> &'static str {
    match reason {
        KeyReason::OutOfCookies => "no cookies left; a new key exchange is under way",
        KeyReason::NtsNak => {
            "the server cannot read our cookies any more; a new key exchange is under way"
        }
        KeyReason::KeyAge => "the keys are old; a new key exchange is under way",
    }
}

/// Why an answer gives no time.
pub(super) fn explain_unusable(reason: UnusableReason) -> &'static str {
    match reason {
        UnusableReason::Unsynchronized => "the server says that its own clock is not synchronised",
        UnusableReason::Loop => "the server gets its time from this machine",
        UnusableReason::NoSendTime => "an answer could not be timed",
    }
}

/// What a kiss code asks for; `None` if that says nothing to people.
pub(super) fn explain_kiss(kiss: Kiss) -> Option<&'static str> {
    match kiss.code {
        KissCode::Rate => Some("the server asks for fewer requests"),
        KissCode::Deny | KissCode::Restrict => {
            Some("the server seems to refuse service (not authenticated)")
        }
        KissCode::NtsNak => Some("the server says that it cannot read our cookies"),
        KissCode::Init | KissCode::Step | KissCode::Other(_) => None,
    }
}
