//! The data plane: scan, hash, table, update, snapshot bytes, scoring and the Thrift front.
//!
//! Knows no Kafka, no Redis, no environment. `python.rs` alone names PyO3.

pub mod block;
pub mod math;
pub mod options;

#[cfg(feature = "python")]
mod python;
