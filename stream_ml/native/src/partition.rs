//! Learns the batches of one partition with rows that lie elsewhere, in shards: scan, say which rows, learn, say what to add.

use std::sync::{Arc, Mutex, PoisonError};

use crate::block::Block;
use crate::distinct::Distinct;
use crate::options::LearnerOptions;
use crate::pipeline::{Helper, Job};
use crate::records::{Learned, Records, Scan};
use crate::rows::{Row, VALUE_BYTES, parse_values, push_values};
use crate::score_state::{RESERVED, ScoreState};
use crate::table::Table;
use crate::trainer::Trainer;

/// Ids below it are kept free for the rows of the score state: bias, sums of the base rate, its examples. They lead the
/// first shard. A feature that hashes to one of them moves out of the way.
pub const RESERVED_IDS: u64 = 4;
/// Rows put in at a time: their places are on their way from memory together.
const PUT_TOGETHER: usize = 64;

type Pool = Arc<Mutex<Vec<Block>>>;

/// Consecutive records, scanned.
pub struct Batch {
    pub records: usize,
    pub events: usize,
    /// By shard, ascending.
    pub ids: Vec<Vec<u64>>,
    blocks: Vec<Block>,
    /// Where the memory of the blocks goes back to.
    pool: Pool,
}

impl Drop for Batch {
    fn drop(&mut self) {
        lock(&self.pool).append(&mut self.blocks);
    }
}

/// Turns records into batches.
pub struct BatchScanner<S, R> {
    shards: u64,
    /// How many rows the score state has.
    state_rows: u64,
    scanner: S,
    helpers: Vec<Helper<R>>,
    distinct: Distinct,
    pool: Pool,
}

impl<S: Scan, R: AsRef<[u8]> + Send + Sync + 'static> BatchScanner<S, R> {
    /// `helping`: a scanner for every further thread; the threads live as long as this one.
    pub fn new(
        options: &LearnerOptions,
        shards: u32,
        scanner: S,
        helping: impl IntoIterator<Item = S>,
    ) -> std::io::Result<BatchScanner<S, R>> {
        Ok(BatchScanner {
            shards: u64::from(shards.max(1)),
            state_rows: state_rows(options) as u64,
            scanner,
            helpers: helping
                .into_iter()
                .map(Helper::start)
                .collect::<std::io::Result<_>>()?,
            distinct: Distinct::new(),
            pool: Pool::default(),
        })
    }

    pub fn scan(&mut self, records: Records<R>) -> std::io::Result<Batch> {
        let count = records.values.len();
        let mut distinct = std::mem::replace(&mut self.distinct, Distinct::new());
        let mut blocks = Vec::new();
        self.each(records, |mut block| {
            make_way(&mut block.ids);
            distinct.add(&block.ids);
            blocks.push(block);
            Ok(None)
        })?;
        let ids = self.by_shard(&distinct.take());
        self.distinct = distinct;
        Ok(Batch {
            records: count,
            events: blocks.iter().map(|block| block.examples.len()).sum(),
            ids,
            blocks,
            pool: Arc::clone(&self.pool),
        })
    }

    /// Scan records and hand the blocks to `take`, in order; one that it gives back is used again.
    pub fn each(
        &mut self,
        records: Records<R>,
        mut take: impl FnMut(Block) -> std::io::Result<Option<Block>>,
    ) -> std::io::Result<()> {
        let spare = std::mem::take(&mut *lock(&self.pool));
        let job = Arc::new(Job::new(vec![records], spare));
        job.ask(&self.helpers);
        let done = job.each_block(&mut self.scanner, |_, block| take(block));
        lock(&self.pool).append(&mut job.take_spare());
        done
    }

    fn by_shard(&self, ids: &[u64]) -> Vec<Vec<u64>> {
        let room = ids.len() / self.shards as usize * 9 / 8;
        let mut shards: Vec<_> = (0..self.shards).map(|_| Vec::with_capacity(room)).collect();
        shards[0].extend(0..self.state_rows);
        for &id in ids {
            shards[(id % self.shards) as usize].push(id);
        }
        shards
    }
}

/// Which rows of the score state there are: a base rate that is known needs none.
fn state_rows(options: &LearnerOptions) -> usize {
    if options.base_rate.is_some() {
        1
    } else {
        RESERVED
    }
}

/// Nobody's text hashes to a reserved id but one that was made to: it shares a row then with one that nobody has.
fn make_way(ids: &mut [u64]) {
    ids.iter_mut()
        .filter(|id| **id < RESERVED_IDS)
        .for_each(|id| *id += RESERVED_IDS);
}

/// What to add to the rows of a shard.
#[derive(Debug, Default, PartialEq)]
pub struct Delta {
    /// A part of the batch's, in their order.
    pub ids: Vec<u64>,
    /// Δz, Δn of each, float32.
    pub values: Vec<u8>,
}

/// Why a batch was not learned: nothing was touched.
#[derive(Debug)]
pub enum Refused {
    Rows(String),
    Memory(std::io::Error),
}

