//! Text from a configuration that must not be seen: tokens and the like.

use std::fmt;

use zeroize::Zeroizing;

/// A secret text. It is overwritten when dropped, and neither Debug nor a [`Problem`] shows it.
///
/// [`Problem`]: super::Problem
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}
