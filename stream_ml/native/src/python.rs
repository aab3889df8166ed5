//! Thin classes over the plain Rust modules; this file and those of its folder alone name PyO3.

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    scanning::register(module)?;
    learning::register(module)?;
    partition::register(module)?;
    challengers::register(module)?;
    ordering::register(module)?;
    serving::register(module)
}

/// `Challengers`, `ComparedBlock`.
mod challengers;
/// `Learner`, `Learned`, `Cut`, `Seal`.
mod learning;
/// `Ordering`, `Ordered`.
mod ordering;
/// `PartitionLearner`, `Batch`, `score_state`, `blob_watermark`.
mod partition;
/// `Plan`, `Scan`, `Refusal`, `checksum`.
mod scanning;
/// `Replica`, `Front`.
mod serving;
