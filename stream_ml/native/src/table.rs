//! The rows of a model, and which of them changed since the last cut.

use crate::id_map::{IdMap, NOWHERE, Places, Position, hash_of};
use crate::image::Image;
use crate::rows::{self, CHANGED, Columns, ROW_BYTES, Row, parse_rows};

/// Rows a table may hold, unless told otherwise.
pub const MAX_ROWS: usize = 1 << 30;
/// A list of more changed ids than this and than an eighth of the rows is dropped: the cut looks at every row then.
const MIN_LIST: usize = if cfg!(test) { 1 << 12 } else { 1 << 20 };

/// Rows put in at a time: their places are on their way from memory together.
const LOADED_TOGETHER: usize = 64;
/// From fewer rows nothing is concluded about the rest.
const MIN_SAMPLE: usize = 1_000;

pub struct Table {
    pub(crate) map: IdMap,
    pub(crate) changed: Vec<u64>,
    /// The list of changed ids was dropped.
    pub(crate) unlisted: bool,
    removed: Vec<u64>,
    pub(crate) image: Option<Image>,
    /// Features left out because the table was full.
    pub refused: u64,
    fresh: Vec<u64>,
}

impl Table {
    /// An error is what the system says when it has no address space; where it counts reserved space as used, the table
    /// holds fewer rows.
    pub fn new(max_rows: usize, expected_rows: usize) -> std::io::Result<Table> {
        Ok(Table {
            map: IdMap::new_within(max_rows, expected_rows, MIN_LIST)?,
            changed: Vec::new(),
            unlisted: false,
            removed: Vec::new(),
            image: None,
            refused: 0,
            fresh: Vec::new(),
        })
    }

    /// Live rows.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Bytes of memory in use.
    pub fn bytes(&self) -> usize {
        self.map.bytes()
    }

    #[inline]
    pub fn prefetch(&self, ids: &[u64]) {
        self.map.prefetch(ids);
    }

    pub fn get(&self, id: u64) -> Option<Row> {
        self.map.get(id).map(Row::unpack)
    }

    /// Find the home buckets of `ids` and ask the processor to fetch them; `take` wants them some examples later.
    #[inline(always)]
    pub fn aim(&self, ids: &[u64], homes: &mut [u32]) {
        self.map.aim(ids, homes);
    }

    /// Read the rows of `ids` into `columns`; an unseen id is a zero row.
    #[inline(always)]
    pub fn read(&self, ids: &[u64], columns: &mut Columns) {
        let Columns {
            places,
            homes,
            elsewhere,
            ..
        } = columns;
        homes.resize(ids.len(), 0);
        self.map.aim(ids, homes);
        let count = self.map.look(ids, homes, places, elsewhere);
        for index in elsewhere[..count].iter().map(|&index| index as usize) {
            places.values[index] = self.map.get(ids[index]).unwrap_or(0);
        }
        columns.unpack();
    }

    /// Like `read`, but an unseen id gets a row, and `write` can follow. No row moves in between.
    #[inline(always)]
    pub fn take(&mut self, ids: &[u64], homes: &[u32], columns: &mut Columns) {
        self.reserve(ids.len());
        let Columns {
            places, elsewhere, ..
        } = columns;
        let count = self.map.look(ids, homes, places, elsewhere);
        for index in elsewhere[..count].iter().map(|&index| index as usize) {
            let position = self.insert(ids[index]);
            self.refused += u64::from(position.is_none());
            places.positions[index] = position.unwrap_or(NOWHERE);
            places.values[index] = position.map_or(0, |position| self.map.value(position));
        }
        columns.unpack();
    }

    #[inline(always)]
    fn reserve(&mut self, count: usize) {
        self.map.reserve(count);
        if !self.map.crossings.is_empty() {
            self.note_crossings();
        }
    }

    #[inline]
    fn insert(&mut self, id: u64) -> Option<Position> {
        let known = self.map.len();
        let position = self.map.insert(id)?;
        if let Some(image) = &mut self.image
            && self.map.len() > known
        {
            image.count(&self.map, id, position, None, Some(0));
        }
        Some(position)
    }

