//! The observation socket: the state of the daemon as JSON.
