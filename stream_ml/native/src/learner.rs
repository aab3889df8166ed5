//! The pipeline: blocks are scanned by as many threads as wished and learned in order by the calling one.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::block::{Block, Refusal};
use crate::trainer::Trainer;

/// A block ends with the record that brings it to one of these; nothing that is learned depends on them.
const BLOCK_RECORDS: usize = 128;
const BLOCK_BYTES: usize = 96 << 10;
/// Blocks scanned ahead of the one being learned.
const BLOCKS_AHEAD: usize = 16;

/// What turns records into examples; each thread has its own.
pub trait Scan: Send {
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
}

pub struct Learner<S> {
    pub trainer: Trainer,
    /// The first belongs to the calling thread.
    scanners: Vec<S>,
    spare: Vec<Block>,
}

/// Records `from..to` of a range.
#[derive(Clone, Copy)]
struct Piece {
    range: usize,
    from: usize,
    to: usize,
}

impl<S: Scan> Learner<S> {
    /// `scanners`: one for the calling thread and one for every scan thread.
    pub fn new(trainer: Trainer, scanners: Vec<S>) -> Learner<S> {
        assert!(!scanners.is_empty(), "the calling thread scans too");
        Learner {
            trainer,
            scanners,
            spare: Vec::new(),
        }
    }

    /// Learn the ranges in order; as many timestamps as values in each.
    pub fn learn<R: AsRef<[u8]> + Sync>(
        &mut self,
        ranges: &[Records<R>],
    ) -> std::io::Result<Learned> {
        let before = self.trainer.counters();
        let mut learned = Learned::default();
        let pieces = cut(ranges);
        let queue = Queue::new(pieces.len(), std::mem::take(&mut self.spare));
        let Learner {
            trainer, scanners, ..
        } = self;
        let done = match scanners.split_first_mut() {
            Some((own, others)) => std::thread::scope(|scope| {
                for scanner in others.iter_mut().take(pieces.len().saturating_sub(1)) {
                    scope.spawn(|| queue.scan_all(scanner, ranges, &pieces));
                }
                queue.learn_all(own, ranges, &pieces, trainer, &mut learned)
            }),
            None => Ok(()),
        };
        self.spare = queue.into_spare();
        for range in ranges {
            self.trainer.count_records(range.values.len());
        }
        let after = self.trainer.counters();
        learned.learned = after.learned - before.learned;
        learned.duplicates = after.duplicates - before.duplicates;
        learned.skipped = after.skipped - before.skipped;
        learned.empty = after.empty - before.empty;
        done.map(|()| learned)
    }
}

fn cut<R: AsRef<[u8]>>(ranges: &[Records<R>]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (range, records) in ranges.iter().enumerate() {
        let (mut from, mut bytes) = (0, 0);
        for (at, value) in records.values.iter().enumerate() {
            bytes += value.as_ref().map_or(0, |value| value.as_ref().len());
            if at + 1 - from == BLOCK_RECORDS
                || bytes >= BLOCK_BYTES
                || at + 1 == records.values.len()
            {
                pieces.push(Piece {
                    range,
                    from,
                    to: at + 1,
                });
                (from, bytes) = (at + 1, 0);
            }
        }
    }
    pieces
}

fn scan<R: AsRef<[u8]>>(
    scanner: &mut impl Scan,
    ranges: &[Records<R>],
    piece: Piece,
    block: &mut Block,
) {
    let Piece { range, from, to } = piece;
    let Records {
        values,
        timestamps_ms,
        ..
    } = &ranges[range];
    block.clear();
    for (at, (value, &timestamp_ms)) in values
        .iter()
        .zip(timestamps_ms)
        .enumerate()
        .take(to)
        .skip(from)
    {
        match value {
            Some(value) => scanner.scan_record(value.as_ref(), at as u32, timestamp_ms, block),
            None => block.empty += 1,
        }
    }
}

/// Blocks between the scanning threads and the learning one.
struct Queue {
    pieces: usize,
    inner: Mutex<Inner>,
    /// A block was scanned.
    ready: Condvar,
    /// There is room to scan ahead again.
    room: Condvar,
}

struct Inner {
    /// The piece to scan next, and the one to learn next.
    scanned: usize,
    learned: usize,
    done: BTreeMap<usize, Block>,
    spare: Vec<Block>,
    /// A thread panicked, or the learning one gave up: nobody may wait for it.
    over: bool,
}

impl Queue {
    fn new(pieces: usize, spare: Vec<Block>) -> Queue {
        let inner = Inner {
            scanned: 0,
            learned: 0,
            done: BTreeMap::new(),
            spare,
            over: false,
        };
        Queue {
            pieces,
            inner: Mutex::new(inner),
            ready: Condvar::new(),
            room: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claim the next piece if it is not too far ahead.
    fn claim(&self, inner: &mut Inner) -> Option<(usize, Block)> {
        if inner.scanned == self.pieces || inner.scanned >= inner.learned + BLOCKS_AHEAD {
            return None;
        }
        inner.scanned += 1;
        Some((inner.scanned - 1, inner.spare.pop().unwrap_or_default()))
    }

    fn scan_all<R: AsRef<[u8]>>(
        &self,
        scanner: &mut impl Scan,
        ranges: &[Records<R>],
        pieces: &[Piece],
    ) {
        let _over = OverOnPanic(self);
        let mut inner = self.lock();
        while !inner.over && inner.scanned < self.pieces {
            let Some((at, mut block)) = self.claim(&mut inner) else {
                inner = self
                    .room
                    .wait(inner)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(inner);
            scan(scanner, ranges, pieces[at], &mut block);
            inner = self.lock();
            inner.done.insert(at, block);
            self.ready.notify_one();
        }
    }

    fn learn_all<R: AsRef<[u8]>>(
        &self,
        scanner: &mut impl Scan,
        ranges: &[Records<R>],
        pieces: &[Piece],
        trainer: &mut Trainer,
        learned: &mut Learned,
    ) -> std::io::Result<()> {
        let _over = Over(self);
        let mut inner = self.lock();
        while inner.learned < self.pieces && !inner.over {
            let next = inner.learned;
            if let Some(mut block) = inner.done.remove(&next) {
                drop(inner);
                let partition = ranges[pieces[next].range].partition;
                trainer.learn(partition, &block, &mut learned.evaluations)?;
                learned
                    .refused
                    .extend(block.refusals.drain(..).map(|refusal| (partition, refusal)));
                inner = self.lock();
                inner.learned += 1;
                inner.spare.push(block);
                // Woken when half of the room is free: waking costs more than scanning a block.
                if inner.scanned <= inner.learned + BLOCKS_AHEAD / 2 {
                    self.room.notify_all();
                }
            } else if let Some((at, mut block)) = self.claim(&mut inner) {
                drop(inner);
                scan(scanner, ranges, pieces[at], &mut block);
                inner = self.lock();
                inner.done.insert(at, block);
            } else {
                inner = self
                    .ready
                    .wait(inner)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
        Ok(())
    }

    fn into_spare(self) -> Vec<Block> {
        self.inner
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
            .spare
    }
}

/// Wakes everyone when the learning thread ends, however it ends.
struct Over<'a>(&'a Queue);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.room.notify_all();
        self.0.ready.notify_all();
    }
}

/// Wakes everyone when a scanning thread panics; the scope hands the panic on.
struct OverOnPanic<'a>(&'a Queue);

impl Drop for OverOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            drop(Over(self.0));
        }
    }
}

#[cfg(test)]
#[path = "tests/learner.rs"]
mod tests;
