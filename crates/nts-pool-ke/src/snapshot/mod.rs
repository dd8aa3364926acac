//! Signed lists of sources: what a registry publishes for many pools (pool design §6.6).
//!
//! | file | job |
//! | --- | --- |
//! | `canonical` | JSON that can be written in one way only |
//! | `signature` | keys, and what they sign |
//! | `document` | octets in, a list that is signed and new out |
//! | `cache` | the copy on the disk |
//! | `fetch` | asking the registry once |
//! | `follow` | asking it for ever |
//! | `entries` | a file of sources, as what is to be signed |
//! | `commands` | making and looking at such lists |
//!
//! A file that is published is one line with the signature, then the list, whose octets are what is
//! signed. In one file the two cannot be of different age. What is not signed is never parsed.
//!
//! What never happens here: a decision about the sources that are in use. That is `reload`'s.

pub(crate) mod cache;
mod canonical;
pub mod commands;
mod document;
mod entries;
mod fetch;
pub(crate) mod follow;
mod signature;

pub use cache::DiskCopy;
pub(crate) use document::is_pool;
pub use document::{Document, Header, Rejection, Trust, sign, with_signature};
pub use fetch::Url;
pub(crate) use fetch::{Registry, Token};
pub use signature::{PublicKey, SigningKey};

/// No published list is longer, in octets.
pub(crate) const MAX_LENGTH: usize = 64 << 20;
