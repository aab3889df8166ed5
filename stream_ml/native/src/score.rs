//! Scores of raw events: scanned as the learner does, then predicted with the rows as they are now.

use std::ops::Range;
use std::sync::Arc;

use crate::block::{Block, Reason, Refusal};
use crate::call::ScoreOptions;
use crate::options::LearnerOptions;
use crate::replica::{Replica, Weights};
use crate::scan::{Mode, Scanner};
use crate::score_state::{ScoreState, Scorer as RowScorer};

/// Events scored under one lock: a writer waits some 50 µs at most.
const EVENTS_A_LOCK: usize = 64;
/// How many events ahead rows are fetched.
const AHEAD: usize = 4;

/// The score of one event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score<'a> {
    pub prediction: f64,
    pub log_odds: f64,
    pub uncertainty: Option<f64>,
    /// Slot and share; None where not asked for.
    pub contributions: Option<&'a [(&'a str, f64)]>,
}

/// Takes the results, one call an event, in order.
pub trait Sink {
    type Error;
    fn score(&mut self, score: Score<'_>) -> Result<(), Self::Error>;
    fn refused(&mut self, reason: &str, detail: &str) -> Result<(), Self::Error>;
}

/// How many events had which result.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    pub scored: u64,
    pub refused: u64,
}

/// Scores with one replica, for one thread; holds the memory that calls reuse.
pub struct EventScorer {
    replica: Arc<Replica>,
    plain: Scanner,
    /// Notes the slot of each feature, which costs time; made when first asked for.
    naming: Option<Scanner>,
    block: Block,
    rows: RowScorer,
}

impl EventScorer {
    pub fn new(replica: Arc<Replica>) -> Self {
        EventScorer {
            plain: Scanner::new(replica.plan().clone(), Mode::Score),
            naming: None,
            block: Block::default(),
            rows: RowScorer::new(replica.plan().learner()),
            replica,
        }
    }

