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
mod tests {
    use super::*;
    use crate::replica::tests::{plan, rows, state};

    #[derive(Default)]
    struct Kept(Vec<Result<Values, (String, String)>>);

    #[derive(Clone, Debug, PartialEq)]
    struct Values {
        prediction: f64,
        log_odds: f64,
        uncertainty: Option<f64>,
        contributions: Option<Vec<(String, f64)>>,
    }

    impl Sink for Kept {
        type Error = std::convert::Infallible;

        fn score(&mut self, score: Score<'_>) -> Result<(), Self::Error> {
            let owned = |shares: &[(&str, f64)]| {
                shares
                    .iter()
                    .map(|(slot, share)| (slot.to_string(), *share))
                    .collect()
            };
            self.0.push(Ok(Values {
                prediction: score.prediction,
                log_odds: score.log_odds,
                uncertainty: score.uncertainty,
                contributions: score.contributions.map(owned),
            }));
            Ok(())
        }

        fn refused(&mut self, reason: &str, detail: &str) -> Result<(), Self::Error> {
            self.0.push(Err((reason.into(), detail.into())));
            Ok(())
        }
    }

    /// Rows for every feature of *event*: z = -1 - k, n = k + 1 of the k-th.
    fn replica(event: &str) -> Arc<Replica> {
        let mut block = Block::default();
        Scanner::new(plan(), Mode::Score).scan_record(event.as_bytes(), 0, -1, &mut block);
        let learned = (0..)
            .zip(&block.ids)
            .map(|(k, id)| (*id, -1.0 - k as f32, k as f32 + 1.0));
        let replica = Replica::new(plan(), 0).unwrap();
        let learned: Vec<_> = learned.collect();
        replica
            .apply(&rows(&learned), &[], &state().to_bytes(), 1, 0.0)
            .unwrap();
        Arc::new(replica)
    }

    fn scores(
        replica: &Arc<Replica>,
        events: &[&str],
        all: bool,
    ) -> Vec<Result<Values, (String, String)>> {
        let options = ScoreOptions {
            uncertainty: all,
            contributions: all,
            ..ScoreOptions::default()
        };
        let mut kept = Kept::default();
        let events = events.iter().map(|event| event.as_bytes());
        let tally = EventScorer::new(replica.clone())
            .score(events, &options, 100, &mut kept)
            .unwrap();
        let scored = kept.0.iter().filter(|result| result.is_ok()).count();
        assert_eq!(tally.scored as usize, scored);
        assert_eq!((tally.scored + tally.refused) as usize, kept.0.len());
        kept.0
    }

    /// McMahan et al. 2013, Algorithm 1, with the hyper-parameters of `plan`.
    fn weight(z: f64, n: f64, l1: f64, l2: f64) -> f64 {
        if z.abs() <= l1 {
            0.0
        } else {
            -(z - z.signum() * l1) / ((0.5 + n.sqrt()) / 0.25 + l2)
        }
    }

    #[test]
    fn contributions_are_named_and_sum_to_the_log_odds() {
        let event = r#"{"c":"a","x":-2.5,"w":"one two"}"#;
        let replica = replica(event);
        let score = scores(&replica, &[event], true)[0].clone().unwrap();
        let w = |k: f64| weight(-1.0 - k, k + 1.0, 0.125, 0.75);
        let bias = 0.25f64.ln() + weight(-1.5, 2.25, 0.0, 0.0);
        let expected = [
            ("c", w(0.0)),
            ("x", -2.5 * w(1.0)),
            ("w", w(2.0) + w(3.0)),
            ("bias", bias),
        ];
        let shares = score.contributions.unwrap();
        for ((slot, share), (expected_slot, expected_share)) in shares.iter().zip(expected) {
            assert_eq!(slot, expected_slot);
            assert!(
                (share - expected_share).abs() < 1e-6,
                "{slot}: {share}, {expected_share}"
            );
        }
        let sum: f64 = shares.iter().map(|(_, share)| share).sum();
        assert!((sum - score.log_odds).abs() < 1e-6);
        assert!((score.prediction - 1.0 / (1.0 + (-sum).exp())).abs() < 1e-6);
    }

    #[test]
    fn uncertainty_is_the_learning_rates_of_the_features_and_largest_for_the_unseen() {
        let event = r#"{"c":"a","x":-2.5,"w":"one two"}"#;
        let replica = replica(event);
        let all = scores(&replica, &[event, r#"{"c":"unseen"}"#, "{}"], true);
        let rate = |n: f64| 0.25 / (0.5 + n.sqrt());
        let expected = rate(1.0) + 2.5 * rate(2.0) + rate(3.0) + rate(4.0);
        let uncertainties = all
            .into_iter()
            .map(|score| score.unwrap().uncertainty.unwrap());
        for (found, expected) in uncertainties.zip([expected, 0.25 / 0.5, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found}, {expected}");
        }
    }

    #[test]
    fn a_bad_event_fails_alone_wherever_it_stands() {
        let good = r#"{"c":"a","x":-2.5,"w":"one two"}"#;
        let replica = replica(good);
        let alone = scores(&replica, &[good], false)[0].clone().unwrap();
        let long = format!("{{\"c\":\"{}\"}}", "a".repeat(200));
        let events = [
            "",
            good,
            "nonsense",
            good,
            "{}\n{}",
            r#"{"x":"text"}"#,
            good,
            &long,
            good,
        ];
        let found = scores(&replica, &events, false);
        let reasons: Vec<_> = found
            .iter()
            .map(|result| result.as_ref().err().map(|e| e.0.as_str()))
            .collect();
        let (json, wrong, large) = (Some("invalid_json"), Some("wrong_type"), Some("too_large"));
        assert_eq!(
            reasons,
            [json, None, json, None, json, wrong, None, large, None]
        );
        assert!(found.iter().flatten().all(|score| *score == alone));
    }

    #[test]
    fn a_call_longer_than_a_lock_scores_every_event_in_its_place() {
        let good = r#"{"c":"a","x":-2.5,"w":"one two"}"#;
        let replica = replica(good);
        let events: Vec<&str> = (0..200)
            .map(|at| if at % 7 == 3 { "?" } else { good })
            .collect();
        let found = scores(&replica, &events, false);
        assert!(
            found
                .iter()
                .enumerate()
                .all(|(at, result)| result.is_err() == (at % 7 == 3))
        );
    }
}
