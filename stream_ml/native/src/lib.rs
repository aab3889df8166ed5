//! The data plane: scan, hash, table, update, snapshot bytes, scoring and the Thrift front.
//!
//! Knows no Kafka, no Redis, no environment. `python.rs` and its folder alone name PyO3.

mod absent;
mod ahead;
pub mod block;
mod bucket;
pub mod call;
pub mod challengers;
pub mod codec;
mod compile;
pub mod counters;
mod distinct;
#[cfg(test)]
#[path = "tests/evaluated.rs"]
mod evaluated;
pub mod evaluation;
mod expiry;
mod expr;
mod features;
mod fields;
mod find;
pub mod front;
mod gate;
pub mod hash;
pub mod id_map;
pub mod image;
mod json;
mod keys;
mod lanes;
pub mod learner;
mod letters;
pub mod limits;
pub mod loss;
pub mod math;
pub mod noted;
mod number;
pub mod optimizer;
pub mod options;
pub mod partition;
mod pipeline;
pub mod plan;
mod quick;
pub mod records;
pub mod replica;
pub mod reply;
mod roles;
pub mod rows;
pub mod scan;
pub mod scanned;
pub mod score;
pub mod score_state;
#[cfg(test)]
mod seeded;
pub mod server;
mod set;
mod slices;
mod step;
pub mod table;
mod tally;
mod text;
mod texts;
mod time;
pub mod trainer;
#[cfg(target_arch = "x86_64")]
mod wide;
pub mod windows;

#[cfg(feature = "python")]
mod python;
