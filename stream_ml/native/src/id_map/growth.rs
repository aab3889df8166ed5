//! Growth of a map, in place.
//!
//! A growth round goes from `old` to `new` buckets. Its frontier moves from the right end to the left: an id whose old
//! home is at or right of the frontier lives by the new number of buckets, the others by the old one. One step takes
//! out the cluster that starts at the bucket left of the frontier, moves the frontier there and puts the ids back. So
//! growth is a sequence of small steps, and ids move to the right only (but for those that fill up a hole).

use super::{Crossing, IdMap};
use crate::ahead::Ahead;
use crate::bucket::{BUCKET_BYTES, CELLS, EMPTY, cell_of};

/// A table with fewer buckets than this (64 MiB) doubles, a larger one grows by a third.
const DOUBLING_BUCKETS: usize = 1 << 20;
/// A round begins when 7/10 of the cells are taken: 16 / (7/10) = 23 to 23 · 4/3 = 31 bytes a live id of a large table. One
/// id of nine is not in its home bucket then, and a new one finds it full two times of five (at 4/5: of seven, three of five).
const LOAD: (usize, usize) = (7, 10);
/// Buckets moved for each id inserted. A round of n buckets ends within n/8 inserts, so load stays below
/// 7/10 + 1/32.
pub(super) const STEPS_PER_INSERT: usize = 8;
/// Smaller tables have their memory at once.
pub(super) const READY_BYTES: usize = 8 << 20;

/// An id taken out of its bucket.
pub(super) struct Moving {
    pub(super) id: u64,
    value: u64,
    bucket: usize,
}

impl IdMap {
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
    pub(super) fn more(&self) -> u64 {
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
    pub(super) fn take_cluster(&mut self, at: usize) {
        let mut moving = std::mem::take(&mut self.moving);
        for (offset, bucket) in self.buckets_mut()[at..].iter_mut().enumerate() {
            let full = bucket[CELLS - 1] != 0;
            for cell in (0..CELLS).filter(|&cell| bucket[cell] != 0) {
                moving.push(Moving {
                    id: bucket[cell],
                    value: bucket[CELLS + cell],
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
    pub(super) fn put_back(&mut self) {
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
            while at + 1 < buckets.len() && buckets[at][CELLS - 1] != 0 {
                at += 1;
            }
            let cell = cell_of(&buckets[at], 0).unwrap_or(CELLS - 1);
            buckets[at][cell] = id;
            buckets[at][CELLS + cell] = value;
            self.end = self.end.max(at + 1);
            let left = at < self.watch;
            if left != (from < self.watch) {
                self.crossings.push(Crossing { id, value, left });
            }
        }
        self.moving = moving;
    }
}

/// Number of buckets in which `len` ids stay below the load of growth.
pub(super) fn buckets_for(len: usize) -> usize {
    (len * LOAD.1).div_ceil(LOAD.0 * CELLS)
}

/// So many ids before a round begins that the first of its memory is there when it does; the round itself takes four
/// times as long, and more than memory does. Earlier, and a table would have more than 32 bytes an id for a while.
fn ready_at(buckets: usize) -> usize {
    capacity(buckets) / 32 * 31
}

pub(super) fn capacity(buckets: usize) -> usize {
    buckets * CELLS * LOAD.0 / LOAD.1
}
