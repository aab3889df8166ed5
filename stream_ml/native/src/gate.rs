//! Which features that have no row may get one: not all when there is an admission, and none in a full table.
//!
//! Admission is "Poisson inclusion" (McMahan et al. 2013, section 3.1): each sighting lets a feature in with the same
//! probability, so that on average it is seen 1 / admission times before. Chance is a hash: a replay decides the same.

use crate::options::{MAX_ROWS, TableOptions};

#[derive(Clone, Copy, Debug)]
pub struct Gate {
    max_rows: usize,
    /// Hashes below it are let in; None lets in all.
    below: Option<u64>,
}

/// Why a feature stays outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outside {
    NotAdmitted,
    Full,
}

impl Gate {
    /// None if it would let everything in.
    pub fn new(options: &TableOptions) -> Option<Gate> {
        let below = (options.admission < 1.0).then(|| (options.admission * 2f64.powi(64)) as u64);
        (below.is_some() || options.max_rows < MAX_ROWS).then_some(Gate {
            max_rows: options.max_rows,
            below,
        })
    }

    /// Decide about `id`, which has no row among the `rows` there are, at sighting number `sighting`.
    pub fn admit(&self, id: u64, sighting: u64, rows: usize) -> Result<(), Outside> {
        if self
            .below
            .is_some_and(|below| chance(id, sighting) >= below)
        {
            Err(Outside::NotAdmitted)
        } else if rows >= self.max_rows {
            Err(Outside::Full)
        } else {
            Ok(())
        }
    }
}

/// splitmix64 (Steele, Lea, Flood 2014) of the sighting, from a start of the id's own.
fn chance(id: u64, sighting: u64) -> u64 {
    let mixed = id.wrapping_add((sighting + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
#[path = "tests/gate.rs"]
mod tests;
