//! The time formats of NTP.
