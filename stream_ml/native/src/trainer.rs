//! The one ordered thread: duplicates, score, judge, learn. Everything that learning depends on is here.

use std::ops::Range;
use std::sync::Arc;

use crate::block::{Block, Example};
use crate::codec::Damaged;
use crate::evaluation::{Evaluations, Judged, Judging};
use crate::expiry::Expiry;
use crate::options::{LearnerOptions, TableOptions};
use crate::score_state::{Score, ScoreState, Scorer};
use crate::table::{MAX_ROWS, Table};
#[cfg(target_arch = "x86_64")]
use crate::wide;
use crate::windows::{Window, Windows};
pub use figures::Counters;
use late::Late;

mod borrowed;
mod figures;
mod late;
pub mod state;

/// Rows of this many examples ahead are on their way from memory.
const PREFETCH_EXAMPLES: usize = 8;
/// Of so many ahead it is known by now which rows are not where they were looked for; twice.
const KNOWN_EXAMPLES: [usize; 2] = [5, 2];

/// What of a plan concerns learning.
#[derive(Clone, Debug)]
pub struct Course {
    pub fingerprint: String,
    pub options: LearnerOptions,
    pub table: TableOptions,
    /// All events of a record are scored before any of them is learned.
    pub record_wise: bool,
    pub duplicate_window: usize,
    pub judging: Arc<Judging>,
}

pub struct Trainer {
    course: Course,
    table: Table,
    scorer: Scorer,
    state: ScoreState,
    windows: Windows,
    evaluations: Evaluations,
    expiry: Option<Expiry>,
    counters: Counters,
    /// Scores of the record in hand, by example.
    said: Vec<(usize, Score)>,
    /// Home buckets of the features of the block in hand.
    homes: Vec<u32>,
    /// Examples of the block in hand that were learned.
    judged: Vec<Judged>,
    /// Where an event is learned when its label is known.
    late: Option<Late>,
}

impl Trainer {
    pub fn new(course: Course, expected_rows: usize) -> std::io::Result<Trainer> {
        // A window that cannot be had is refused now, not at the first event.
        Windows::new(course.duplicate_window).of(0)?;
        Ok(Trainer {
            table: Table::new(MAX_ROWS, expected_rows)?.gated(&course.table),
            scorer: Scorer::new(&course.options),
            state: ScoreState::new(&course.options),
            windows: Windows::new(course.duplicate_window),
            evaluations: Evaluations::new(&course.judging),
            expiry: Expiry::new(&course.table),
            counters: Counters::default(),
            said: Vec::new(),
            homes: Vec::new(),
            judged: Vec::new(),
            late: None,
            course,
        })
    }

    /// Take over what rows that were shared do not say; counters, evaluations and windows stay as they are.
    pub fn load_score_state(&mut self, bytes: &[u8]) -> Result<(), Damaged> {
        self.state = ScoreState::from_bytes(bytes)?;
        Ok(())
    }

    pub fn course(&self) -> &Course {
        &self.course
    }

    pub fn table(&self) -> &Table {
        &self.table
    }

    pub fn table_mut(&mut self) -> &mut Table {
        &mut self.table
    }

