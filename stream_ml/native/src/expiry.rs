//! Drops rows that were not seen for a period of event time, or that weigh too little; a few rows at a time.
//!
//! Which features were seen is noted in a bitmap, one bit for each hash: two bits a row. When a period of event time is
//! over, a new bitmap begins and a sweep goes over the table by the order of hashes, a slice every so many examples:
//! that order, unlike that of buckets, does not depend on how the table came about. A row goes if neither bitmap has
//! its bit. Nothing but events moves any of this, so a replay drops the same rows at the same events.

use crate::bucket::hash_of;
use crate::codec::{Damaged, Reader, Writer};
use crate::options::TableOptions;
use crate::rows::Row;
use crate::table::Table;

/// A slice of a sweep is taken after so many examples…
const EXAMPLES_A_SLICE: u64 = 64;
/// …and has about so many rows: some 20 µs, a small part of the time in which the examples are learned.
const ROWS_A_SLICE: u64 = 2048;
const MIN_BITS: usize = 1 << 16;
const MAX_BITS: usize = 1 << 31;

pub struct Expiry {
    period_us: i64,
    below: f32,
    /// Rows dropped since the variant began.
    pub dropped: u64,
    /// Sweeps begun.
    sweeps: u64,
    /// Event time at which the next one may begin; `i64::MIN` before the first event.
    due_us: i64,
    /// Since the last sweep began.
    seen: Seen,
    sweep: Option<Sweep>,
}

/// A sweep under way.
struct Sweep {
    /// In the period before it.
    seen: Seen,
    /// Hash at which the next slice begins.
    next: u64,
    /// Hashes of a slice.
    width: u64,
}

/// A set of ids that may hold some more than were put in.
struct Seen {
    /// Another one for each period: two ids that share a bit do so once.
    salt: u64,
    /// As many as a power of two.
    words: Vec<u64>,
}

impl Expiry {
    /// None if rows stay for ever.
    pub fn new(options: &TableOptions) -> Option<Expiry> {
        options.expire_after_seconds.map(|seconds| Expiry {
            period_us: (seconds * 1e6) as i64,
            below: options.expire_below,
            dropped: 0,
            sweeps: 0,
            due_us: i64::MIN,
            seen: Seen::new(0, 0),
            sweep: None,
        })
    }

    /// Take notice of the features of an example that was learned.
    #[inline]
    pub fn see(&mut self, ids: &[u64]) {
        self.seen.insert(ids);
    }

    /// Do what is to be done after `learned` examples in all.
    #[inline]
    pub fn turn(
        &mut self,
        learned: u64,
        watermark_us: i64,
        table: &mut Table,
        weight: impl Fn(Row) -> f32,
    ) {
        if !learned.is_multiple_of(EXAMPLES_A_SLICE) || watermark_us == i64::MIN {
            return;
        }
        if self.sweep.is_some() {
            self.take_slice(table, weight);
        } else if self.due_us == i64::MIN {
            self.due_us = watermark_us.saturating_add(self.period_us);
        } else if watermark_us >= self.due_us {
            self.begin(table.len());
            self.due_us = watermark_us.saturating_add(self.period_us);
        }
    }

    fn begin(&mut self, rows: usize) {
        self.sweeps += 1;
        let seen = std::mem::replace(&mut self.seen, Seen::new(rows, self.sweeps));
        let slices = (rows as u64 / ROWS_A_SLICE).max(1);
        self.sweep = Some(Sweep {
            seen,
            next: 0,
            width: u64::MAX / slices,
        });
    }

    fn take_slice(&mut self, table: &mut Table, weight: impl Fn(Row) -> f32) {
        let Some(sweep) = &mut self.sweep else { return };
        let last = sweep.next.saturating_add(sweep.width);
        let stays = |id, row| {
            (sweep.seen.has(id) || self.seen.has(id))
                && (self.below == 0.0 || weight(row).abs() >= self.below)
        };
        let gone: Vec<u64> = table
            .rows_of_hashes(sweep.next, last)
            .filter(|&(id, row)| !stays(id, row))
            .map(|(id, _)| id)
            .collect();
        sweep.next = last.wrapping_add(1);
        if last == u64::MAX {
            self.sweep = None;
        }
        self.dropped += gone.len() as u64;
        gone.into_iter().for_each(|id| {
            table.remove(id);
        });
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u64(self.dropped);
        writer.u64(self.sweeps);
        writer.i64(self.due_us);
        self.seen.write(writer);
        writer.u32(u32::from(self.sweep.is_some()));
        if let Some(Sweep { seen, next, width }) = &self.sweep {
            seen.write(writer);
            writer.u64(*next);
            writer.u64(*width);
        }
    }

    /// What `write` wrote; the options are those of `self`.
    pub(crate) fn read(&self, reader: &mut Reader) -> Result<Expiry, Damaged> {
        Ok(Expiry {
            period_us: self.period_us,
            below: self.below,
            dropped: reader.u64()?,
            sweeps: reader.u64()?,
            due_us: reader.i64()?,
            seen: Seen::read(reader)?,
            sweep: match reader.u32()? {
                0 => None,
                _ => Some(Sweep {
                    seen: Seen::read(reader)?,
                    next: reader.u64()?,
                    width: reader.u64()?,
                }),
            },
        })
    }
}

impl Seen {
    fn new(rows: usize, sweep: u64) -> Seen {
        let bits = (2 * rows).next_power_of_two().clamp(MIN_BITS, MAX_BITS);
        Seen {
            salt: hash_of(sweep),
            words: vec![0; bits / 64],
        }
    }

    /// Word and bit of an id.
    #[inline(always)]
    fn bit_of(&self, id: u64) -> (usize, u64) {
        let bit = hash_of(id ^ self.salt) >> (64 - (64 * self.words.len()).trailing_zeros());
        (bit as usize / 64, 1 << (bit % 64))
    }

    #[inline]
    fn insert(&mut self, ids: &[u64]) {
        for &id in ids {
            let (word, bit) = self.bit_of(id);
            self.words[word] |= bit;
        }
    }

    fn has(&self, id: u64) -> bool {
        let (word, bit) = self.bit_of(id);
        self.words[word] & bit != 0
    }

    fn write(&self, writer: &mut Writer) {
        writer.u64(self.salt);
        writer.u64(self.words.len() as u64);
        self.words.iter().for_each(|&word| writer.u64(word));
    }

    fn read(reader: &mut Reader) -> Result<Seen, Damaged> {
        let (salt, words) = (reader.u64()?, reader.u64()?);
        if !words.is_power_of_two() || !(MIN_BITS..=MAX_BITS).contains(&(64 * words as usize)) {
            return Err(Damaged(format!("a set of {words} words")));
        }
        let words = (0..words).map(|_| reader.u64()).collect::<Result<_, _>>()?;
        Ok(Seen { salt, words })
    }
}

#[cfg(test)]
#[path = "tests/expiry.rs"]
mod tests;
