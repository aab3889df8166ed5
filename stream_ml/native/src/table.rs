//! The rows of a model, and which of them changed since the last cut.

use crate::id_map::{IdMap, NOWHERE};
use crate::image::Image;
use crate::rows::{self, CHANGED, Columns, Row};

/// Rows a table may hold, unless told otherwise.
pub const MAX_ROWS: usize = 1 << 30;
/// A list of more changed ids than this and than an eighth of the rows is dropped: the cut looks at every row then.
const MIN_LIST: usize = 1 << 20;

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
    /// Raises what the system says when it has no address space.
    pub fn new(max_rows: usize, expected_rows: usize) -> std::io::Result<Table> {
        Ok(Table {
            map: IdMap::new(max_rows, expected_rows)?,
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

    /// Read the rows of `ids` into `columns`; an unseen id is a zero row.
    #[inline(always)]
    pub fn read(&self, ids: &[u64], columns: &mut Columns) {
        let Columns {
            places, elsewhere, ..
        } = columns;
        let count = self.map.look(ids, places, elsewhere);
        for index in elsewhere[..count].iter().map(|&index| index as usize) {
            places.values[index] = self.map.get(ids[index]).unwrap_or(0);
        }
        columns.unpack();
    }

    /// Like `read`, but an unseen id gets a row, and `write` can follow. No row moves in between.
    #[inline(always)]
    pub fn take(&mut self, ids: &[u64], columns: &mut Columns) {
        self.map.reserve(ids.len());
        let Columns {
            places, elsewhere, ..
        } = columns;
        let count = self.map.look(ids, places, elsewhere);
        for index in elsewhere[..count].iter().map(|&index| index as usize) {
            let position = self.map.insert(ids[index]);
            self.refused += u64::from(position.is_none());
            places.positions[index] = position.unwrap_or(NOWHERE);
            places.values[index] = position.map_or(0, |position| self.map.value(position));
        }
        columns.unpack();
    }

    /// Write z and n back and mark the rows as changed.
    #[inline(always)]
    pub fn write(&mut self, ids: &[u64], columns: &mut Columns) {
        columns.pack();
        self.fresh.resize(ids.len(), 0);
        let count = self
            .map
            .write(ids, &columns.places, CHANGED, &mut self.fresh);
        self.list(count);
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
        self.map.reserve(1);
        let Some(position) = self.map.insert(id) else {
            return false;
        };
        let value = self.map.value_mut(position);
        *value = row.pack() | (*value & CHANGED);
        true
    }

    /// Remove a row; the next cut and the image in progress say so. False if there is none.
    pub fn remove(&mut self, id: u64) -> bool {
        let there = self.map.remove(id).is_some();
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
        self.map.remove(id);
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
                image.changed(id, position, self.map.watch);
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
            for id in ids {
                image.changed(id, 0, 1);
            }
        }
    }

    /// Order-free hash over the live rows.
    pub fn hash(&self) -> u64 {
        self.map.iter(0, usize::MAX).fold(0, |sum, (id, value)| {
            sum.wrapping_add(rows::row_hash(id, value))
        })
    }
}