    /// Write z and n back and mark the rows as changed.
    #[inline(always)]
    pub fn write(&mut self, ids: &[u64], columns: &mut Columns) {
        columns.pack();
        self.fresh.resize(ids.len(), 0);
        let places = &columns.places;
        let count = match self.image {
            None => self.map.write(ids, places, CHANGED, &mut self.fresh),
            Some(_) => self.write_watched(ids, places),
        };
        self.list(count);
    }

    /// The same while an image is taken, which wants to know what the rows were.
    #[cold]
    fn write_watched(&mut self, ids: &[u64], places: &Places) -> usize {
        let mut count = 0;
        for (&id, (&position, &value)) in
            ids.iter().zip(places.positions.iter().zip(&places.values))
        {
            if position == NOWHERE {
                continue;
            }
            let old = std::mem::replace(self.map.value_mut(position), value);
            self.fresh[count] = id;
            count += usize::from(old & CHANGED == 0);
            if let Some(image) = &mut self.image {
                image.count(&self.map, id, position, Some(old), Some(value));
            }
        }
        count
    }

    #[inline]
    fn list(&mut self, count: usize) {
        if self.unlisted || count == 0 {
            return;
        }
        self.changed.extend_from_slice(&self.fresh[..count]);
        if self.changed.len() > MIN_LIST.max(self.len() / 8) {
            self.unlisted = true;
            self.changed = Vec::new();
        }
    }

    /// Put a row in absolutely, as restored: it does not count as changed. False if the table is full.
    pub fn put(&mut self, id: u64, row: Row) -> bool {
        self.reserve(1);
        let Some(position) = self.insert(id) else {
            return false;
        };
        let old = self.map.value(position);
        let new = row.pack() | (old & CHANGED);
        *self.map.value_mut(position) = new;
        if let Some(image) = &mut self.image {
            image.count(&self.map, id, position, Some(old), Some(new));
            image.changed(&self.map, id, position);
        }
        true
    }

    /// Put rows of the wire format in, as restored; nothing changes if one is damaged.
    pub fn load(&mut self, rows: &[u8]) -> Result<(), String> {
        parse_rows(rows).try_for_each(|row| row.map(|_| ()))?;
        self.make_room(rows);
        for chunk in rows.chunks(LOADED_TOGETHER * ROW_BYTES) {
            let batch: Vec<(u64, Row)> = parse_rows(chunk).flatten().collect();
            let ids: Vec<u64> = batch.iter().map(|&(id, _)| id).collect();
            self.prefetch(&ids);
            if !batch.iter().all(|&(id, row)| self.put(id, row)) {
                return Err(format!("the table is full at {} rows", self.len()));
            }
        }
        Ok(())
    }

    /// Room for the whole table that these rows are a part of. An image comes in the order of homes; how densely its rows
    /// lie tells how many there are in all.
    pub fn make_room(&mut self, rows: &[u8]) {
        let hashes = || parse_rows(rows).flatten().map(|(id, _)| hash_of(id));
        let count = rows.len() / ROW_BYTES;
        if let (Some(first), Some(last)) = (hashes().min(), hashes().max())
            && count >= MIN_SAMPLE
        {
            let share = (last - first).max(1) as f64 / u64::MAX as f64;
            self.map.presize((count as f64 / share) as usize);
        }
    }

    /// Remove a row; the next cut and the image in progress say so. False if there is none.
    pub fn remove(&mut self, id: u64) -> bool {
        let there = self.take_out(id);
        if there {
            self.removed.push(id);
            if let Some(image) = &mut self.image {
                image.removed.push(id);
            }
        }
        there
    }

    /// Forget a row without telling anyone, as restored.
    pub fn drop_row(&mut self, id: u64) {
        self.take_out(id);
    }

    fn take_out(&mut self, id: u64) -> bool {
        let Some(position) = self.map.find(id) else {
            return false;
        };
        if let Some(image) = &mut self.image {
            image.count(
                &self.map,
                id,
                position,
                Some(self.map.value(position)),
                None,
            );
        }
        self.map.remove(id);
        self.note_crossings();
        true
    }

