//! A map from 64-bit ids to 8 bytes that grows in place, a few buckets at a time.
//!
//! A bucket is one cache line: four ids, then their four values. Id 0 means empty; a bucket fills from its first slot.
//! `home = ⌊hash · buckets / 2^64⌋` keeps the order of hashes, and a full bucket overflows into the next one, so:
//!
//! **Invariant**: every bucket from an id's home up to the one it is in, without that one, is full.
//!
//! A growth round goes from `old` to `new` buckets. Its frontier moves from the right end to the left: an id whose old
//! home is at or right of the frontier lives by the new number of buckets, the others by the old one. One step takes
//! out the cluster that starts at the bucket left of the frontier, moves the frontier there and puts the ids back. So
//! growth is a sequence of small steps, and ids move to the right only (but for those that fill up a hole).

use std::io::{Error, ErrorKind::InvalidInput};

use crate::ahead::Ahead;
use crate::bucket::{
    BUCKET_BYTES, Bucket, EMPTY, Homes, SLOTS, place, prefetch, prefetch_from_afar, slot_of,
    slots_of,
};
pub use crate::bucket::{NOWHERE, Position, bucket_of, hash_of};
use memmap2::{MmapMut, MmapOptions};

const FIRST_BUCKETS: usize = 1024;
/// A table with fewer buckets than this (64 MiB) doubles, a larger one grows by a third.
const DOUBLING_BUCKETS: usize = 1 << 20;
/// A round begins when 7/10 of the slots are taken: 16 / (7/10) = 23 to 23 · 4/3 = 31 bytes a live id of a large table. One
/// id of nine is not in its home bucket then, and a new one finds it full two times of five (at 4/5: of seven, three of five).
const LOAD: (usize, usize) = (7, 10);
/// Buckets moved for each id inserted. A round of n buckets ends within n/8 inserts, so load stays below
/// 7/10 + 1/32.
const STEPS_PER_INSERT: usize = 8;
/// Smaller tables have their memory at once.
const READY_BYTES: usize = 8 << 20;
/// Buckets behind the last home, into which the last ones overflow at the row limit.
const OVERFLOW_BUCKETS: usize = 4096;

/// From 128 MiB on most buckets come from memory.
const FAR_BUCKETS: usize = if cfg!(test) { 1 << 12 } else { 1 << 21 };

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

