//! NTPv4 packets.
