//! nts-proto
