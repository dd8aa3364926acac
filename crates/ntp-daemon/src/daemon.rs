//! Start-up order, signals and shutdown of the daemon.
