//! Many ids at once: their buckets are on their way from memory together, and nothing branches on where they are.

use super::IdMap;
use crate::bucket::{CELLS, Position, cells_of, position_of, prefetch, prefetch_from_afar};

/// From 128 MiB on most buckets come from memory.
const FAR_BUCKETS: usize = if cfg!(test) { 1 << 12 } else { 1 << 21 };

/// Where many ids are, and their values.
#[derive(Default, Debug)]
pub struct Places {
    /// `NOWHERE` where the map is full.
    pub positions: Vec<Position>,
    pub values: Vec<u64>,
}

impl IdMap {
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
            let elsewhere = (cells_of(bucket, id) == 0) & (bucket[CELLS - 1] != 0);
            *home += u32::from(elsewhere);
            let next = first.wrapping_add(*home as usize);
            prefetch_from_afar(next);
            prefetch_from_afar(next.wrapping_add(usize::from(elsewhere)));
        }
    }

    /// Look at the buckets `homes` only: position and value of each id that is in its own, anything for the others, whose
    /// indices are put into `elsewhere`; their number is returned. Values are handed to `take` by fours, with zeros behind
    /// the last. Homes may be out of date: an id that growth moved since then is one of the others. Nothing branches, for
    /// which cell holds an id cannot be predicted.
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
            let cells = cells_of(bucket, id);
            let cell = cells.trailing_zeros() as usize % CELLS;
            *position = position_of(at, cell);
            elsewhere[count] = index as u32;
            count += usize::from(cells == 0);
            bucket[CELLS + cell]
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
}
