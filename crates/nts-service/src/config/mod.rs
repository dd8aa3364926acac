//! Configuration files: TOML in, typed values and *all* problems out.
//!
//! [`load`] reads a file, hands the caller the [root section](Section) and collects every
//! problem that is found on the way: syntax, missing and unknown keys, wrong types, values out
//! of range, and whatever the caller or the certificate loader add through [`Problems`]. Each
//! problem names file, line, key, value and cure.
//!
//! A caller first asks the section for *every* key it knows and builds its type last; a `?` in
//! between would hide later problems:
//!
//! ```
//! # use nts_service::config::{self, Section};
//! # #[derive(Debug)] struct Server { domain: String, weight: u32 }
//! fn server(section: &Section<'_>) -> Option<Server> {
//!     let domain = section.required::<String>("domain");
//!     let weight = section.number("weight", 1, 0..=1000, "");
//!     Some(Server { domain: domain?, weight })
//! }
//! # let text = "domain = 'a.test'\nwieght = 3\nport = 'x'";
//! let problems = config::parse("pool.toml", text, server).unwrap_err();
//! assert_eq!(
//!     problems.to_string().lines().next(),
//!     Some("error: pool.toml:2: wieght: unknown key; did you mean `weight`?"),
//! );
//! ```
//!
//! Nothing here knows what a key means, and no problem ever shows the value of a key that was
//! read as a [`Secret`].

mod document;
mod files;
mod json;
mod leaves;
mod located;
mod problem;
mod secret;
mod section;
mod source;
mod suggest;
#[cfg(test)]
mod tests;
mod values;
mod words;

pub use document::{Loaded, load, load_part, parse, read_json};
pub use files::{MAX_FILE_SIZE, read_file, read_secret_file};
pub use located::Located;
pub use problem::{Place, Problem, Problems, Severity};
pub use secret::Secret;
pub use section::Section;
pub use values::{Address, Host, ListenAddress, ListenOn, Port};
