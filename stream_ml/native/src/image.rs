//! A fuzzy image of a table: rows are handed out while learning changes them, and what changed is handed out again.
//!
//! A cursor goes over the buckets once. A row left of it that changes (as the cuts tell), or one that moves across it to
//! the left, is handed out again in a further pass; passes go on until little is left, as in the live migration of
//! machines. `seal` hands out the rest: after it, rows handed out later override earlier ones, then removals apply.

use crate::id_map::{Crossing, IdMap, Position, bucket_of};
use crate::options::MAX_ROWS;
use crate::rows::{self, CHANGED, Row};
use crate::table::Table;

/// Further passes, at most: if rows change as fast as they are handed out, the rest is left to `seal`.
const MAX_PASSES: u32 = 8;

/// Rows that are handed out again are asked for so many buckets of their set ahead…
const BUCKETS_AHEAD: usize = 16;
/// …and at the seal so many together.
const ROWS_TOGETHER: usize = 64;

#[derive(Default)]
pub struct Image {
    /// Ids handed out and changed since: a set that never stalls. Made when it is first needed.
    dirty: Option<IdMap>,
    /// What the pass in progress hands out again, and how many of its buckets it has done.
    again: Option<(IdMap, usize)>,
    /// Ids for which there is no address space in the set.
    spilled: Vec<u64>,
    passes: u32,
    /// Order-free hash of the rows left of the cursor, kept up to date.
    hash: u64,
    pub(crate) removed: Vec<u64>,
}

impl Image {
    /// A cut found the row changed.
    #[inline]
    pub(crate) fn changed(&mut self, map: &IdMap, id: u64, position: Position) {
        if bucket_of(position) < map.watch {
            self.hand_out_again(id);
        }
    }

    pub(crate) fn hand_out_again(&mut self, id: u64) {
        if self.dirty.is_none() {
            self.dirty = IdMap::new_within(MAX_ROWS, 0, 1).ok();
        }
        if !self
            .dirty
            .as_mut()
            .is_some_and(|dirty| dirty.put(scattered(id), 0))
        {
            self.spilled.push(id);
        }
    }

    /// A value left of the cursor came, changed or went.
    #[inline]
    pub(crate) fn count(
        &mut self,
        map: &IdMap,
        id: u64,
        position: Position,
        old: Option<u64>,
        new: Option<u64>,
    ) {
        if bucket_of(position) < map.watch {
            let hash = |value: Option<u64>| value.map_or(0, |value| rows::row_hash(id, value));
            self.hash = self.hash.wrapping_add(hash(new)).wrapping_sub(hash(old));
        }
    }
}

/// An id as the sets hold it. A cut that goes over the table gives ids in the order of their homes; put like that into a
/// set that is still small, they would all pile up at its left end, and each would look through all before it.
fn scattered(id: u64) -> u64 {
    id.rotate_left(32)
}

/// The id that was scattered.
fn gathered(id: u64) -> u64 {
    id.rotate_right(32)
}

/// What makes an image exact.
pub struct Sealed {
    pub rows: Vec<u8>,
    pub removed: Vec<u8>,
    pub total_rows: usize,
    pub rows_hash: u64,
}

impl Table {
    /// Start an image; one that was in progress is forgotten.
    pub fn begin_image(&mut self) {
        self.map.watch = 0;
        self.image = Some(Image::default());
    }

    /// Up to about `max_rows` (never more than a bucket beyond) rows; none when little is left. Cut between the calls.
    pub fn take_image(&mut self, max_rows: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(mut image) = self.image.take() {
            self.take_first(&mut image, max_rows, &mut bytes);
            if bytes.is_empty() {
                self.take_again(&mut image, max_rows, &mut bytes);
            }
            self.image = Some(image);
        }
        bytes
    }

