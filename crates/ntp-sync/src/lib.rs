//! The mathematics of time: what a series of measurements says about a source's clock.
//!
//! Everything here is a pure function of its arguments: no clock is read, nothing is sent or
//! stored, and no clock is steered. What one exchange with a source says is in
//! [`nts_proto::association::Measurement`]; this crate makes something of several of them.
//!
//! | module | job |
//! | --- | --- |
//! | [`filter`] | the last eight measurements of one source, and the best of them |

pub mod filter;
