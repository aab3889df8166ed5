//! A map from 64-bit ids to 8 bytes that grows in place, a few buckets at a time (`growth`).
//!
//! A bucket is one cache line: four ids, then their four values. Id 0 means empty; a bucket fills from its first cell.
//! `home = ⌊hash · buckets / 2^64⌋` keeps the order of hashes, and a full bucket overflows into the next one, so:
//!
//! **Invariant**: every bucket from an id's home up to the one it is in, without that one, is full.

use std::io::{Error, ErrorKind::InvalidInput};

use crate::ahead::Ahead;
use crate::bucket::{BUCKET_BYTES, Bucket, CELLS, EMPTY, Homes, cell_of, position_of, prefetch};
pub use crate::bucket::{NOWHERE, Position, bucket_of, hash_of};
use growth::{Moving, buckets_for, capacity};
pub use many::Places;
use memmap2::{MmapMut, MmapOptions};

mod growth;
mod many;

const FIRST_BUCKETS: usize = 1024;
/// Buckets behind the last home, into which the last ones overflow at the row limit.
const OVERFLOW_BUCKETS: usize = 4096;

/// So that every position fits 32 bits.
const MAX_LEN: usize = (1 << 30) + 1;

pub struct IdMap {
    /// Makes memory ready; before `memory`, for fields are dropped in this order.
    ahead: Option<Ahead>,
    memory: MmapMut,
    old: u64,
    new: u64,
    /// Equal to `old` when a round begins, and between rounds.
    frontier: u64,
    /// One past the last bucket ever used.
    end: usize,
    len: usize,
    max_len: usize,
    max_buckets: usize,
    /// `len` when growth was last paid for.
    paid: usize,
    /// `len` from which on the memory of the next round is made ready.
    ready_at: usize,
    moving: Vec<Moving>,
    /// Buckets left of it are watched: what moves across it is reported in `crossings`.
    pub(crate) watch: usize,
    pub(crate) crossings: Vec<Crossing>,
}

/// An id that moved to the other side of `watch`.
pub(crate) struct Crossing {
    pub id: u64,
    pub value: u64,
    /// It is left of it now.
    pub left: bool,
}

impl IdMap {
    /// Like `new`; where the system counts reserved address space as used, the limit is lower, `least` at least.
    pub fn new_within(max_len: usize, expected: usize, least: usize) -> std::io::Result<IdMap> {
        let mut map = IdMap::new(max_len, expected);
        let mut len = max_len / 2;
        while map.is_err() && len >= least.max(expected) {
            map = IdMap::new(len, expected);
            len /= 2;
        }
        map
    }

    /// Reserve address space for `max_len` ids; memory is used as ids come. `expected` of them fit without growth.
    pub fn new(max_len: usize, expected: usize) -> std::io::Result<IdMap> {
        if max_len > MAX_LEN {
            return Err(Error::new(
                InvalidInput,
                format!("{max_len} ids; {MAX_LEN} at most"),
            ));
        }
        let max_buckets = buckets_for(max_len).max(FIRST_BUCKETS);
        let buckets = buckets_for(expected.min(max_len)).clamp(FIRST_BUCKETS, max_buckets) as u64;
        let bytes = (max_buckets + OVERFLOW_BUCKETS) * BUCKET_BYTES;
        let memory = MmapOptions::new().len(bytes).no_reserve_swap().map_anon()?;
        #[cfg(target_os = "linux")]
        if bytes >= 16 << 20 {
            // Advice only: without huge pages the table works, slower.
            let _ = memory.advise(memmap2::Advice::HugePage);
        }
        Ok(IdMap {
            ahead: None,
            memory,
            old: buckets,
            new: buckets,
            frontier: buckets,
            end: buckets as usize,
            len: 0,
            max_len,
            max_buckets,
            paid: 0,
            // Of those expected no more are taken to come, until they do.
            ready_at: capacity(buckets as usize),
            moving: Vec::new(),
            watch: 0,
            crossings: Vec::new(),
        })
    }

