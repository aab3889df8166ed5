//! Learning where many learners share the rows: one partition's batches, with rows that were pulled, to deltas to push.
//!
//! Ids below `RESERVED_IDS` are no features: the first three are the score state, see `ScoreState::to_rows`. They live in
//! the first shard; every other row in shard `id % shards`.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

use crate::block::Block;
use crate::learner::{Learned, Learner, Records, Scan};
use crate::rows::Row;
use crate::score_state::{RESERVED, ScoreState};
use crate::trainer::Trainer;

pub const RESERVED_IDS: u64 = 4;

/// Records that were scanned, and the ids of all rows that learning them needs.
pub struct Batch {
    pub records: usize,
    pub events: usize,
    /// By shard, ascending; the reserved ones first.
    pub ids: Vec<Vec<u64>>,
    blocks: Vec<Block>,
}

/// What is to be added to the rows of one shard.
#[derive(Default)]
pub struct Additions {
    pub ids: Vec<u64>,
    pub deltas: Vec<Row>,
}

pub struct PartitionLearner<S, R> {
    partition: i32,
    shards: usize,
    learner: Learner<S, R>,
}

/// Feature ids are hashes already.
#[derive(Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("ids are numbers");
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }
}

pub fn shard_of(id: u64, shards: usize) -> usize {
    if id < RESERVED_IDS {
        0
    } else {
        (id % shards as u64) as usize
    }
}

impl<S: Scan, R: AsRef<[u8]> + Send + Sync + 'static> PartitionLearner<S, R> {
    pub fn new(partition: i32, shards: usize, learner: Learner<S, R>) -> PartitionLearner<S, R> {
        PartitionLearner {
            partition,
            shards,
            learner,
        }
    }

    pub fn trainer(&self) -> &Trainer {
        &self.learner.trainer
    }

    pub fn trainer_mut(&mut self) -> &mut Trainer {
        &mut self.learner.trainer
    }

    /// Scan, and learn nothing yet.
    pub fn scan(
        &mut self,
        values: Vec<Option<R>>,
        timestamps_ms: Vec<i64>,
    ) -> std::io::Result<Batch> {
        let records = values.len();
        let blocks = self.scan_blocks(values, timestamps_ms)?;
        Ok(Batch {
            records,
            events: blocks.iter().map(|block| block.examples.len()).sum(),
            ids: self.ids_of(&blocks),
            blocks,
        })
    }

    /// Know the ids of these events, as if they had been learned; returns how many had one.
    pub fn remember(
        &mut self,
        values: Vec<Option<R>>,
        timestamps_ms: Vec<i64>,
    ) -> std::io::Result<u64> {
        let (partition, mut known) = (self.partition, 0);
        for block in self.scan_blocks(values, timestamps_ms)? {
            known += self.learner.trainer.remember(partition, &block)?;
        }
        Ok(known)
    }

    /// Learn a batch with its rows as they were pulled, in the order of `Batch::ids`; a zero row is none.
    pub fn learn(
        &mut self,
        batch: &Batch,
        pulled: &[Vec<Row>],
    ) -> std::io::Result<(Learned, Vec<Additions>)> {
        let rows: usize = pulled.iter().map(Vec::len).sum();
        let mut reserved = [Row::default(); RESERVED];
        reserved.copy_from_slice(&pulled[0][..RESERVED]);
        self.learner.trainer.begin_batch(rows, reserved)?;
        for (ids, rows) in batch.ids.iter().zip(pulled) {
            for (&id, &row) in ids.iter().zip(rows) {
                if id >= RESERVED_IDS && row != Row::default() {
                    self.learner.trainer.table_mut().put(id, row);
                }
            }
        }
        let learned = self
            .learner
            .learn_blocks(self.partition, &batch.blocks, batch.records)?;
        Ok((learned, self.additions(batch, pulled)))
    }

    fn scan_blocks(
        &mut self,
        values: Vec<Option<R>>,
        timestamps_ms: Vec<i64>,
    ) -> std::io::Result<Vec<Block>> {
        self.learner.scan(Records {
            partition: self.partition,
            values,
            timestamps_ms,
        })
    }

    fn ids_of(&self, blocks: &[Block]) -> Vec<Vec<u64>> {
        let mut seen: HashSet<u64, BuildHasherDefault<Itself>> = HashSet::default();
        let mut ids: Vec<Vec<u64>> = vec![Vec::new(); self.shards];
        ids[0].extend(0..RESERVED as u64);
        for &id in blocks.iter().flat_map(|block| &block.ids) {
            if seen.insert(id) {
                ids[shard_of(id, self.shards)].push(id);
            }
        }
        ids.iter_mut().for_each(|ids| ids.sort_unstable());
        ids
    }

    /// What learning changed, of every row that was pulled.
    fn additions(&self, batch: &Batch, pulled: &[Vec<Row>]) -> Vec<Additions> {
        let (table, state) = (
            self.learner.trainer.table(),
            self.learner.trainer.score_state(),
        );
        let reserved = state.to_rows();
        let of_shard = |(ids, rows): (&Vec<u64>, &Vec<Row>)| {
            let mut added = Additions::default();
            for (&id, &before) in ids.iter().zip(rows) {
                let after = match reserved.get(id as usize) {
                    Some(&row) => row,
                    None => table.get(id).unwrap_or(before),
                };
                if after != before {
                    added.ids.push(id);
                    added.deltas.push(Row {
                        z: after.z - before.z,
                        n: after.n - before.n,
                    });
                }
            }
            added
        };
        batch.ids.iter().zip(pulled).map(of_shard).collect()
    }
}

/// The score state of rows that were pulled, for those who serve them.
pub fn score_state_of(
    options: &crate::options::LearnerOptions,
    rows: [Row; RESERVED],
    watermark_us: i64,
) -> ScoreState {
    let mut state = ScoreState::new(options);
    state.adopt_rows(options, rows);
    state.watermark_us = watermark_us;
    state
}

#[cfg(test)]
#[path = "tests/partition.rs"]
mod tests;
