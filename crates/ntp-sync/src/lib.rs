//! ntp-sync