    fn take_first(&mut self, image: &mut Image, max_rows: usize, bytes: &mut Vec<u8>) {
        while self.map.watch < self.map.end() && bytes.len() < max_rows * rows::ROW_BYTES {
            for (id, value) in self.map.iter(self.map.watch, self.map.watch + 1) {
                rows::push_row(bytes, id, Row::unpack(value));
                image.hash = image.hash.wrapping_add(rows::row_hash(id, value));
            }
            self.map.watch = self.map.next_bucket(self.map.watch);
        }
        if self.map.watch >= self.map.end() {
            // Growth may put rows further right: they have been handed out, so that is not looked at again.
            self.map.watch = usize::MAX;
        }
    }

    fn take_again(&self, image: &mut Image, max_rows: usize, bytes: &mut Vec<u8>) {
        let much = image
            .dirty
            .as_ref()
            .is_some_and(|dirty| dirty.len() > max_rows);
        if image.again.is_none() && image.passes < MAX_PASSES && much {
            image.again = image.dirty.take().map(|dirty| (dirty, 0));
            image.passes += 1;
        }
        let Some((ids, done)) = &mut image.again else {
            return;
        };
        while *done < ids.end() && bytes.len() < max_rows * rows::ROW_BYTES {
            let next = ids.next_bucket(*done);
            // The next ones are on their way from memory meanwhile.
            for (id, _) in ids.iter(next + BUCKETS_AHEAD, next + BUCKETS_AHEAD + 1) {
                self.map.prefetch(&[gathered(id)]);
            }
            let some = ids.iter(*done, *done + 1).map(|(id, _)| gathered(id));
            self.push_live(some, bytes);
            *done = next;
        }
        if *done >= ids.end() {
            image.again = None;
        }
    }

    fn push_live(&self, ids: impl Iterator<Item = u64>, bytes: &mut Vec<u8>) {
        for id in ids {
            if let Some(row) = self.get(id) {
                rows::push_row(bytes, id, row);
            }
        }
    }

    /// Growth or a removal moved rows across the cursor.
    #[cold]
    pub(crate) fn note_crossings(&mut self) {
        for Crossing { id, value, left } in self.map.crossings.drain(..) {
            let Some(image) = &mut self.image else {
                continue;
            };
            let hash = rows::row_hash(id, value);
            if left {
                image.hash = image.hash.wrapping_add(hash);
                image.hand_out_again(id);
            } else {
                image.hash = image.hash.wrapping_sub(hash);
            }
        }
    }

    /// End the image: everything not handed out as it is now. Without one in progress, that is everything.
    pub fn seal_image(&mut self) -> Sealed {
        let mut bytes = Vec::new();
        let mut image = self.image.take().unwrap_or_default();
        self.take_first(&mut image, usize::MAX / rows::ROW_BYTES, &mut bytes);
        let again = image
            .again
            .iter()
            .flat_map(|(ids, done)| ids.iter(*done, usize::MAX));
        let dirty = image.dirty.iter().flat_map(|ids| ids.iter(0, usize::MAX));
        let ids = again
            .chain(dirty)
            .map(|(id, _)| gathered(id))
            .chain(image.spilled)
            .chain(self.changed.iter().copied());
        let ids: Vec<u64> = ids.collect();
        for some in ids.chunks(ROWS_TOGETHER) {
            self.map.prefetch(some);
            self.push_live(some.iter().copied(), &mut bytes);
        }
        if self.unlisted {
            let changed = self
                .map
                .iter(0, usize::MAX)
                .filter(|(_, value)| value & CHANGED != 0);
            changed.for_each(|(id, value)| rows::push_row(&mut bytes, id, Row::unpack(value)));
        }
        self.map.watch = 0;
        let gone = image
            .removed
            .iter()
            .filter(|id| self.map.find(**id).is_none());
        let removed = gone.flat_map(|id| id.to_le_bytes()).collect();
        Sealed {
            rows: bytes,
            removed,
            total_rows: self.len(),
            rows_hash: image.hash,
        }
    }
}

#[cfg(test)]
#[path = "tests/image.rs"]
mod tests;
