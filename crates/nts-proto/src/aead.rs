//! Authenticated encryption of NTP extension fields and cookies.