    pub fn score_state(&self) -> &ScoreState {
        &self.state
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// A variant that begins with this state: what was learned stays, what was counted and judged starts at zero.
    pub fn begin_variant(&mut self) {
        self.counters = Counters::default();
        self.evaluations = Evaluations::new(&self.course.judging);
        if let Some(expiry) = &mut self.expiry {
            expiry.dropped = 0;
        }
    }

    pub fn count_records(&mut self, records: usize) {
        self.counters.records += records as u64;
    }

    /// Learn a block of whole records of one partition; closed evaluations are appended to `closed`.
    pub fn learn(
        &mut self,
        partition: i32,
        block: &Block,
        closed: &mut Vec<Vec<u8>>,
    ) -> std::io::Result<()> {
        self.counters.refused += block.refusals.len() as u64;
        self.counters.skipped += block.skipped;
        self.counters.empty += block.empty;
        // Taken out for the time of the block, so that it can be borrowed beside the rest.
        let mut windows = std::mem::take(&mut self.windows);
        let mut late = self.late.take();
        let done = windows.of(partition).map(|window| match &mut late {
            Some(late) => self.learn_late(late, window, block, closed),
            None => self.learn_block(window, block, closed),
        });
        (self.windows, self.late) = (windows, late);
        done
    }

    /// Compiled twice, for wider vectors where the processor has them; the bits are the same.
    fn learn_block(
        &mut self,
        window: Option<&mut Window>,
        block: &Block,
        closed: &mut Vec<Vec<u8>>,
    ) {
        #[cfg(target_arch = "x86_64")]
        if wide::wide() {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { self.learn_block_wide(window, block, closed) };
        }
        self.learn_block_in_order(window, block, closed);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn learn_block_wide(
        &mut self,
        window: Option<&mut Window>,
        block: &Block,
        closed: &mut Vec<Vec<u8>>,
    ) {
        self.learn_block_in_order(window, block, closed);
    }

    #[inline(always)]
    fn learn_block_in_order(
        &mut self,
        mut window: Option<&mut Window>,
        block: &Block,
        closed: &mut Vec<Vec<u8>>,
    ) {
        let count = block.examples.len();
        self.homes.resize(block.ids.len(), 0);
        for at in 0..count.min(PREFETCH_EXAMPLES) {
            self.prefetch(window.as_deref(), block, at);
        }
        for known in KNOWN_EXAMPLES {
            for at in 0..count.min(known) {
                self.look_again(block, at);
            }
        }
        let mut next = 0;
        while next < count {
            let together = if self.course.record_wise {
                record_at(block, next)
            } else {
                next..next + 1
            };
            next = together.end;
            if together.len() == 1 {
                let at = together.start;
                if self.is_duplicate(&mut window, &block.examples[at]) {
                    self.look_ahead(window.as_deref(), block, at);
                } else {
                    self.learn_example(window.as_deref(), block, at, None);
                }
            } else {
                self.learn_record(&mut window, block, together);
            }
        }
        self.evaluations
            .add(self.course.options.loss, block, &self.judged, closed);
        self.judged.clear();
    }

    /// Score all examples of a record, then learn them one by one; what is judged are those scores.
    fn learn_record(
        &mut self,
        window: &mut Option<&mut Window>,
        block: &Block,
        together: Range<usize>,
    ) {
        let mut said = std::mem::take(&mut self.said);
        for at in together {
            self.look_ahead(window.as_deref(), block, at);
            if !self.is_duplicate(window, &block.examples[at]) {
                let features = block.features(at);
                let (ids, values) = (&block.ids[features.clone()], &block.values[features]);
                said.push((at, self.scorer.score(&self.table, ids, values, &self.state)));
            }
        }
        for (at, score) in said.drain(..) {
            self.learn_example(None, block, at, Some(score));
        }
        self.said = said;
    }

    /// Prefetch for the example so far behind `at`.
    #[inline(always)]
    fn look_ahead(&mut self, window: Option<&Window>, block: &Block, at: usize) {
        let count = block.examples.len();
        if at + PREFETCH_EXAMPLES < count {
            self.prefetch(window, block, at + PREFETCH_EXAMPLES);
        }
        for known in KNOWN_EXAMPLES {
            if at + known < count {
                self.look_again(block, at + known);
            }
        }
    }

    #[inline(always)]
    fn look_again(&mut self, block: &Block, at: usize) {
        let features = block.features(at);
        self.table
            .aim_again(&block.ids[features.clone()], &mut self.homes[features]);
    }

    #[inline(always)]
    fn prefetch(&mut self, window: Option<&Window>, block: &Block, at: usize) {
        let features = block.features(at);
        self.table
            .aim(&block.ids[features.clone()], &mut self.homes[features]);
        if let Some(window) = window {
            window.prefetch(block.examples[at].event_id, PREFETCH_EXAMPLES);
        }
    }

    /// Takes the example into the window of its partition, if it has an id.
    #[inline(always)]
    fn is_duplicate(&mut self, window: &mut Option<&mut Window>, example: &Example) -> bool {
        let Some(window) = window.as_deref_mut().filter(|_| example.event_id != 0) else {
            return false;
        };
        let duplicate = window.accept(example.event_id);
        self.counters.duplicates += u64::from(duplicate);
        duplicate
    }

    /// Note the example to be judged by `said`, or else by its score right now, and look ahead; then learn it.
    #[inline(always)]
    fn learn_example(
        &mut self,
        window: Option<&Window>,
        block: &Block,
        at: usize,
        said: Option<Score>,
    ) {
        let Example {
            label,
            importance,
            served,
            timestamp_us,
            ..
        } = block.examples[at];
        let features = block.features(at);
        let (ids, values) = (
            &block.ids[features.clone()],
            &block.values[features.clone()],
        );
        self.scorer.columns.start(values);
        let sighting = self.counters.learned;
        let (homes, columns) = (&self.homes[features], &mut self.scorer.columns);
        let unseen = self.table.take(ids, homes, sighting, columns);
        let score = self.scorer.finish(&self.state);
        if said.is_none() {
            // Here, where the processor would otherwise wait for the score's last bits.
            self.look_ahead(window, block, at);
        }

        self.counters.learned += 1;
        self.state.watermark_us = self.state.watermark_us.max(timestamp_us);
        let watermark_us = self.state.watermark_us;
        let Score {
            score: log_odds,
            prediction,
        } = said.unwrap_or(score);
        self.judged.push(Judged {
            score: log_odds,
            prediction,
            label,
            importance,
            served,
            at: at as u32,
            unseen,
            watermark_us,
        });

        self.scorer.learn(score, label, importance, &mut self.state);
        self.table.write(ids, &mut self.scorer.columns);
        self.state.count(&self.course.options, label, importance);
        if let Some(expiry) = &mut self.expiry {
            let (learned, scorer) = (self.counters.learned, &self.scorer);
            expiry.see(ids);
            expiry.turn(learned, watermark_us, &mut self.table, |row| {
                scorer.weight(row)
            });
        }
    }
}

/// The examples of the record that begins at `from`.
pub(crate) fn record_at(block: &Block, from: usize) -> Range<usize> {
    let record = block.examples[from].record;
    let len = block.examples[from..]
        .iter()
        .take_while(|example| example.record == record)
        .count();
    from..from + len
}

#[cfg(test)]
#[path = "tests/trainer.rs"]
mod tests;
