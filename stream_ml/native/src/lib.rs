//! The data plane: scan, hash, table, update, snapshot bytes, scoring and the Thrift front.
//!
//! Knows no Kafka, no Redis, no environment. `python.rs` alone names PyO3.

pub mod block;
pub mod codec;
mod compile;
pub mod evaluation;
mod expr;
mod fields;
pub mod hash;
pub mod id_map;
pub mod image;
mod json;
mod keys;
pub mod learner;
pub mod loss;
pub mod math;
mod number;
pub mod optimizer;
pub mod options;
pub mod plan;
pub mod rows;
pub mod scan;
pub mod score_state;
#[cfg(test)]
mod seeded;
mod set;
pub mod table;
mod text;
mod time;
pub mod trainer;
pub mod windows;

#[cfg(feature = "python")]
mod python;
