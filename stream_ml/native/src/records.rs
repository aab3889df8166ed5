//! What learning is given, and what it gives: the two ends of the pipeline.

use crate::block::{Block, Refusal};
use crate::scanned::Writer;
use crate::trainer::Counters;

/// What turns records into examples; each thread has its own.
pub trait Scan: Send + 'static {
    /// Append the examples and refusals of one record to `block`.
    fn scan_record(&mut self, record: &[u8], index: u32, timestamp_ms: i64, block: &mut Block);
}

/// Consecutive records of one partition.
pub struct Records<R> {
    pub partition: i32,
    /// None is a tombstone.
    pub values: Vec<Option<R>>,
    pub timestamps_ms: Vec<i64>,
}

/// What one call did that does not live on in the trainer.
#[derive(Default)]
pub struct Learned {
    pub learned: u64,
    pub duplicates: u64,
    pub skipped: u64,
    pub empty: u64,
    /// With the partition of each.
    pub refused: Vec<(i32, Refusal)>,
    pub evaluations: Vec<Vec<u8>>,
    /// Of each range, where they are to be kept.
    pub scans: Vec<Writer>,
}

impl Learned {
    /// Note what a trainer counted in between.
    pub(crate) fn count(&mut self, before: Counters, after: Counters) {
        self.learned = after.learned - before.learned;
        self.duplicates = after.duplicates - before.duplicates;
        self.skipped = after.skipped - before.skipped;
        self.empty = after.empty - before.empty;
    }

    /// Take over the refusals of a block.
    pub fn refuse(&mut self, partition: i32, block: &mut Block) {
        let refusals = block.refusals.drain(..);
        self.refused
            .extend(refusals.map(|refusal| (partition, refusal)));
    }
}
