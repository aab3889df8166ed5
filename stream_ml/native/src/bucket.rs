//! One cache line of the table: four ids, then their four values; and where ids live.

use std::hint::select_unpredictable;

/// Cells of a bucket.
pub const CELLS: usize = 4;
pub const BUCKET_BYTES: usize = 64;
/// Four ids, then four values.
pub type Bucket = [u64; 2 * CELLS];
pub const EMPTY: Bucket = [0; 2 * CELLS];

/// Where an id's value is, in words of 8 bytes from the start. Valid until the next `reserve`, `insert` of another batch, or `remove`.
pub type Position = u32;
/// Of an id that found no room.
pub const NOWHERE: Position = Position::MAX;

#[inline(always)]
pub fn position_of(bucket: usize, cell: usize) -> Position {
    (bucket * 2 * CELLS + CELLS + cell) as Position
}

/// The bucket that a position lies in.
#[inline(always)]
pub fn bucket_of(position: Position) -> usize {
    position as usize / (2 * CELLS)
}

/// Where ids live while a round is under way.
#[derive(Clone, Copy)]
pub struct Homes {
    pub old: u64,
    pub new: u64,
    pub frontier: u64,
}

impl Homes {
    #[inline(always)]
    pub fn of(self, id: u64) -> usize {
        self.of_hash(hash_of(id))
    }

    /// It never decreases from one hash to a higher one.
    #[inline(always)]
    pub fn of_hash(self, hash: u64) -> usize {
        let home = scaled(hash, self.old);
        // On which side of the frontier an id lies cannot be predicted.
        select_unpredictable(home < self.frontier, home, scaled(hash, self.new)) as usize
    }

    /// Those of many ids.
    #[inline(always)]
    pub fn of_all(self, ids: &[u64], homes: &mut [u32]) {
        let each = ids.iter().zip(homes);
        if self.old == self.new {
            each.for_each(|(&id, home)| *home = scaled(hash_of(id), self.new) as u32);
        } else {
            each.for_each(|(&id, home)| *home = self.of(id) as u32);
        }
    }
}

/// `⌊hash · buckets / 2^64⌋` of fewer than 2^32 buckets, by halves: so the compiler makes vectors of many.
#[inline(always)]
fn scaled(hash: u64, buckets: u64) -> u64 {
    let (upper, lower) = (hash >> 32, hash & u64::from(u32::MAX));
    (upper * buckets + ((lower * buckets) >> 32)) >> 32
}

/// An odd factor (2^64 / golden ratio) spreads ids that are no hashes, too; it loses nothing of those that are.
#[inline(always)]
pub fn hash_of(id: u64) -> u64 {
    id.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// One bit for every cell that holds `id`.
#[inline(always)]
pub fn cells_of(bucket: &Bucket, id: u64) -> u32 {
    bucket[..CELLS]
        .iter()
        .enumerate()
        .fold(0, |cells, (cell, &other)| {
            cells | u32::from(other == id) << cell
        })
}

/// First cell that holds `id`.
#[inline(always)]
pub fn cell_of(bucket: &Bucket, id: u64) -> Option<usize> {
    let cells = cells_of(bucket, id);
    (cells != 0).then(|| cells.trailing_zeros() as usize)
}

#[inline(always)]
pub fn prefetch(bucket: *const Bucket) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; it reads nothing that the program can see and never faults, wherever it points.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(bucket.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bucket;
}

/// Into the second-level cache only: where very many miss at a time, none is dropped, and they hold up less.
#[inline(always)]
pub fn prefetch_from_afar(bucket: *const Bucket) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: as above.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(bucket.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bucket;
}

#[cfg(test)]
#[path = "tests/bucket.rs"]
mod tests;
