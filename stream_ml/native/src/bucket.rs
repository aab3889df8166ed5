//! One cache line of the table: four ids, then their four values; and where ids live.

use std::hint::select_unpredictable;

/// Slots of a bucket.
pub const SLOTS: usize = 4;
pub const BUCKET_BYTES: usize = 64;
/// Four ids, then four values.
pub type Bucket = [u64; 2 * SLOTS];
pub const EMPTY: Bucket = [0; 2 * SLOTS];

/// Place of an id's value, in words of 8 bytes from the start. Valid until the next `reserve`, `insert` of another batch, or `remove`.
pub type Position = u32;
/// Of an id that found no place.
pub const NOWHERE: Position = Position::MAX;

#[inline(always)]
pub fn place(bucket: usize, slot: usize) -> Position {
    (bucket * 2 * SLOTS + SLOTS + slot) as Position
}

/// The bucket that a position lies in.
#[inline(always)]
pub fn bucket_of(position: Position) -> usize {
    position as usize / (2 * SLOTS)
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

/// One bit for every slot that holds `id`.
#[inline(always)]
pub fn slots_of(bucket: &Bucket, id: u64) -> u32 {
    bucket[..SLOTS]
        .iter()
        .enumerate()
        .fold(0, |slots, (slot, &other)| {
            slots | u32::from(other == id) << slot
        })
}

/// First slot that holds `id`.
#[inline(always)]
pub fn slot_of(bucket: &Bucket, id: u64) -> Option<usize> {
    let slots = slots_of(bucket, id);
    (slots != 0).then(|| slots.trailing_zeros() as usize)
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