    /// Rows changed and ids removed since the last cut, as they are now, in the wire format.
    pub fn cut(&mut self) -> (Vec<u8>, Vec<u8>) {
        let changed = std::mem::take(&mut self.changed);
        let mut bytes = Vec::with_capacity(changed.len() * rows::ROW_BYTES);
        if std::mem::take(&mut self.unlisted) {
            self.cut_unlisted(&mut bytes);
        } else {
            self.cut_listed(&changed, &mut bytes);
        }
        let mut removed = std::mem::take(&mut self.removed);
        removed.sort_unstable();
        removed.dedup();
        removed.retain(|&id| self.map.find(id).is_none());
        (
            bytes,
            removed.iter().flat_map(|id| id.to_le_bytes()).collect(),
        )
    }

    fn cut_listed(&mut self, changed: &[u64], bytes: &mut Vec<u8>) {
        const AHEAD: usize = 32;
        for (at, &id) in changed.iter().enumerate() {
            if at % AHEAD == 0 {
                self.map
                    .prefetch(&changed[at..(at + 2 * AHEAD).min(changed.len())]);
            }
            let Some(position) = self.map.find(id) else {
                continue;
            };
            let value = self.map.value_mut(position);
            if *value & CHANGED == 0 {
                continue;
            }
            *value &= !CHANGED;
            rows::push_row(bytes, id, Row::unpack(*value));
            if let Some(image) = &mut self.image {
                image.changed(&self.map, id, position);
            }
        }
    }

    fn cut_unlisted(&mut self, bytes: &mut Vec<u8>) {
        let Table { map, image, .. } = self;
        let mut ids = Vec::new();
        map.for_each_mut(|id, value| {
            if *value & CHANGED != 0 {
                *value &= !CHANGED;
                rows::push_row(bytes, id, Row::unpack(*value));
                ids.push(id);
            }
        });
        if let Some(image) = image {
            ids.into_iter().for_each(|id| image.hand_out_again(id));
        }
    }

