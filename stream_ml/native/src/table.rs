//! The rows of a model, and which of them changed since the last cut.

use crate::gate::{Gate, Outside};
use crate::id_map::{IdMap, NOWHERE, Places, Position, hash_of};
use crate::image::Image;
pub use crate::options::MAX_ROWS;
use crate::options::TableOptions;
use crate::rows::{self, CHANGED, Columns, ROW_BYTES, Row, parse_rows};

mod emptied;

/// A list of more changed ids than this and than an eighth of the rows is dropped: the cut looks at every row then.
const MIN_LIST: usize = if cfg!(test) { 1 << 12 } else { 1 << 20 };

/// Rows put in at a time: their places are on their way from memory together.
const LOADED_TOGETHER: usize = 64;
/// From fewer rows nothing is concluded about the rest.
const MIN_SAMPLE: usize = 1_000;
/// A sample of n rows tells the whole up to a part of 1/√n, as a standard error; for less than this many of them no table
/// is rebuilt.
const SAMPLE_ERRORS: f64 = 4.0;

pub struct Table {
    pub(crate) map: IdMap,
    pub(crate) changed: Vec<u64>,
    /// The list of changed ids was dropped.
    pub(crate) unlisted: bool,
    removed: Vec<u64>,
    pub(crate) image: Option<Image>,
    /// Features left out because the table was full.
    pub refused: u64,
    /// Sightings of features that had no row and were not let in.
    pub not_admitted: u64,
    gate: Option<Gate>,
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
            not_admitted: 0,
            gate: None,
            fresh: Vec::new(),
        })
    }

    /// Let `take` make rows as the options say; what is put in, as restored, is not asked.
    pub fn gated(mut self, options: &TableOptions) -> Table {
        self.gate = Gate::new(options);
        self
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

    /// The rows of ids whose hashes lie within `from..=to`.
    pub fn rows_of_hashes(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, Row)> {
        self.map
            .iter_hashes(from, to)
            .map(|(id, value)| (id, Row::unpack(value)))
    }

    /// Find the home buckets of `ids` and ask the processor to fetch them; `take` wants them some examples later.
    #[inline(always)]
    pub fn aim(&self, ids: &[u64], homes: &mut [u32]) {
        self.map.aim(ids, homes);
    }

    /// To be said between the two, when what was asked for has come.
    #[inline(always)]
    pub fn aim_again(&self, ids: &[u64], homes: &mut [u32]) {
        self.map.aim_again(ids, homes);
    }

    /// Read the rows of `ids` into `columns`; an unseen id is a zero row.
    #[inline(always)]
    pub fn read(&self, ids: &[u64], columns: &mut Columns) {
        let mut homes = std::mem::take(&mut columns.homes);
        homes.resize(ids.len(), 0);
        self.map.aim(ids, &mut homes);
        let count = self.look(ids, &homes, columns);
        columns.homes = homes;
        for at in 0..count {
            let index = columns.elsewhere[at] as usize;
            let value = self.map.get(ids[index]).unwrap_or(0);
            columns.put(index, value);
        }
    }

    /// Like `read`, but an unseen id gets a row, if it may, and `write` can follow. No row moves in between.
    /// `sighting`: of the ids, a number of its own for each example. Returns how many ids had no row.
    #[inline(always)]
    pub fn take(
        &mut self,
        ids: &[u64],
        homes: &[u32],
        sighting: u64,
        columns: &mut Columns,
    ) -> u32 {
        self.reserve(ids.len());
        let count = self.look(ids, homes, columns);
        if count == 0 {
            return 0;
        }
        let seen = self.turned_away_or_in();
        for at in 0..count {
            let index = columns.elsewhere[at] as usize;
            let position = self.enter(ids[index], sighting);
            columns.places.positions[index] = position.unwrap_or(NOWHERE);
            let value = position.map_or(0, |position| self.map.value(position));
            columns.put(index, value);
        }
        (self.turned_away_or_in() - seen) as u32
    }

    /// Grows with each id that is entered and had no row.
    #[inline(always)]
    fn turned_away_or_in(&self) -> u64 {
        self.map.len() as u64 + self.refused + self.not_admitted
    }

    #[inline(always)]
    fn look(&self, ids: &[u64], homes: &[u32], columns: &mut Columns) -> usize {
        let Columns {
            z,
            n,
            places,
            elsewhere,
            ..
        } = columns;
        let (z, n) = (z.as_chunks_mut::<4>().0, n.as_chunks_mut::<4>().0);
        // Whole lanes: what comes behind the last four is padding, too.
        if let (Some(z), Some(n)) = (z.last_mut(), n.last_mut()) {
            (*z, *n) = ([0.0; 4], [0.0; 4]);
        }
        let positions = &mut places.positions;
        self.map
            .look(ids, homes, positions, elsewhere, |four, values| {
                let rows = values.map(Row::unpack);
                z[four] = rows.map(|row| row.z);
                n[four] = rows.map(|row| row.n);
            })
    }

    #[inline(always)]
    fn reserve(&mut self, count: usize) {
        self.map.reserve(count);
        if !self.map.crossings.is_empty() {
            self.note_crossings();
        }
    }

    #[inline]
    fn enter(&mut self, id: u64, sighting: u64) -> Option<Position> {
        if self.gate.is_some() && self.stays_outside(id, sighting) {
            return None;
        }
        let position = self.insert(id);
        self.refused += u64::from(position.is_none());
        position
    }

    fn stays_outside(&mut self, id: u64, sighting: u64) -> bool {
        let Some(gate) = self.gate.filter(|_| self.map.find(id).is_none()) else {
            return false;
        };
        match gate.admit(id, sighting, self.len()) {
            Ok(()) => return false,
            Err(Outside::NotAdmitted) => self.not_admitted += 1,
            Err(Outside::Full) => self.refused += 1,
        }
        true
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
            let (all, room) = (count as f64 / share, self.map.room() as f64);
            let margin = 1.0 + SAMPLE_ERRORS / (count as f64).sqrt();
            if all > room * margin {
                self.map.presize((all * margin) as usize);
            }
        }
    }

    /// Change every row at once, as restored; no image may be in progress.
    pub fn change_rows(&mut self, change: impl Fn(Row) -> Row) {
        debug_assert!(self.image.is_none());
        self.map.for_each_mut(|_, value| {
            *value = change(Row::unpack(*value)).pack() | (*value & CHANGED);
        });
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
#[path = "tests/table.rs"]
mod tests;