    /// Take all ids out; the memory stays.
    pub fn clear(&mut self) {
        let end = self.end;
        self.buckets_mut()[..end].fill(EMPTY);
        (self.old, self.frontier, self.end) = (self.new, self.new, self.new as usize);
        (self.len, self.paid) = (0, 0);
        self.ready_at = capacity(self.new as usize);
        self.moving.clear();
        (self.watch, self.crossings) = (0, Vec::new());
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Ids that fit without growth, those that are there included.
    pub fn room(&self) -> usize {
        capacity(self.new as usize)
    }

    /// Bytes of the buckets in use.
    pub fn bytes(&self) -> usize {
        self.end * BUCKET_BYTES
    }

    /// One past the last bucket that may hold an id.
    pub fn end(&self) -> usize {
        self.end
    }

    #[inline(always)]
    fn buckets(&self) -> &[Bucket] {
        bytemuck::cast_slice(&self.memory[..])
    }

    #[inline(always)]
    fn buckets_mut(&mut self) -> &mut [Bucket] {
        bytemuck::cast_slice_mut(&mut self.memory[..])
    }

    #[inline(always)]
    fn homes(&self) -> Homes {
        Homes {
            old: self.old,
            new: self.new,
            frontier: self.frontier,
        }
    }

    /// Ask the processor to fetch the home buckets of `ids`.
    #[inline]
    pub fn prefetch(&self, ids: &[u64]) {
        let (homes, buckets) = (self.homes(), self.buckets());
        for &id in ids {
            if let Some(bucket) = buckets.get(homes.of(id)) {
                prefetch(bucket);
            }
        }
    }

    #[inline]
    pub fn find(&self, id: u64) -> Option<Position> {
        if id == 0 {
            return None;
        }
        let buckets = self.buckets();
        let mut at = self.homes().of(id);
        loop {
            let bucket = buckets.get(at)?;
            match cell_of(bucket, id) {
                Some(cell) => return Some(position_of(at, cell)),
                None if bucket[CELLS - 1] == 0 => return None,
                None => at += 1,
            }
        }
    }

    #[inline]
    pub fn get(&self, id: u64) -> Option<u64> {
        self.find(id).map(|position| self.value(position))
    }

    #[inline(always)]
    pub fn value(&self, position: Position) -> u64 {
        self.buckets().as_flattened()[position as usize]
    }

    #[inline(always)]
    pub fn value_mut(&mut self, position: Position) -> &mut u64 {
        &mut self.buckets_mut().as_flattened_mut()[position as usize]
    }

    /// Find `id` or give it a cell with value 0; None at the limit. Call `reserve` before: nothing moves here.
    #[inline]
    pub fn insert(&mut self, id: u64) -> Option<Position> {
        debug_assert_ne!(id, 0);
        let mut at = self.homes().of(id);
        loop {
            let bucket = self.buckets().get(at)?;
            if let Some(cell) = cell_of(bucket, id) {
                return Some(position_of(at, cell));
            }
            if bucket[CELLS - 1] == 0 {
                return self.fill(at, id);
            }
            at += 1;
        }
    }

    fn fill(&mut self, at: usize, id: u64) -> Option<Position> {
        if self.len >= self.max_len {
            return None;
        }
        let bucket = &mut self.buckets_mut()[at];
        let cell = cell_of(bucket, 0)?;
        bucket[cell] = id;
        self.len += 1;
        self.end = self.end.max(at + 1);
        Some(position_of(at, cell))
    }

    /// Set the value of `id`; false at the limit.
    pub fn put(&mut self, id: u64, value: u64) -> bool {
        self.reserve(1);
        match self.insert(id) {
            Some(position) => {
                *self.value_mut(position) = value;
                true
            }
            None => false,
        }
    }

    /// Take `id` out; its value if it was there.
    pub fn remove(&mut self, id: u64) -> Option<u64> {
        let position = self.find(id)?;
        let at = bucket_of(position);
        let value = self.value(position);
        self.take_cluster(at);
        self.moving.retain(|moving| moving.id != id);
        self.len -= 1;
        self.put_back();
        Some(value)
    }

    /// Every id with its value in buckets `from..to`.
    pub fn iter(&self, from: usize, to: usize) -> impl Iterator<Item = (u64, u64)> {
        let to = to.min(self.end);
        self.buckets()[from.min(to)..to].iter().flat_map(|bucket| {
            (0..CELLS)
                .filter(|&cell| bucket[cell] != 0)
                .map(|cell| (bucket[cell], bucket[CELLS + cell]))
        })
    }

    /// The bucket behind `at`; while a round is under way, behind those between the two numbers of buckets that hold nothing
    /// yet: they are as many as a third of the table, and to look at each would take as long as to hand out all of it.
    pub fn next_bucket(&self, at: usize) -> usize {
        let new_home = (self.frontier * self.new / self.old) as usize;
        // No id overflows beyond a bucket that is not full; left of `new_home` there are old homes only.
        if at >= self.frontier as usize && at < new_home && self.buckets()[at][CELLS - 1] == 0 {
            return new_home;
        }
        at + 1
    }

    /// Every id whose hash lies within `from..=to`, with its value.
    pub fn iter_hashes(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
        let (first, last) = (self.homes().of_hash(from), self.homes().of_hash(to));
        let mut next = last;
        // What does not fit its bucket is in those behind.
        while next < self.end && self.buckets()[next][CELLS - 1] != 0 {
            next += 1;
        }
        self.iter(first, next + 1)
            .filter(move |&(id, _)| (from..=to).contains(&hash_of(id)))
    }

    /// Apply `change` to every value.
    pub fn for_each_mut(&mut self, mut change: impl FnMut(u64, &mut u64)) {
        let end = self.end;
        for bucket in &mut self.buckets_mut()[..end] {
            let (ids, values) = bucket.split_at_mut(CELLS);
            for (&id, value) in ids.iter().zip(values).filter(|(id, _)| **id != 0) {
                change(id, value);
            }
        }
    }
}

#[cfg(test)]
#[path = "tests/id_map.rs"]
mod tests;
