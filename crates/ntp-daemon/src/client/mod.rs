//! The client: sources, their key exchanges and their measurements.
