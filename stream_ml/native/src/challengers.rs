//! Many challengers over one scan of the events: the rows that a feature has in eight of them share a cache line.
//!
//! `index` gives each feature its line, once for all; `group` learns eight challengers side by side with the arithmetic of
//! one learner; `team` shares scanning, indexing and groups out to threads. The bits are those of a learner of its own for
//! each challenger, for any number of threads, but for challengers of fewer slots, whose sums go another way.

use std::sync::Mutex;

use crate::block::Block;
use crate::codec::Damaged;
use crate::optimizer::Optimizer;
use crate::options::LearnerOptions;
use crate::pipeline::Job;
use crate::records::{Records, Scan};
use crate::rows::{LANES, Row, parse_rows, push_row};
use crate::scanned::{ScannedBlock, ScannedRange};
use crate::score_state::ScoreState;
pub use figures::{Common, Figures, SegmentFigures};
use group::Group;
pub use histograms::Histogram;
use index::Index;
pub use index::{Counts, Course};
pub use settings::Settings;
use team::{Lent, Source, Team};

/// For those who learn elsewhere: examples in their order, with the line of each feature.
pub mod ordering;

mod figures;
mod group;
mod histograms;
mod index;
mod lines;
mod settings;
mod team;
mod work;

pub struct Challengers<S> {
    scanners: Vec<Mutex<S>>,
    /// None while a call has them.
    lent: Option<Lent>,
}

impl<S: Scan> Challengers<S> {
    /// A thread for each of the scanners. `settings`: all of one loss and optimizer; `slots` of the plan.
    ///
    /// # Panics
    /// Without settings or scanners.
    pub fn new(
        course: Course,
        settings: &[Settings],
        slots: usize,
        scanners: Vec<S>,
        expected_rows: usize,
    ) -> std::io::Result<Challengers<S>> {
        assert!(!settings.is_empty() && !scanners.is_empty());
        let most = course.table.max_rows;
        let groups: Vec<_> = settings
            .chunks(LANES)
            .map(|settings| Group::new(settings, slots, most))
            .collect::<std::io::Result<_>>()?;
        let room = groups.iter().map(|group| group.room()).min();
        let index = Index::new(course, room.unwrap_or(0), expected_rows)?;
        Ok(Challengers {
            scanners: scanners.into_iter().map(Mutex::new).collect(),
            lent: Some(Lent {
                index,
                groups,
                spare: Vec::new(),
            }),
        })
    }

    /// Learn ranges in order; returns the blocks of figures that closed.
    pub fn learn<R: AsRef<[u8]> + Send + Sync>(
        &mut self,
        ranges: Vec<Records<R>>,
    ) -> std::io::Result<Vec<Figures>> {
        let records = ranges.iter().map(|range| range.values.len()).sum();
        let job = Job::new(ranges, Vec::new());
        let scanners = std::mem::take(&mut self.scanners);
        let done = self.run(
            &Fresh {
                job,
                scanners: &scanners,
            },
            scanners.len(),
            records,
        );
        self.scanners = scanners;
        done
    }

    /// Learn ranges that were scanned and kept, in order.
    pub fn learn_scanned(&mut self, ranges: &[ScannedRange]) -> Result<Vec<Figures>, String> {
        let named = |block: &ScannedBlock| block.has_slots();
        if self.lent().index.wants_slots()
            && !ranges.iter().flat_map(|range| &range.blocks).all(named)
        {
            return Err("a kept scan without slots, which challengers differ in".into());
        }
        let records = ranges.iter().map(|range| range.records).sum();
        let blocks = ranges.iter().flat_map(|range| {
            let partition = range.partition;
            range.blocks.iter().map(move |block| (partition, block))
        });
        let kept = Kept(blocks.collect());
        self.run(&kept, self.scanners.len(), records)
            .map_err(|error| error.to_string())
    }

    fn run(
        &mut self,
        source: &impl Source,
        threads: usize,
        records: usize,
    ) -> std::io::Result<Vec<Figures>> {
        let lent = self.lent.take().expect("a call before this one panicked");
        let (mut lent, done) = Team::new(source, threads, lent).run();
        lent.index.count_records(records);
        let figures = closed(&mut lent);
        self.lent = Some(lent);
        done.map(|()| figures)
    }

    fn lent(&self) -> &Lent {
        self.lent.as_ref().expect("a call before this one panicked")
    }

    fn lent_mut(&mut self) -> &mut Lent {
        self.lent.as_mut().expect("a call before this one panicked")
    }

    pub fn counts(&self) -> Counts {
        self.lent().index.counts
    }

    /// Features that have a line; a challenger's rows are those that are not zero.
    pub fn lines(&self) -> usize {
        self.lent().index.ids().len() - 1
    }

