//! The client's state for one time source.
