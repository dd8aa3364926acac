//! NTS-KE: records, messages, requests, responses, negotiation, and key export.

pub mod keys;
pub mod name;
pub mod negotiation;
pub mod token;
