//! nts-service