    /// Put rows of the wire format into those challengers, as restored, so that each weight is what a learner of the options
    /// `before` had. Nothing changes if one is damaged; an error, too, if there is no room.
    pub fn load_rows(
        &mut self,
        challengers: &[usize],
        before: &LearnerOptions,
        rows: &[u8],
    ) -> Result<(), String> {
        parse_rows(rows).try_for_each(|row| row.map(|_| ()))?;
        let Lent { index, groups, .. } = self.lent_mut();
        let old = Optimizer::new(before);
        for (id, row) in parse_rows(rows).flatten() {
            let line = index.put(id).ok_or("there is no room for the rows")?;
            for &at in challengers {
                let group = &mut groups[at / LANES];
                let new = Optimizer::new(group.options(at % LANES));
                group.put_row(line, at % LANES, new.adopt(&old, row));
            }
        }
        Ok(())
    }

    /// Begin those challengers with the score state of a learner of the options `before`: the same scores.
    pub fn load_score_state(
        &mut self,
        challengers: &[usize],
        before: &LearnerOptions,
        state: &[u8],
    ) -> Result<(), Damaged> {
        let state = ScoreState::from_bytes(state)?;
        let Lent { index, groups, .. } = self.lent_mut();
        index.watermark_us = index.watermark_us.max(state.watermark_us);
        for &at in challengers {
            let group = &mut groups[at / LANES];
            let mut own = state.clone();
            own.adopt(group.options(at % LANES), before);
            group.set_score_state(at % LANES, own);
        }
        Ok(())
    }

    /// Rows of a challenger in the wire format, of at most `most` lines from `from` on; those that are zero are left out.
    pub fn rows(&self, challenger: usize, from: usize, most: usize) -> Vec<u8> {
        let Lent { index, groups, .. } = self.lent();
        let group = &groups[challenger / LANES];
        let mut bytes = Vec::new();
        let lines = index.ids().iter().enumerate().skip(1 + from).take(most);
        for (line, &id) in lines {
            let row = group.row(line, challenger % LANES);
            if row != Row::default() {
                push_row(&mut bytes, id, row);
            }
        }
        bytes
    }

    /// Begin histograms anew: they are of the blocks that begin from here on, as far as those are closed.
    pub fn begin_histograms(&mut self) {
        let Lent { index, groups, .. } = self.lent_mut();
        for group in groups {
            group.sums.histograms.begin(index.is_between_blocks());
        }
    }

    /// How a challenger is calibrated; None where scores are no log-odds.
    pub fn histogram(&self, challenger: usize) -> Option<Histogram> {
        self.lent().groups[challenger / LANES].histogram(challenger % LANES)
    }

    pub fn score_state(&self, challenger: usize) -> ScoreState {
        let Lent { index, groups, .. } = self.lent();
        groups[challenger / LANES].score_state(challenger % LANES, index.watermark_us)
    }
}

/// Figures of the blocks that are closed everywhere.
fn closed(lent: &mut Lent) -> Vec<Figures> {
    let common = std::mem::take(&mut lent.index.closed);
    let sums: Vec<_> = lent
        .groups
        .iter_mut()
        .map(|group| (group.challengers(), std::mem::take(&mut group.sums.closed)))
        .collect();
    let of_block = |at: usize| -> Vec<_> {
        sums.iter()
            .map(|(lanes, sums)| (*lanes, &sums[at]))
            .collect()
    };
    let blocks = common.into_iter().enumerate();
    blocks
        .map(|(at, common)| Figures::new(common, &of_block(at), &lent.index.names))
        .collect()
}

/// Records that are yet to be scanned.
struct Fresh<'a, S, R> {
    job: Job<R>,
    scanners: &'a [Mutex<S>],
}

impl<S: Scan, R: AsRef<[u8]> + Send + Sync> Source for Fresh<'_, S, R> {
    fn pieces(&self) -> usize {
        self.job.pieces()
    }

    fn fill(&self, piece: usize, block: &mut Block) -> i32 {
        // As many scanners as threads: one is free.
        let free = self.scanners.iter().find_map(|one| one.try_lock().ok());
        let mut scanner = free.expect("a thread that panicked holds it");
        self.job.fill(&mut *scanner, piece, block)
    }
}

struct Kept<'a>(Vec<(i32, &'a ScannedBlock<'a>)>);

impl Source for Kept<'_> {
    fn pieces(&self) -> usize {
        self.0.len()
    }

    fn fill(&self, piece: usize, block: &mut Block) -> i32 {
        let (partition, kept) = self.0[piece];
        kept.fill(block);
        partition
    }
}

#[cfg(test)]
#[path = "tests/challengers.rs"]
mod tests;
