//! What the front counts, for `/metrics`: plain atomics, read by whoever asks.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds of the latency histogram, in microseconds; one more bucket holds what is above.
pub const LATENCY_BOUNDS_US: [u64; 14] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000,
];

/// What a call came to; the names are labels of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answered,
    NoModelYet,
    UnknownModel,
    StaleWeights,
    BadRequest,
    Overloaded,
    Malformed,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        OUTCOMES[self as usize].1
    }
}

pub const OUTCOMES: [(Outcome, &str); 7] = [
    (Outcome::Answered, "answered"),
    (Outcome::NoModelYet, "no_model_yet"),
    (Outcome::UnknownModel, "unknown_model"),
    (Outcome::StaleWeights, "stale_weights"),
    (Outcome::BadRequest, "bad_request"),
    (Outcome::Overloaded, "overloaded"),
    (Outcome::Malformed, "malformed"),
];

/// Why a connection was ended by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    TooManyConnections,
    FrameTooLarge,
    BadHeader,
    Idle,
    SlowFrame,
    SlowReader,
    OutOfBuffers,
}

pub const CLOSED: [(Closed, &str); 7] = [
    (Closed::TooManyConnections, "too_many_connections"),
    (Closed::FrameTooLarge, "frame_too_large"),
    (Closed::BadHeader, "bad_header"),
    (Closed::Idle, "idle"),
    (Closed::SlowFrame, "slow_frame"),
    (Closed::SlowReader, "slow_reader"),
    (Closed::OutOfBuffers, "out_of_buffers"),
];

/// Totals since the front was opened.
#[derive(Default)]
pub struct Counters {
    calls: [AtomicU64; OUTCOMES.len()],
    closed: [AtomicU64; CLOSED.len()],
    latency: [AtomicU64; LATENCY_BOUNDS_US.len() + 1],
    latency_sum_us: AtomicU64,
    pub events_scored: AtomicU64,
    pub events_refused: AtomicU64,
    pub connections_accepted: AtomicU64,
    pub connections_open: AtomicI64,
}

impl Counters {
    pub fn call(&self, outcome: Outcome) {
        self.calls[outcome as usize].fetch_add(1, Relaxed);
    }

    pub fn closed(&self, why: Closed) {
        self.closed[why as usize].fetch_add(1, Relaxed);
    }

    /// Count *calls* that waited *latency* from the read that completed them to the write of their answer.
    pub fn latency(&self, calls: u64, latency: Duration) {
        let microseconds = latency.as_micros() as u64;
        let bucket = LATENCY_BOUNDS_US.partition_point(|bound| *bound < microseconds);
        self.latency[bucket].fetch_add(calls, Relaxed);
        self.latency_sum_us.fetch_add(calls * microseconds, Relaxed);
    }

    pub fn calls(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        OUTCOMES
            .iter()
            .map(|(at, name)| (*name, self.calls[*at as usize].load(Relaxed)))
    }

    pub fn closures(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        CLOSED
            .iter()
            .map(|(at, name)| (*name, self.closed[*at as usize].load(Relaxed)))
    }

    /// Calls a bucket, not cumulated, and the sum in seconds.
    pub fn latencies(&self) -> (Vec<u64>, f64) {
        let buckets = self
            .latency
            .iter()
            .map(|bucket| bucket.load(Relaxed))
            .collect();
        (buckets, self.latency_sum_us.load(Relaxed) as f64 / 1e6)
    }
}

#[cfg(test)]
#[path = "tests/counters.rs"]
mod tests;