/// Learn a batch of `partition` with its rows as they were pulled, z and n as float32 by shard in the order of its ids;
/// a row of zeros is none.
pub fn learn(
    trainer: &mut Trainer,
    partition: i32,
    batch: &Batch,
    pulled: &[&[u8]],
) -> Result<(Learned, Vec<Delta>), Refused> {
    check(batch, pulled).map_err(Refused::Rows)?;
    let count = state_rows(&trainer.course().options);
    let rows = batch.ids.iter().map(Vec::len).sum();
    trainer
        .borrow(rows, state_of(pulled, count))
        .map_err(Refused::Memory)?;
    put_in(trainer.table_mut(), batch, pulled, count);
    let before = trainer.counters();
    let mut learned = Learned::default();
    for block in &batch.blocks {
        trainer
            .learn(partition, block, &mut learned.evaluations)
            .map_err(Refused::Memory)?;
        let refusals = block.refusals.iter().cloned();
        learned
            .refused
            .extend(refusals.map(|refusal| (partition, refusal)));
    }
    trainer.count_records(batch.records);
    learned.count(before, trainer.counters());
    let deltas = (0..pulled.len()).map(|shard| delta(trainer, batch, pulled[shard], shard, count));
    Ok((learned, deltas.collect()))
}

fn check(batch: &Batch, pulled: &[&[u8]]) -> Result<(), String> {
    let shards = batch.ids.len();
    if pulled.len() != shards {
        return Err(format!(
            "rows of {} shards, the batch has {shards}",
            pulled.len()
        ));
    }
    for (shard, (rows, ids)) in pulled.iter().zip(&batch.ids).enumerate() {
        if rows.len() != VALUE_BYTES * ids.len() {
            let (bytes, rows) = (rows.len(), ids.len());
            return Err(format!(
                "shard {shard}: {bytes} bytes for {rows} rows of {VALUE_BYTES}"
            ));
        }
        check_rows(rows).map_err(|why| format!("shard {shard}: {why}"))?;
    }
    Ok(())
}

/// What rows that were added up can be.
fn check_rows(rows: &[u8]) -> Result<(), String> {
    let sound = |row: &Row| row.z.is_finite() && row.n.is_finite() && row.n >= 0.0;
    let damaged = parse_values(rows).enumerate().find(|(_, row)| !sound(row));
    damaged.map_or(Ok(()), |(at, Row { z, n })| {
        Err(format!("row {at} is damaged: z {z}, n {n}"))
    })
}

/// Put in the rows that were pulled.
fn put_in(table: &mut Table, batch: &Batch, pulled: &[&[u8]], state_rows: usize) {
    for (shard, (ids, rows)) in batch.ids.iter().zip(pulled).enumerate() {
        let skipped = if shard == 0 { state_rows } else { 0 };
        let mut rows = parse_values(rows).skip(skipped);
        for ids in ids[skipped..].chunks(PUT_TOGETHER) {
            table.prefetch(ids);
            for (&id, row) in ids.iter().zip(rows.by_ref()) {
                if row != Row::default() {
                    table.put(id, row);
                }
            }
        }
    }
}

fn state_of(pulled: &[&[u8]], count: usize) -> [Row; RESERVED] {
    let mut state = [Row::default(); RESERVED];
    let rows = parse_values(pulled[0]);
    state
        .iter_mut()
        .zip(rows.take(count))
        .for_each(|(to, row)| *to = row);
    state
}

fn delta(
    trainer: &Trainer,
    batch: &Batch,
    pulled: &[u8],
    shard: usize,
    state_rows: usize,
) -> Delta {
    let (ids, table) = (&batch.ids[shard], trainer.table());
    let mut delta = Delta {
        ids: Vec::with_capacity(ids.len()),
        values: Vec::with_capacity(ids.len() * VALUE_BYTES),
    };
    let mut rows = parse_values(pulled);
    let skipped = if shard == 0 { state_rows } else { 0 };
    let state = trainer.score_state().to_rows();
    for ((&id, old), new) in ids[..skipped].iter().zip(rows.by_ref()).zip(state) {
        delta.push(id, old, new);
    }
    for ids in ids[skipped..].chunks(PUT_TOGETHER) {
        table.prefetch(ids);
        for (&id, old) in ids.iter().zip(rows.by_ref()) {
            delta.push(id, old, table.get(id).unwrap_or_default());
        }
    }
    delta
}

impl Delta {
    fn push(&mut self, id: u64, old: Row, new: Row) {
        let added = Row {
            z: new.z - old.z,
            n: new.n - old.n,
        };
        if added != Row::default() {
            self.ids.push(id);
            push_values(&mut self.values, added);
        }
    }
}

/// The score state that the rows of ids 0 to 2 stand for.
pub fn score_state(
    options: &LearnerOptions,
    rows: &[u8],
    watermark_us: i64,
) -> Result<ScoreState, String> {
    if rows.len() != RESERVED * VALUE_BYTES {
        return Err(format!(
            "{} bytes for {RESERVED} rows of {VALUE_BYTES}",
            rows.len()
        ));
    }
    check_rows(rows)?;
    let mut state = ScoreState::new(options);
    state.adopt_rows(options, state_of(&[rows], state_rows(options)));
    state.watermark_us = watermark_us;
    Ok(state)
}

fn lock(pool: &Pool) -> std::sync::MutexGuard<'_, Vec<Block>> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "tests/partition.rs"]
mod tests;

#[cfg(test)]
#[path = "tests/batches.rs"]
mod batches;
