//! Learning with rows that lie elsewhere: a batch's are put in before it and taken out after it.

use super::{Course, Trainer};
use crate::expiry::Expiry;
use crate::rows::Row;
use crate::score_state::RESERVED;
use crate::table::MAX_ROWS;

impl Course {
    /// Whether rows can be shared; if not, why.
    pub fn can_share_rows(&self) -> Result<(), String> {
        if Expiry::new(&self.table).is_some() {
            return Err(
                "expire_after_seconds and expire_below cannot be had where several learners share the rows: \
                 none of them sees when a row was last seen; leave them out, or keep the weights in memory"
                    .into(),
            );
        }
        if self.table.max_rows < MAX_ROWS {
            return Err(
                "max_rows cannot be had where several learners share the rows: none of them knows how many \
                 there are; leave it out, or keep the weights in memory"
                    .into(),
            );
        }
        if self.options.decay != 1.0 {
            return Err(
                "decay cannot be had where several learners share the rows: what they take away at once adds up; \
                 leave it out, or keep the weights in memory"
                    .into(),
            );
        }
        Ok(())
    }
}

impl Trainer {
    /// Learn with other rows from here on, which are yet to be put in; the score state is as `state` says.
    pub fn borrow(&mut self, rows: usize, state: [Row; RESERVED]) -> std::io::Result<()> {
        self.table.empty(rows)?;
        self.state.adopt_rows(&self.course.options, state);
        Ok(())
    }
}
