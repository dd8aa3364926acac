//! The stateless NTP server.
