//! The distinct ids among very many: a set whose places follow the ids, which are hashes themselves.

use crate::bucket::{hash_of, prefetch};

const FIRST_BITS: u32 = 12;
/// Places of this many ids ahead are on their way from memory.
const AHEAD: usize = 16;
/// Of the ids that were seen last, one for each value of so many bits of the hash: most that come are frequent ones, and
/// these are found without the places, in the processor's first cache.
const RECENT_BITS: u32 = 12;

pub struct Distinct {
    /// An id or 0; one that finds its place taken goes to the next free one.
    places: Vec<u64>,
    bits: u32,
    /// What is in the places.
    ids: Vec<u64>,
    recent: Vec<u64>,
    /// Those of a call that were not seen of late.
    rare: Vec<u64>,
}

impl Distinct {
    pub fn new() -> Distinct {
        Distinct {
            places: vec![0; 1 << FIRST_BITS],
            bits: FIRST_BITS,
            ids: Vec::new(),
            recent: vec![0; 1 << RECENT_BITS],
            rare: Vec::new(),
        }
    }

    /// None of them is 0.
    pub fn add(&mut self, ids: &[u64]) {
        let mut rare = std::mem::take(&mut self.rare);
        rare.resize(rare.len().max(ids.len()), 0);
        let mut count = 0;
        for &id in ids {
            let recent = &mut self.recent[(hash_of(id) >> (u64::BITS - RECENT_BITS)) as usize];
            // Without a branch: written always, kept if it is another.
            rare[count] = id;
            count += usize::from(*recent != id);
            *recent = id;
        }
        self.insert_all(&rare[..count]);
        self.rare = rare;
    }

    fn insert_all(&mut self, ids: &[u64]) {
        for (at, &id) in ids.iter().enumerate() {
            if let Some(&later) = ids.get(at + AHEAD) {
                let place = self.places.as_ptr().wrapping_add(self.home(later));
                prefetch(place.cast());
            }
            self.insert(id);
        }
    }

    /// All ids, ascending; the set is empty then.
    pub fn take(&mut self) -> Vec<u64> {
        let mut ids = std::mem::take(&mut self.ids);
        // A set that became large for one batch does not stay so for the small ones.
        let bits = bits_for(ids.len()).min(self.bits);
        self.clear(bits);
        self.recent.fill(0);
        ids.sort_unstable();
        ids
    }

    #[inline(always)]
    fn home(&self, id: u64) -> usize {
        (hash_of(id) >> (u64::BITS - self.bits)) as usize
    }

    #[inline(always)]
    fn insert(&mut self, id: u64) {
        let last = self.places.len() - 1;
        let mut at = self.home(id);
        loop {
            let place = &mut self.places[at & last];
            if *place == id {
                return;
            }
            if *place == 0 {
                *place = id;
                break;
            }
            at += 1;
        }
        self.ids.push(id);
        // Half of them taken: a new id looks at 2.5 places, one that is there at 1.5.
        if 2 * self.ids.len() > self.places.len() {
            self.grow();
        }
    }

    #[cold]
    fn grow(&mut self) {
        let ids = std::mem::take(&mut self.ids);
        self.clear(self.bits + 1);
        self.ids.reserve(2 * ids.len());
        self.insert_all(&ids);
    }

    fn clear(&mut self, bits: u32) {
        self.bits = bits;
        self.places.clear();
        self.places.resize(1 << bits, 0);
    }
}

/// For so many ids and some more.
fn bits_for(len: usize) -> u32 {
    (4 * len.max(1)).next_power_of_two().ilog2().max(FIRST_BITS)
}

#[cfg(test)]
#[path = "tests/distinct.rs"]
mod tests;
