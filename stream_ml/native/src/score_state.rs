//! What a score needs that is not a row: base rate, bias, watermark. It travels in every delta.

use crate::codec::{Damaged, Reader, Writer};
use crate::loss;
use crate::math::MATH_VERSION;
use crate::optimizer::{self, Optimizer};
use crate::options::{LearnerOptions, Loss};
use crate::rows::{Columns, Row};
use crate::table::Table;

const MAGIC: u32 = u32::from_le_bytes(*b"SMsc");
const VERSION: u32 = 1;
/// Rows that stand for a score state where learners share their weights; their ids are the first, which no feature has.
pub const RESERVED: usize = 3;

/// `score = base + bias + Σ w x`.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreState {
    /// Score of the base rate, as of the examples counted so far.
    pub base: f32,
    pub bias: Row,
    /// The latest event time learned, microseconds since 1970; `i64::MIN` before the first.
    pub watermark_us: i64,
    /// Examples that `base` was measured over, until it is frozen, with their importance and labels.
    examples: u64,
    importance_sum: f64,
    label_sum: f64,
}

impl ScoreState {
    pub fn new(options: &LearnerOptions) -> ScoreState {
        let base = options.base_rate.map_or_else(
            || smoothed(options.loss, 0.0, 0.0),
            |rate| options.loss.score(rate),
        );
        ScoreState {
            base: loss::bounded(base as f32),
            bias: Row::default(),
            watermark_us: i64::MIN,
            examples: 0,
            importance_sum: 0.0,
            label_sum: 0.0,
        }
    }

    /// Whether an example was learned: it leaves its time, a base rate that is measured, or a bias. Each may be missing: a
    /// model need not read a time, nor measure its base rate, and a variant begun with a seed may read another time.
    pub fn has_learned(&self) -> bool {
        let measured = (1..u64::MAX).contains(&self.examples);
        self.watermark_us != i64::MIN || measured || self.bias != Row::default()
    }

    /// Count one example into the base rate, unless it is known or frozen.
    #[inline(always)]
    pub(crate) fn count(&mut self, options: &LearnerOptions, label: f32, importance: f32) {
        if self.is_frozen(options) {
            return;
        }
        self.examples += 1;
        self.importance_sum += f64::from(importance);
        self.label_sum += f64::from(importance) * f64::from(label);
        self.base =
            loss::bounded(smoothed(options.loss, self.label_sum, self.importance_sum) as f32);
    }

    /// Whether `count` changes nothing any more.
    pub(crate) fn is_frozen(&self, options: &LearnerOptions) -> bool {
        options.base_rate.is_some() || self.examples >= options.base_rate_events
    }

    /// Go on under other options with the same score of everything. The base stays what it is, whatever rate the options
    /// name: measuring begins anew nowhere, for the first labels would move every score.
    pub(crate) fn adopt(&mut self, options: &LearnerOptions, before: &LearnerOptions) {
        let (new, old) = (Optimizer::new(options), Optimizer::new(before));
        self.bias = new.of_bias().adopt(&old.of_bias(), self.bias);
        if before.base_rate.is_some() {
            self.examples = u64::MAX;
        }
    }

    /// The same as rows that many learners add to: bias; sums of labels and importance; count of examples.
    ///
    /// A base rate that was taken over from another model file has no sums, so rows cannot say it: None.
    pub fn to_shared_rows(&self) -> Option<[Row; RESERVED]> {
        (self.examples != u64::MAX).then(|| self.to_rows())
    }

    /// The rows, of a state that came from such rows.
    pub fn to_rows(&self) -> [Row; RESERVED] {
        let sums = Row {
            z: self.label_sum as f32,
            n: self.importance_sum as f32,
        };
        let count = Row {
            z: self.examples as f32,
            n: 0.0,
        };
        [self.bias, sums, count]
    }

