//! Learns ranges of records: they are scanned by as many threads as wished and learned in order by the calling one.

use std::sync::Arc;

use crate::block::Block;
use crate::pipeline::{Helper, Job};
pub use crate::records::{Learned, Records, Scan};
use crate::scanned::{ScannedRange, Writer};
use crate::trainer::Trainer;

pub struct Learner<S, R> {
    pub trainer: Trainer,
    /// Of the calling thread, which scans too.
    scanner: S,
    helpers: Vec<Helper<R>>,
    spare: Vec<Block>,
}

impl<S: Scan, R: AsRef<[u8]> + Send + Sync + 'static> Learner<S, R> {
    /// `helping`: a scanner for every further thread; the threads live as long as the learner.
    pub fn new(
        trainer: Trainer,
        scanner: S,
        helping: impl IntoIterator<Item = S>,
    ) -> std::io::Result<Learner<S, R>> {
        Ok(Learner {
            trainer,
            scanner,
            helpers: helping
                .into_iter()
                .map(Helper::start)
                .collect::<std::io::Result<_>>()?,
            spare: Vec::new(),
        })
    }

    /// Learn the ranges in order; as many timestamps as values in each.
    pub fn learn(&mut self, ranges: Vec<Records<R>>) -> std::io::Result<Learned> {
        self.counted(Learned::default(), |learner, learned| {
            learner.scan_and_learn(ranges, learned)
        })
    }

    /// The same, and keep what the scan gave.
    pub fn learn_and_keep(&mut self, ranges: Vec<Records<R>>) -> std::io::Result<Learned> {
        let learned = Learned {
            scans: ranges
                .iter()
                .map(|range| Writer::new(range.values.len()))
                .collect(),
            ..Learned::default()
        };
        self.counted(learned, |learner, learned| {
            learner.scan_and_learn(ranges, learned)
        })
    }

    /// Learn ranges that were scanned and kept, in order.
    pub fn learn_scanned(&mut self, ranges: &[ScannedRange]) -> std::io::Result<Learned> {
        self.counted(Learned::default(), |learner, learned| {
            let mut block = learner.spare.pop().unwrap_or_default();
            for range in ranges {
                for scanned in &range.blocks {
                    scanned.fill(&mut block);
                    let trainer = &mut learner.trainer;
                    trainer.learn(range.partition, &block, &mut learned.evaluations)?;
                    learned.refuse(range.partition, &mut block);
                }
                learner.trainer.count_records(range.records);
            }
            learner.spare.push(block);
            Ok(())
        })
    }

    /// Learn the events that still wait for their labels.
    pub fn learn_waiting(&mut self) -> std::io::Result<Learned> {
        self.counted(Learned::default(), |learner, learned| {
            learner.trainer.learn_waiting(&mut learned.evaluations);
            Ok(())
        })
    }

    /// Know the ids of these events, as if they had been learned; returns how many had one.
    pub fn remember(&mut self, records: Records<R>) -> std::io::Result<u64> {
        let (partition, mut known) = (records.partition, 0);
        let job = Job::new(vec![records], std::mem::take(&mut self.spare));
        let trainer = &mut self.trainer;
        job.each_block(&mut self.scanner, |_, block| {
            known += trainer.remember(partition, &block)?;
            Ok(Some(block))
        })?;
        self.spare = job.take_spare();
        Ok(known)
    }

    /// Note in `learned` what `work` adds to the trainer's counters.
    fn counted(
        &mut self,
        mut learned: Learned,
        work: impl FnOnce(&mut Self, &mut Learned) -> std::io::Result<()>,
    ) -> std::io::Result<Learned> {
        let before = self.trainer.counters();
        work(self, &mut learned)?;
        learned.count(before, self.trainer.counters());
        Ok(learned)
    }

    fn scan_and_learn(
        &mut self,
        ranges: Vec<Records<R>>,
        learned: &mut Learned,
    ) -> std::io::Result<()> {
        let records: usize = ranges.iter().map(|range| range.values.len()).sum();
        let job = Arc::new(Job::new(ranges, std::mem::take(&mut self.spare)));
        job.ask(&self.helpers);
        let done = job.learn(&mut self.scanner, &mut self.trainer, learned);
        self.spare = job.take_spare();
        self.trainer.count_records(records);
        done
    }
}

#[cfg(test)]
#[path = "tests/learner.rs"]
mod tests;
