//! A fuzzy image of a table: rows are handed out while learning changes them, and what changed is handed out again.
//!
//! A cursor goes over the buckets once. A row left of it that changes (as the cuts tell), or one that moves across it to
//! the left, is handed out again in a further pass; passes go on until little is left, as in the live migration of
//! machines. `seal` hands out the rest: after it, rows handed out later override earlier ones, then removals apply.

use std::collections::HashSet;

use crate::id_map::{Position, bucket_of};
use crate::rows::{self, CHANGED, Row};
use crate::table::Table;

/// Further passes, at most: if rows change as fast as they are handed out, the rest is left to `seal`.
const MAX_PASSES: u32 = 8;

#[derive(Default)]
pub struct Image {
    /// Handed out and changed since.
    dirty: HashSet<u64>,
    /// What the pass in progress still hands out again.
    again: Vec<u64>,
    passes: u32,
    pub(crate) removed: Vec<u64>,
}

impl Image {
    /// A cut found the row changed.
    #[inline]
    pub(crate) fn changed(&mut self, id: u64, position: Position, watch: usize) {
        if bucket_of(position) < watch {
            self.dirty.insert(id);
        }
    }
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
        self.map.moved_left.clear();
        self.image = Some(Image::default());
    }

    /// Up to about `max_rows` (never more than a bucket beyond) rows; none when little is left. Cut between the calls.
    pub fn take_image(&mut self, max_rows: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Some(mut image) = self.image.take() else {
            return bytes;
        };
        self.take_first(max_rows, &mut bytes);
        if bytes.is_empty() {
            self.take_again(&mut image, max_rows, &mut bytes);
        }
        self.image = Some(image);
        bytes
    }

    fn take_first(&mut self, max_rows: usize, bytes: &mut Vec<u8>) {
        while self.map.watch < self.map.end() && bytes.len() < max_rows * rows::ROW_BYTES {
            for (id, value) in self.map.iter(self.map.watch, self.map.watch + 1) {
                rows::push_row(bytes, id, Row::unpack(value));
            }
            self.map.watch += 1;
        }
        if self.map.watch >= self.map.end() {
            // Growth may put rows further right: they have been handed out, so that is not looked at again.
            self.map.watch = usize::MAX;
        }
    }

    fn take_again(&mut self, image: &mut Image, max_rows: usize, bytes: &mut Vec<u8>) {
        image.dirty.extend(self.map.moved_left.drain(..));
        if image.again.is_empty() && image.passes < MAX_PASSES && image.dirty.len() > max_rows {
            image.again = image.dirty.drain().collect();
            image.passes += 1;
        }
        let from = image.again.len().saturating_sub(max_rows);
        self.push_live(&image.again[from..], bytes);
        image.again.truncate(from);
    }

    fn push_live(&self, ids: &[u64], bytes: &mut Vec<u8>) {
        for &id in ids {
            if let Some(row) = self.get(id) {
                rows::push_row(bytes, id, row);
            }
        }
    }

    /// End the image: everything not handed out as it is now.
    pub fn seal_image(&mut self) -> Sealed {
        let mut bytes = Vec::new();
        self.take_first(usize::MAX / rows::ROW_BYTES, &mut bytes);
        let image = self.image.take().unwrap_or_default();
        let mut ids: Vec<u64> = self
            .map
            .moved_left
            .drain(..)
            .chain(image.dirty)
            .chain(image.again)
            .collect();
        ids.extend_from_slice(&self.changed);
        self.push_live(&ids, &mut bytes);
        if self.unlisted {
            for (id, value) in self
                .map
                .iter(0, usize::MAX)
                .filter(|(_, value)| value & CHANGED != 0)
            {
                rows::push_row(&mut bytes, id, Row::unpack(value));
            }
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
            rows_hash: self.hash(),
        }
    }
}