    /// Take over what other learners added to those rows.
    pub fn adopt_rows(&mut self, options: &LearnerOptions, rows: [Row; RESERVED]) {
        let [bias, sums, count] = rows;
        self.bias = bias;
        if options.base_rate.is_none() {
            (self.label_sum, self.importance_sum) = (f64::from(sums.z), f64::from(sums.n));
            self.examples = count.z as u64;
            self.base =
                loss::bounded(smoothed(options.loss, self.label_sum, self.importance_sum) as f32);
        }
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::new(MAGIC, VERSION);
        self.write(&mut writer);
        writer.finish()
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<ScoreState, Damaged> {
        let mut reader = Reader::new(bytes, "score state", MAGIC, VERSION)?;
        let state = ScoreState::read(&mut reader)?;
        reader.finish()?;
        Ok(state)
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u32(MATH_VERSION);
        for value in [self.base, self.bias.z, self.bias.n] {
            writer.f32(value);
        }
        writer.i64(self.watermark_us);
        writer.u64(self.examples);
        writer.f64(self.importance_sum);
        writer.f64(self.label_sum);
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<ScoreState, Damaged> {
        let math = reader.u32()?;
        if math != MATH_VERSION {
            return Err(Damaged(format!(
                "made with math version {math}, this release has {MATH_VERSION}"
            )));
        }
        Ok(ScoreState {
            base: reader.f32()?,
            bias: Row {
                z: reader.f32()?,
                n: reader.f32()?,
            },
            watermark_us: reader.i64()?,
            examples: reader.u64()?,
            importance_sum: reader.f64()?,
            label_sum: reader.f64()?,
        })
    }
}

/// Score of the mean label with half an event of each kind added (squared: with one label 0).
fn smoothed(loss: Loss, label_sum: f64, importance_sum: f64) -> f64 {
    let half = if loss == Loss::Squared { 0.0 } else { 0.5 };
    loss.score((label_sum + half) / (importance_sum + 1.0))
}

/// Scores examples with a table it does not alter; the same arithmetic as learning, so the same bits.
pub struct Scorer {
    optimizer: Optimizer,
    bias: Optimizer,
    loss: Loss,
    /// Rows and weights of the example scored last, in feature order.
    pub columns: Columns,
}

/// The outcome for one example.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Log-odds (squared: the prediction; poisson: its logarithm).
    pub score: f32,
    pub prediction: f32,
}

impl Scorer {
    pub fn new(options: &LearnerOptions) -> Scorer {
        let optimizer = Optimizer::new(options);
        Scorer {
            optimizer,
            bias: optimizer.of_bias(),
            loss: options.loss,
            columns: Columns::default(),
        }
    }

    /// Score one example; its features' rows stay in `columns` (w x are the contributions, n the uncertainty).
    #[inline(always)]
    pub fn score(
        &mut self,
        table: &Table,
        ids: &[u64],
        values: &[f32],
        state: &ScoreState,
    ) -> Score {
        self.columns.start(values);
        table.read(ids, &mut self.columns);
        self.finish(state)
    }

    /// Weight of a row.
    pub fn weight(&self, row: Row) -> f32 {
        self.optimizer.weight(row.z, row.n)
    }

    /// Weight of the bias; base + this is the score of an example without features.
    #[inline(always)]
    pub fn bias_weight(&self, state: &ScoreState) -> f32 {
        self.bias.weight(state.bias.z, state.bias.n)
    }

    #[inline(always)]
    pub(crate) fn finish(&mut self, state: &ScoreState) -> Score {
        self.optimizer.weights(&mut self.columns);
        let score =
            loss::bounded((state.base + self.bias_weight(state)) + optimizer::dot(&self.columns));
        Score {
            score,
            prediction: self.loss.prediction(score),
        }
    }

    /// Learn the example whose rows are in `columns`: they and the bias after the gradient.
    #[inline(always)]
    pub(crate) fn learn(
        &mut self,
        score: Score,
        label: f32,
        importance: f32,
        state: &mut ScoreState,
    ) {
        let slope = importance * (score.prediction - label);
        self.optimizer.update(slope, &mut self.columns);
        let Row { z, n } = state.bias;
        let (z, n) = self.bias.step(slope, 1.0, self.bias_weight(state), z, n);
        state.bias = Row { z, n };
    }
}

#[cfg(test)]
#[path = "tests/score_state.rs"]
mod tests;
