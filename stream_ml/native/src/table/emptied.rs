//! A table that is emptied and filled again: its memory is used again, which costs less than memory that is new.

use super::{MAX_ROWS, MIN_LIST, Table};
use crate::id_map::IdMap;

/// A table with room for more than so many times the rows that are wanted is not kept: to empty it takes longer than to
/// fill another.
const MOST_SPARE: usize = 8;
/// Fewer rows than this are no reason for another.
const FEW_ROWS: usize = 1 << 12;

impl Table {
    /// Take all rows out without telling anyone; there is room for `rows` then. What was counted stays.
    pub fn empty(&mut self, rows: usize) -> std::io::Result<()> {
        let room = self.map.room();
        if room < rows || room > MOST_SPARE * rows.max(FEW_ROWS) {
            self.map = IdMap::new_within(MAX_ROWS, rows, MIN_LIST)?;
        } else {
            self.map.clear();
        }
        self.changed.clear();
        self.removed.clear();
        (self.unlisted, self.image) = (false, None);
        Ok(())
    }
}

#[cfg(test)]
#[path = "../tests/emptied.rs"]
mod tests;