    /// Score *events*, each one JSON object; what cannot be scored fails alone.
    pub fn score<'e, S: Sink>(
        &mut self,
        events: impl ExactSizeIterator<Item = &'e [u8]>,
        options: &ScoreOptions,
        max_event_bytes: usize,
        sink: &mut S,
    ) -> Result<Tally, S::Error> {
        let count = events.len();
        self.scan(events, options.contributions, max_event_bytes);
        let replica = self.replica.clone();
        let (mut at, mut tally) = (Place::default(), Tally::default());
        for first in (0..count).step_by(EVENTS_A_LOCK) {
            let weights = replica.read();
            for event in first..count.min(first + EVENTS_A_LOCK) {
                match self.found(event, &mut at) {
                    Found::Example(example) => {
                        self.score_example(example, &weights, options, sink)?;
                        tally.scored += 1;
                    }
                    Found::Refused(reason, detail) => {
                        sink.refused(reason, detail)?;
                        tally.refused += 1;
                    }
                }
            }
        }
        Ok(tally)
    }

    fn scan<'e>(
        &mut self,
        events: impl Iterator<Item = &'e [u8]>,
        name_slots: bool,
        max_event_bytes: usize,
    ) {
        let scanner = match name_slots {
            false => &mut self.plain,
            true => self.naming.get_or_insert_with(|| {
                Scanner::new(self.replica.plan().clone(), Mode::Score).name_slots()
            }),
        };
        self.block.clear();
        for (index, event) in events.enumerate() {
            if event.len() > max_event_bytes {
                self.block
                    .refusals
                    .push(too_large(index, event.len(), max_event_bytes));
            } else {
                scanner.scan_record(event, index as u32, -1, &mut self.block);
            }
        }
    }

    /// What the scan made of event number *event*; *at* moves on.
    fn found(&self, event: usize, at: &mut Place) -> Found<'_> {
        let is_its = |record: u32| record as usize == event;
        let examples = &self.block.examples[at.example..];
        let examples = examples
            .iter()
            .take_while(|example| is_its(example.record))
            .count();
        let refusals = &self.block.refusals[at.refusal..];
        let refused = refusals
            .iter()
            .take_while(|refusal| is_its(refusal.record))
            .count();
        let (example, refusal) = (at.example, refusals.first());
        *at = Place {
            example: at.example + examples,
            refusal: at.refusal + refused,
        };
        match (examples, refused, refusal) {
            (1, 0, _) => Found::Example(example),
            (0, 1, Some(refusal)) => Found::Refused(refusal.reason.code(), &refusal.detail),
            (0, 0, _) => Found::Refused(Reason::InvalidJson.code(), "the event is empty"),
            _ => Found::Refused(
                Reason::InvalidJson.code(),
                "several lines in one event: each needs an entry of its own",
            ),
        }
    }

    fn score_example<S: Sink>(
        &mut self,
        example: usize,
        weights: &Weights,
        options: &ScoreOptions,
        sink: &mut S,
    ) -> Result<(), S::Error> {
        self.prefetch(example, weights);
        let range = self.block.features(example);
        let ids = &self.block.ids[range.clone()];
        let values = &self.block.values[range.clone()];
        let score = self.rows.score(&weights.table, ids, values, &weights.state);
        let contributions = options
            .contributions
            .then(|| self.contributions(range, &weights.state));
        sink.score(Score {
            prediction: score.prediction.into(),
            log_odds: score.score.into(),
            uncertainty: options.uncertainty.then(|| self.uncertainty(values)),
            contributions: contributions.as_deref(),
        })
    }

    /// Fetch the rows of the example that is `AHEAD` from here; those before it too, at the first.
    fn prefetch(&self, example: usize, weights: &Weights) {
        let end = self.block.examples.len().min(example + AHEAD + 1);
        let start = if example == 0 { 0 } else { example + AHEAD };
        for ahead in start..end {
            let ids = &self.block.ids[self.block.features(ahead)];
            weights.table.prefetch(ids);
        }
    }

    /// Shares of the slots, in their order, then the bias, of the example scored last.
    fn contributions(&self, range: Range<usize>, state: &ScoreState) -> Vec<(&str, f64)> {
        let slots = self.replica.plan().slots();
        let columns = &self.rows.columns;
        let mut shares: Vec<(u16, f64)> = Vec::new();
        for (slot, (w, x)) in self.block.slots[range]
            .iter()
            .zip(columns.w.iter().zip(&columns.x))
        {
            let share = f64::from(w * x);
            match shares.last_mut() {
                Some((last, sum)) if last == slot => *sum += share,
                _ => shares.push((*slot, share)),
            }
        }
        let bias = f64::from(state.base) + f64::from(self.rows.bias_weight(state));
        let named = shares
            .into_iter()
            .map(|(slot, share)| (slots[slot as usize].name.as_str(), share));
        named.chain([("bias", bias)]).collect()
    }

    /// `Σ |x| · alpha / (beta + √n)` of the example scored last (McMahan et al. 2013, section 6).
    fn uncertainty(&self, values: &[f32]) -> f64 {
        let LearnerOptions { alpha, beta, .. } = *self.replica.plan().learner();
        let rate = |n: f32| f64::from(alpha) / (f64::from(beta) + f64::from(n).sqrt());
        let features = values.iter().zip(&self.rows.columns.n);
        features.fold(0.0, |sum, (x, n)| sum + f64::from(x.abs()) * rate(*n))
    }
}

#[derive(Default)]
struct Place {
    example: usize,
    refusal: usize,
}

enum Found<'a> {
    Example(usize),
    Refused(&'a str, &'a str),
}

fn too_large(index: usize, length: usize, limit: usize) -> Refusal {
    Refusal {
        record: index as u32,
        index: 0,
        start: 0,
        end: length as u32,
        reason: Reason::TooLarge,
        detail: format!("{length} bytes, the limit is {limit}"),
    }
}

#[cfg(test)]
#[path = "tests/score.rs"]
mod tests;
