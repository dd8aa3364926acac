//! The shell that both daemons share.
//!
//! Here live the things that touch the machine: configuration files, certificates, TLS
//! set-up, the bounded listener, the way between a TLS stream and the sans-IO decoder, logs,
//! metrics, signals and the word to systemd; and the diagnosis of one server from outside.
//!
//! What never happens here: no record or packet is interpreted (that is `nts-proto`), no time
//! source is chosen (that is the pool), no clock is steered (that is the daemon).

pub mod config;
pub mod diagnosis;
pub mod drain;
pub mod exit;
pub mod files;
pub mod ke_stream;
pub mod listener;
pub mod look_up;
pub mod notify;
pub mod printable;
pub mod proxy_protocol;
pub mod quick_ack;
pub mod regular_file;
pub mod runtime;
pub mod shutdown;
pub mod signals;
pub mod table;
pub mod telemetry;
pub mod tls;
pub mod watch;