/// An id taken out of its bucket.
struct Moving {
    id: u64,
    value: u64,
    bucket: usize,
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
            match slot_of(bucket, id) {
                Some(slot) => return Some(place(at, slot)),
                None if bucket[SLOTS - 1] == 0 => return None,
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

    /// Write the home buckets of `ids` to `homes` and ask the processor to fetch them.
    #[inline(always)]
    pub fn aim(&self, ids: &[u64], homes: &mut [u32]) {
        let homes = &mut homes[..ids.len()];
        self.homes().of_all(ids, homes);
        let first = self.buckets().as_ptr();
        let each = homes.iter().map(|&home| first.wrapping_add(home as usize));
        if self.end < FAR_BUCKETS {
            each.for_each(prefetch);
        } else {
            each.for_each(prefetch_from_afar);
        }
    }

    /// Once the buckets that `aim` asked for are there: where one is full and lacks its id, ask for the next two, and let
    /// the next one be its home; it may be said again. Only for a map that no cache holds, where to wait for a bucket takes as long as to learn
    /// an example; what is not found there either is looked for from its true home on.
    #[inline(always)]
    pub fn aim_again(&self, ids: &[u64], homes: &mut [u32]) {
        if self.end < FAR_BUCKETS {
            return;
        }
        let buckets = self.buckets();
        let first = buckets.as_ptr();
        for (&id, home) in ids.iter().zip(homes) {
            let bucket = &buckets[*home as usize];
            let elsewhere = (slots_of(bucket, id) == 0) & (bucket[SLOTS - 1] != 0);
            *home += u32::from(elsewhere);
            let next = first.wrapping_add(*home as usize);
            prefetch_from_afar(next);
            prefetch_from_afar(next.wrapping_add(usize::from(elsewhere)));
        }
    }

    /// Look at the buckets `homes` only: position and value of each id that is in its own, anything for the others, whose
    /// indices are put into `elsewhere`; their number is returned. Values are handed to `take` by fours, with zeros behind
    /// the last. Homes may be out of date: an id that growth moved since then is one of the others. Nothing branches, for
    /// which slot holds an id cannot be predicted.
    #[inline(always)]
    pub fn look(
        &self,
        ids: &[u64],
        homes: &[u32],
        positions: &mut [Position],
        elsewhere: &mut [u32],
        mut take: impl FnMut(usize, [u64; 4]),
    ) -> usize {
        let buckets = self.buckets();
        let mut count = 0;
        let mut look = |index: usize, id: u64, home: u32, position: &mut Position| {
            let at = home as usize;
            let bucket = &buckets[at];
            let slots = slots_of(bucket, id);
            let slot = slots.trailing_zeros() as usize % SLOTS;
            *position = place(at, slot);
            elsewhere[count] = index as u32;
            count += usize::from(slots == 0);
            bucket[SLOTS + slot]
        };
        let (fours, rest) = ids.as_chunks::<4>();
        let (homes_of_fours, homes_of_rest) = homes.as_chunks::<4>();
        let (positions_of_fours, positions_of_rest) = positions.as_chunks_mut::<4>();
        let each = fours.iter().zip(homes_of_fours).zip(positions_of_fours);
        for (four, ((ids, homes), positions)) in each.enumerate() {
            let at = 4 * four;
            take(
                four,
                [
                    look(at, ids[0], homes[0], &mut positions[0]),
                    look(at + 1, ids[1], homes[1], &mut positions[1]),
                    look(at + 2, ids[2], homes[2], &mut positions[2]),
                    look(at + 3, ids[3], homes[3], &mut positions[3]),
                ],
            );
        }
        if !rest.is_empty() {
            let mut values = [0; 4];
            let each = rest.iter().zip(homes_of_rest).zip(positions_of_rest);
            for (lane, ((&id, &home), position)) in each.enumerate() {
                values[lane] = look(4 * fours.len() + lane, id, home, position);
            }
            take(fours.len(), values);
        }
        count
    }

    /// Find `id` or give it a slot with value 0; None at the limit. Call `reserve` before: nothing moves here.
    #[inline]
    pub fn insert(&mut self, id: u64) -> Option<Position> {
        debug_assert_ne!(id, 0);
        let mut at = self.homes().of(id);
        loop {
            let bucket = self.buckets().get(at)?;
            if let Some(slot) = slot_of(bucket, id) {
                return Some(place(at, slot));
            }
            if bucket[SLOTS - 1] == 0 {
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
        let slot = slot_of(bucket, 0)?;
        bucket[slot] = id;
        self.len += 1;
        self.end = self.end.max(at + 1);
        Some(place(at, slot))
    }

    /// Write the values back to their positions, and the `ids` of those that had no bit of `mark` to `unmarked`; return
    /// how many those are.
    #[inline(always)]
    pub fn write(
        &mut self,
        ids: &[u64],
        places: &Places,
        mark: u64,
        unmarked: &mut [u64],
    ) -> usize {
        let words = self.buckets_mut().as_flattened_mut();
        let mut count = 0;
        let places = places.positions.iter().zip(&places.values);
        for (&id, (&position, &value)) in ids.iter().zip(places) {
            if let Some(word) = words.get_mut(position as usize) {
                // Without a branch: written always, kept if it was unmarked.
                unmarked[count] = id;
                count += usize::from(*word & mark == 0);
                *word = value;
            }
        }
        count
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
            (0..SLOTS)
                .filter(|&slot| bucket[slot] != 0)
                .map(|slot| (bucket[slot], bucket[SLOTS + slot]))
        })
    }

    /// The bucket behind `at`; while a round is under way, behind those between the two numbers of buckets that hold nothing
    /// yet: they are as many as a third of the table, and to look at each would take as long as to hand out all of it.
    pub fn next_bucket(&self, at: usize) -> usize {
        let new_home = (self.frontier * self.new / self.old) as usize;
        // No id overflows beyond a bucket that is not full; left of `new_home` there are old homes only.
        if at >= self.frontier as usize && at < new_home && self.buckets()[at][SLOTS - 1] == 0 {
            return new_home;
        }
        at + 1
    }

    /// Every id whose hash lies within `from..=to`, with its value.
    pub fn iter_hashes(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
        let (first, last) = (self.homes().of_hash(from), self.homes().of_hash(to));
        let mut next = last;
        // What does not fit its bucket is in those behind.
        while next < self.end && self.buckets()[next][SLOTS - 1] != 0 {
            next += 1;
        }
        self.iter(first, next + 1)
            .filter(move |&(id, _)| (from..=to).contains(&hash_of(id)))
    }

    /// Apply `change` to every value.
    pub fn for_each_mut(&mut self, mut change: impl FnMut(u64, &mut u64)) {
        let end = self.end;
        for bucket in &mut self.buckets_mut()[..end] {
            let (ids, values) = bucket.split_at_mut(SLOTS);
            for (&id, value) in ids.iter().zip(values).filter(|(id, _)| **id != 0) {
                change(id, value);
            }
        }
    }

    /// Make room for `count` further ids, and take the steps of growth that earlier inserts owe.
    #[inline]
    pub fn reserve(&mut self, count: usize) {
        let owed = self.len.saturating_sub(self.paid);
        self.paid = self.len;
        if self.new != self.old {
            self.steps(owed * STEPS_PER_INSERT);
        }
        if self.len + count > self.ready_at {
            self.make_ready();
        }
        if self.len + count > capacity(self.new as usize) {
            self.grow(count);
        }
    }

    /// Have the memory of the next round's buckets, which lie behind all others, made ready by another thread.
    #[cold]
    fn make_ready(&mut self) {
        self.ready_at = usize::MAX;
        let (from, to) = (self.end * BUCKET_BYTES, self.more() as usize * BUCKET_BYTES);
        if to >= READY_BYTES && to > from {
            // SAFETY: a mapping does not move, and fields are dropped in the order of their declaration.
            self.ahead = unsafe { Ahead::begin(&self.memory, from, to) };
        }
    }

    /// Buckets after the next round.
    fn more(&self) -> u64 {
        let more = if self.new < DOUBLING_BUCKETS as u64 {
            self.new * 2
        } else {
            self.new + self.new / 3
        };
        more.min(self.max_buckets as u64)
    }

    #[cold]
    fn grow(&mut self, count: usize) {
        while self.len + count > capacity(self.new as usize) {
            self.steps(usize::MAX);
            if self.new as usize == self.max_buckets {
                return;
            }
            self.new = self.more();
            self.ready_at = ready_at(self.new as usize);
            self.frontier = self.old;
            self.end = self.end.max(self.new as usize);
            if self.len + count > capacity(self.old as usize) + self.old as usize / 8 {
                self.steps(usize::MAX);
            }
        }
    }

    /// Room for `count` ids in all, at once: for ids that come in the order of their homes, which would otherwise pile up
    /// at the left end of a table that is too small for them.
    pub fn presize(&mut self, count: usize) {
        let wanted = buckets_for(count).min(self.max_buckets) as u64;
        if wanted > self.new {
            self.steps(usize::MAX);
            (self.new, self.frontier) = (wanted, self.old);
            self.ready_at = capacity(wanted as usize);
            self.end = self.end.max(wanted as usize);
            self.steps(usize::MAX);
        }
    }

    fn steps(&mut self, count: usize) {
        let growing = self.new != self.old;
        for _ in 0..count {
            if self.frontier == 0 || !growing {
                break;
            }
            self.take_cluster(self.frontier as usize - 1);
            self.frontier -= 1;
            self.put_back();
        }
        if growing && self.frontier == 0 {
            (self.old, self.frontier) = (self.new, self.new);
        }
    }

    /// Empty the buckets from `at` to the first that is not full.
    fn take_cluster(&mut self, at: usize) {
        let mut moving = std::mem::take(&mut self.moving);
        for (offset, bucket) in self.buckets_mut()[at..].iter_mut().enumerate() {
            let full = bucket[SLOTS - 1] != 0;
            for slot in (0..SLOTS).filter(|&slot| bucket[slot] != 0) {
                moving.push(Moving {
                    id: bucket[slot],
                    value: bucket[SLOTS + slot],
                    bucket: at + offset,
                });
            }
            *bucket = EMPTY;
            if !full {
                break;
            }
        }
        self.moving = moving;
    }

    /// Put what was taken out where it belongs now.
    fn put_back(&mut self) {
        let homes = self.homes();
        let mut moving = std::mem::take(&mut self.moving);
        for Moving {
            id,
            value,
            bucket: from,
        } in moving.drain(..)
        {
            let mut at = homes.of(id);
            let buckets = self.buckets_mut();
            while at + 1 < buckets.len() && buckets[at][SLOTS - 1] != 0 {
                at += 1;
            }
            let slot = slot_of(&buckets[at], 0).unwrap_or(SLOTS - 1);
            buckets[at][slot] = id;
            buckets[at][SLOTS + slot] = value;
            self.end = self.end.max(at + 1);
            let left = at < self.watch;
            if left != (from < self.watch) {
                self.crossings.push(Crossing { id, value, left });
            }
        }
        self.moving = moving;
    }
}

/// Where many ids are, and their values.
#[derive(Default, Debug)]
pub struct Places {
    /// `NOWHERE` where the map is full.
    pub positions: Vec<Position>,
    pub values: Vec<u64>,
}

/// Number of buckets in which `len` ids stay below the load of growth.
fn buckets_for(len: usize) -> usize {
    (len * LOAD.1).div_ceil(LOAD.0 * SLOTS)
}

/// So many ids before a round begins that the first of its memory is there when it does; the round itself takes four
/// times as long, and more than memory does. Earlier, and a table would have more than 32 bytes an id for a while.
fn ready_at(buckets: usize) -> usize {
    capacity(buckets) / 32 * 31
}

fn capacity(buckets: usize) -> usize {
    buckets * SLOTS * LOAD.0 / LOAD.1
}

#[cfg(test)]
#[path = "tests/id_map.rs"]
mod tests;
