//! The data plane: scan, hash, table, update, snapshot bytes, scoring and the Thrift front.
//!
//! Knows no Kafka, no Redis, no environment. `python.rs` alone names PyO3.

pub mod block;
mod compile;
mod expr;
mod fields;
pub mod hash;
mod json;
mod keys;
pub mod math;
mod number;
pub mod options;
pub mod plan;
pub mod scan;
mod set;
mod text;
mod time;

#[cfg(feature = "python")]
mod python;
