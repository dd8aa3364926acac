//! nts-pool-ke
