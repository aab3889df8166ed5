//! Which slots of an example have no feature, and in how many examples each has none.

/// So many slots of a plan are noted, the first ones.
pub const NOTED_SLOTS: usize = 256;
const WORD: usize = u64::BITS as usize;
/// Examples that a few additions count together; bits of such a count.
pub const TOGETHER: usize = (1 << PLANES) - 1;
const PLANES: usize = 7;

/// Words that a plan of so many slots notes for an example.
pub fn words_of(slots: usize) -> usize {
    slots.min(NOTED_SLOTS).div_ceil(WORD)
}

/// A bit for each slot that has no feature.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AbsentSlots([u64; NOTED_SLOTS / WORD]);

impl AbsentSlots {
    #[inline(always)]
    pub fn note(&mut self, slot: usize) {
        if let Some(word) = self.0.get_mut(slot / WORD) {
            *word |= 1 << (slot % WORD);
        }
    }

    pub fn words(&self, count: usize) -> &[u64] {
        &self.0[..count]
    }
}

/// Up to `TOGETHER` examples, counted for all slots of a word at once: bit k of each count is in plane k.
#[derive(Default)]
pub struct Together {
    planes: [[u64; PLANES]; NOTED_SLOTS / WORD],
}

impl Together {
    #[inline(always)]
    pub fn add(&mut self, absent: &[u64]) {
        for (planes, &word) in self.planes.iter_mut().zip(absent) {
            let mut carry = word;
            for plane in planes {
                let both = *plane & carry;
                *plane ^= carry;
                carry = both;
            }
        }
    }

    /// Add what was counted to `counts`, a number for each slot, and begin again.
    #[inline(always)]
    pub fn count_into(&mut self, counts: &mut [u64]) {
        for (planes, counts) in self.planes.iter().zip(counts.chunks_mut(WORD)) {
            for (bit, count) in counts.iter_mut().enumerate() {
                let bits = planes.iter().enumerate();
                *count += bits.fold(0, |sum, (k, plane)| sum + ((plane >> bit & 1) << k));
            }
        }
        *self = Together::default();
    }
}

#[cfg(test)]
#[path = "tests/absent.rs"]
mod tests;
