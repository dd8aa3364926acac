//! The master keys that seal cookies.