    /// Order-free hash over the live rows.
    pub fn hash(&self) -> u64 {
        self.map.iter(0, usize::MAX).fold(0, |sum, (id, value)| {
            sum.wrapping_add(rows::row_hash(id, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::parse_ids;
    use crate::seeded::Random;
    use std::collections::{BTreeMap, BTreeSet};

    type Model = BTreeMap<u64, Row>;

    /// A table beside the map it must equal.
    struct Both {
        random: Random,
        table: Table,
        model: Model,
        columns: Columns,
    }

    impl Both {
        fn new(seed: u64) -> Both {
            let table = Table::new(1 << 22, 0).unwrap();
            Both {
                random: Random(seed),
                table,
                model: Model::new(),
                columns: Columns::default(),
            }
        }

        /// Change `count` rows, some of them new, as learning does; remove a few.
        fn churn(&mut self, count: usize, universe: u64) {
            for _ in 0..count.div_ceil(10) {
                let ids: BTreeSet<u64> = (0..10).map(|_| 1 + self.random.below(universe)).collect();
                let ids: Vec<u64> = ids.into_iter().collect();
                self.columns.start(&vec![1.0; ids.len()]);
                let mut homes = vec![0; ids.len()];
                self.table.aim(&ids, &mut homes);
                self.table.take(&ids, &homes, &mut self.columns);
                for (at, &id) in ids.iter().enumerate() {
                    let before = Row {
                        z: self.columns.z[at],
                        n: self.columns.n[at],
                    };
                    assert_eq!(before, self.model.get(&id).copied().unwrap_or_default());
                    let after = Row {
                        z: before.z - id as f32,
                        n: before.n + 0.5,
                    };
                    (self.columns.z[at], self.columns.n[at]) = (after.z, after.n);
                    self.model.insert(id, after);
                }
                self.table.write(&ids, &mut self.columns);
                if self.random.below(4) == 0 {
                    let victim = 1 + self.random.below(universe);
                    assert_eq!(
                        self.table.remove(victim),
                        self.model.remove(&victim).is_some()
                    );
                }
            }
        }

        fn check(&self) {
            assert_eq!(rows_of(&self.table), self.model);
        }
    }

    fn rows_of(table: &Table) -> Model {
        table
            .map
            .iter(0, usize::MAX)
            .map(|(id, value)| (id, Row::unpack(value)))
            .collect()
    }

    fn apply(model: &mut Model, rows: &[u8], removed: &[u8]) {
        model.extend(parse_rows(rows).map(Result::unwrap));
        for id in parse_ids(removed).unwrap() {
            model.remove(&id);
        }
    }

    #[test]
    fn cuts_add_up_to_the_table() {
        for seed in 0..5 {
            let (mut both, mut copy) = (Both::new(seed), Model::new());
            for _ in 0..30 {
                both.churn(2_000, 30_000);
                let (rows, removed) = both.table.cut();
                apply(&mut copy, &rows, &removed);
                assert_eq!(copy, both.model);
            }
            both.check();
            assert_eq!(both.table.cut(), (vec![], vec![]));
        }
    }

    #[test]
    fn a_cut_of_more_rows_than_are_listed_is_complete() {
        let (mut both, mut copy) = (Both::new(1), Model::new());
        both.churn(MIN_LIST * 2, 1 << 40);
        assert!(both.table.unlisted);
        both.table.begin_image();
        let (rows, removed) = both.table.cut();
        apply(&mut copy, &rows, &removed);
        assert_eq!(copy, both.model);
        both.churn(50, 1 << 40);
        assert!(both.table.cut().0.len() <= 60 * ROW_BYTES);
    }

    /// Take an image while rows change, come, go and move; sometimes nobody cuts.
    fn image(both: &mut Both, max_rows: usize, cuts: bool) -> Model {
        let mut copy = Model::new();
        both.table.begin_image();
        loop {
            let rows = both.table.take_image(max_rows);
            if rows.is_empty() {
                break;
            }
            apply(&mut copy, &rows, &[]);
            both.churn(60, 40_000);
            if cuts {
                both.table.cut();
            }
        }
        both.churn(200, 60_000);
        let sealed = both.table.seal_image();
        apply(&mut copy, &sealed.rows, &sealed.removed);
        assert_eq!(
            (sealed.total_rows, sealed.rows_hash),
            (both.model.len(), both.table.hash())
        );
        copy
    }

    #[test]
    fn an_image_and_its_seal_are_the_table_at_the_seal() {
        for (seed, max_rows) in [(1, 100), (2, 700), (3, 1_000_000)] {
            let mut both = Both::new(seed);
            both.churn(5_000, 40_000);
            for cuts in [true, false, true] {
                assert_eq!(image(&mut both, max_rows, cuts), both.model, "seed {seed}");
            }
            both.check();
        }
    }

    /// Neither removals nor growth mark a row as changed, but both move rows, also to the left across the cursor.
    #[test]
    fn rows_that_only_move_are_in_the_image() {
        for seed in 0..40 {
            let mut both = Both::new(seed);
            both.churn(3_200, 1 << 40);
            both.table.cut();
            both.table.begin_image();
            let mut copy = Model::new();
            while both.table.map.watch < both.table.map.end() {
                apply(&mut copy, &both.table.take_image(4), &[]);
                let id = both.random.next() | 1;
                both.table.put(id, Row::default());
                both.model.insert(id, Row::default());
                let victim = *both
                    .model
                    .range(both.random.next() >> 24..)
                    .next()
                    .unwrap()
                    .0;
                assert!(both.table.remove(victim) && both.model.remove(&victim).is_some());
            }
            let sealed = both.table.seal_image();
            apply(&mut copy, &sealed.rows, &sealed.removed);
            assert_eq!(copy, both.model, "seed {seed}");
            assert_eq!(sealed.rows_hash, both.table.hash(), "seed {seed}");
        }
    }

    #[test]
    fn an_image_sealed_early_is_whole() {
        let mut both = Both::new(9);
        both.churn(20_000, 40_000);
        both.table.begin_image();
        let mut copy = Model::new();
        apply(&mut copy, &both.table.take_image(500), &[]);
        both.churn(500, 40_000);
        let sealed = both.table.seal_image();
        apply(&mut copy, &sealed.rows, &sealed.removed);
        assert_eq!(copy, both.model);
    }

    #[test]
    fn little_is_left_for_the_seal_when_cuts_go_on() {
        let mut both = Both::new(11);
        both.churn(40_000, 1 << 40);
        both.table.cut();
        both.table.begin_image();
        while !both.table.take_image(1_000).is_empty() {
            both.churn(100, 1 << 40);
            both.table.cut();
        }
        let handed = both.table.seal_image().rows.len() / ROW_BYTES;
        assert!(handed <= 1_200 && both.model.len() > 30_000, "{handed}");
    }

    #[test]
    fn the_hash_tells_any_bit_apart_and_knows_no_order() {
        let rows = [(5, 1.5, 2.0), (6, -1.5, 0.0), (7, 0.0, 1.0)];
        let of = |rows: &[(u64, f32, f32)]| {
            let mut table = Table::new(100, 0).unwrap();
            rows.iter()
                .for_each(|&(id, z, n)| assert!(table.put(id, Row { z, n })));
            table.hash()
        };
        let mut turned = rows;
        turned.reverse();
        assert_eq!(of(&rows), of(&turned));
        for at in 0..rows.len() {
            for other in [
                (8, rows[at].1, rows[at].2),
                (rows[at].0, 9.0, rows[at].2),
                (rows[at].0, rows[at].1, 9.0),
            ] {
                let mut changed = rows;
                changed[at] = other;
                assert_ne!(of(&rows), of(&changed));
            }
        }
        assert_ne!(of(&rows), of(&rows[..2]));
    }

    #[test]
    fn a_full_table_leaves_new_features_out_and_counts_them() {
        let (mut table, mut columns) = (Table::new(4_000, 0).unwrap(), Columns::default());
        for id in 1..=5_000u64 {
            columns.start(&[1.0, 1.0]);
            let mut homes = [0; 2];
            table.aim(&[id, 1], &mut homes);
            table.take(&[id, 1], &homes, &mut columns);
            columns.z[..2].fill(id as f32);
            table.write(&[id, 1], &mut columns);
        }
        assert_eq!((table.len(), table.refused), (4_000, 1_000));
        assert_eq!((table.get(1).unwrap().z, table.get(4_001)), (5_000.0, None));
    }

    /// Without room made at once the rows would pile up at the left end, and this test would take minutes.
    #[test]
    fn an_image_loads_piece_by_piece_into_an_empty_table() {
        let mut both = Both::new(7);
        both.churn(120_000, 1 << 40);
        let mut copy = Table::new(1 << 22, 0).unwrap();
        both.table.begin_image();
        loop {
            let piece = both.table.take_image(5_000);
            if piece.is_empty() {
                break;
            }
            copy.load(&piece).unwrap();
        }
        copy.load(&both.table.seal_image().rows).unwrap();
        assert_eq!(rows_of(&copy), both.model);
        assert!(copy.bytes() < 40 * copy.len(), "{}", copy.bytes());
    }

    #[test]
    fn damaged_rows_change_nothing() {
        let mut table = Table::new(100, 0).unwrap();
        let mut rows = Vec::new();
        rows::push_row(&mut rows, 5, Row { z: 1.0, n: 1.0 });
        rows::push_row(
            &mut rows,
            6,
            Row {
                z: f32::NAN,
                n: 1.0,
            },
        );
        assert!(
            table
                .load(&rows)
                .unwrap_err()
                .starts_with("row 1 is damaged")
        );
        assert!(table.load(&rows[..20]).is_err() && table.is_empty());
    }

    #[test]
    fn a_row_that_is_put_is_no_change() {
        let mut table = Table::new(100, 0).unwrap();
        table.put(3, Row { z: 1.0, n: 2.0 });
        assert_eq!(table.cut(), (vec![], vec![]));
    }
}
