//! ntp-daemon
