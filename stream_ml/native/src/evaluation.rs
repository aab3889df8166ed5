//! Progressive validation: sums over examples that were scored before they were learned.

use serde_json::{Value, json};

use crate::codec::{Damaged, Reader, Writer};
use crate::math;
use crate::options::Loss;

/// Log-odds are counted in this many bins of 1/16 each; what lies beyond ±16 belongs to the outer ones.
pub const BINS: usize = 512;
const BINS_PER_LOG_ODDS: f32 = 16.0;
/// Of an evaluation's JSON.
const FORMAT: u32 = 1;
/// Examples whose costs are computed together.
const COSTS: usize = 64;

/// Sums from which every figure follows; two tallies add up to that of all their examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    pub examples: u64,
    pub importance_sum: f64,
    pub label_sum: f64,
    pub prediction_sum: f64,
    pub loss_sum: f64,
    /// Importance of positives and negatives by log-odds; a label between counts on both sides.
    positives: Box<[f64; BINS]>,
    negatives: Box<[f64; BINS]>,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally {
            examples: 0,
            importance_sum: 0.0,
            label_sum: 0.0,
            prediction_sum: 0.0,
            loss_sum: 0.0,
            positives: Box::new([0.0; BINS]),
            negatives: Box::new([0.0; BINS]),
        }
    }
}

/// One scored example.
#[derive(Clone, Copy, Debug)]
pub struct Judged {
    pub score: f32,
    pub prediction: f32,
    pub label: f32,
    pub importance: f32,
    /// What was served at decision time; NaN if the event did not say.
    pub served: f32,
    /// The latest event time up to this one.
    pub watermark_us: i64,
}

impl Tally {
    /// Count one example, which cost `cost`.
    #[inline]
    pub fn add(&mut self, loss: Loss, judged: Judged, cost: f64) {
        let Judged {
            score,
            prediction,
            label,
            importance,
            ..
        } = judged;
        let weight = f64::from(importance);
        self.examples += 1;
        self.importance_sum += weight;
        self.label_sum += weight * f64::from(label);
        self.prediction_sum += weight * f64::from(prediction);
        self.loss_sum += weight * cost;
        if loss == Loss::Logistic {
            let bin = bin_of(score);
            self.positives[bin] += weight * f64::from(label);
            self.negatives[bin] += weight * (1.0 - f64::from(label));
        }
    }

    pub fn merge(&mut self, other: &Tally) {
        self.examples += other.examples;
        for (sum, other) in self.sums_mut().into_iter().zip(other.sums()) {
            *sum += other;
        }
        for (bin, other) in self.positives.iter_mut().zip(other.positives.iter()) {
            *bin += other;
        }
        for (bin, other) in self.negatives.iter_mut().zip(other.negatives.iter()) {
            *bin += other;
        }
    }

    fn sums(&self) -> [f64; 4] {
        [
            self.importance_sum,
            self.label_sum,
            self.prediction_sum,
            self.loss_sum,
        ]
    }

    fn sums_mut(&mut self) -> [&mut f64; 4] {
        [
            &mut self.importance_sum,
            &mut self.label_sum,
            &mut self.prediction_sum,
            &mut self.loss_sum,
        ]
    }

    /// Mean loss.
    pub fn log_loss(&self) -> Option<f64> {
        ratio(self.loss_sum, self.importance_sum)
    }

    /// Mean prediction / mean label.
    pub fn calibration(&self) -> Option<f64> {
        ratio(self.prediction_sum, self.label_sum)
    }

    /// Log loss / that of always saying the mean label (He et al. 2014).
    pub fn normalized_entropy(&self) -> Option<f64> {
        let mean = ratio(self.label_sum, self.importance_sum)?;
        ratio(
            self.log_loss()?,
            -(mean * math::ln(mean) + (1.0 - mean) * math::ln(1.0 - mean)),
        )
    }

    /// Area under the ROC curve: the chance that a positive scores above a negative; a tie within a bin counts half.
    pub fn auc(&self) -> Option<f64> {
        let (mut below, mut area, mut positive) = (0.0, 0.0, 0.0);
        for (p, n) in self.positives.iter().zip(self.negatives.iter()) {
            area += p * (below + n / 2.0);
            below += n;
            positive += p;
        }
        ratio(area, positive * below)
    }

    /// Every figure by name, and the sums they follow from; NaN where it does not exist yet.
    pub fn figures(&self) -> [(&'static str, f64); 9] {
        [
            ("examples", self.examples as f64),
            ("log_loss", self.log_loss().unwrap_or(f64::NAN)),
            ("auc", self.auc().unwrap_or(f64::NAN)),
            ("calibration", self.calibration().unwrap_or(f64::NAN)),
            (
                "normalized_entropy",
                self.normalized_entropy().unwrap_or(f64::NAN),
            ),
            ("importance_sum", self.importance_sum),
            ("label_sum", self.label_sum),
            ("prediction_sum", self.prediction_sum),
            ("loss_sum", self.loss_sum),
        ]
    }

    /// The same, with null for NaN, and the histograms.
    fn to_json(&self) -> Value {
        let figures = self
            .figures()
            .into_iter()
            .map(|(name, figure)| (name.to_string(), json!(figure)));
        let mut value = Value::Object(figures.collect());
        value["examples"] = json!(self.examples);
        value["positives"] = json!(self.positives[..]);
        value["negatives"] = json!(self.negatives[..]);
        value
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u64(self.examples);
        self.sums()
            .iter()
            .chain(&self.positives[..])
            .chain(&self.negatives[..])
            .for_each(|&sum| writer.f64(sum));
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Tally, Damaged> {
        let mut tally = Tally {
            examples: reader.u64()?,
            ..Tally::default()
        };
        for sum in tally.sums_mut() {
            *sum = reader.f64()?;
        }
        for bin in tally.positives.iter_mut().chain(tally.negatives.iter_mut()) {
            *bin = reader.f64()?;
        }
        Ok(tally)
    }
}

fn ratio(above: f64, below: f64) -> Option<f64> {
    Some(above / below).filter(|ratio| ratio.is_finite())
}

#[inline]
fn bin_of(score: f32) -> usize {
    // A float that does not fit becomes the nearest integer that does.
    ((score * BINS_PER_LOG_ODDS + (BINS / 2) as f32) as usize).min(BINS - 1)
}

/// The figures of what the learner said, and of what was served at decision time where events bring it back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    pub progressive: Tally,
    pub served: Tally,
}

impl Evaluation {
    fn merge(&mut self, other: &Evaluation) {
        self.progressive.merge(&other.progressive);
        self.served.merge(&other.served);
    }
}

/// The open evaluation, and the sum of the closed ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluations {
    /// Examples of one evaluation.
    every: u64,
    /// Number of the open one.
    pub index: u64,
    open: Evaluation,
    closed: Evaluation,
}

impl Evaluations {
    pub fn new(every: u64) -> Evaluations {
        Evaluations {
            every: every.max(1),
            index: 0,
            open: Evaluation::default(),
            closed: Evaluation::default(),
        }
    }

    /// Count examples in order; the JSON of each evaluation that closes is appended to `closed`.
    #[inline(always)]
    pub fn add(&mut self, loss: Loss, judged: &[Judged], closed: &mut Vec<Vec<u8>>) {
        let mut costs = [0.0; COSTS];
        for judged in judged.chunks(COSTS) {
            loss.costs(judged.iter().map(|one| (one.score, one.label)), &mut costs);
            for (&one, &cost) in judged.iter().zip(&costs) {
                self.open.progressive.add(loss, one, cost);
                if !one.served.is_nan() {
                    self.add_served(loss, one);
                }
                if self.open.progressive.examples >= self.every {
                    closed.push(self.close(one.watermark_us));
                }
            }
        }
    }

    fn add_served(&mut self, loss: Loss, judged: Judged) {
        let Judged { served, label, .. } = judged;
        let prediction = f64::from(served);
        // A probability of exactly 0 or 1 would cost infinitely much.
        let bounded = if loss == Loss::Logistic {
            prediction.clamp(1e-7, 1.0 - 1e-7)
        } else {
            prediction
        };
        let score = loss.score(bounded) as f32;
        let judged = Judged {
            score,
            prediction: served,
            ..judged
        };
        self.open.served.add(loss, judged, loss.cost(score, label));
    }

    #[cold]
    fn close(&mut self, watermark_us: i64) -> Vec<u8> {
        let Tally { examples, .. } = self.open.progressive;
        let from = self.closed.progressive.examples;
        let mut value = self.open.progressive.to_json();
        value["format"] = json!(FORMAT);
        value["index"] = json!(self.index);
        value["learned_from"] = json!(from);
        value["learned_to"] = json!(from + examples);
        value["watermark_us"] = json!((watermark_us != i64::MIN).then_some(watermark_us));
        value["served"] = if self.open.served.examples > 0 {
            self.open.served.to_json()
        } else {
            Value::Null
        };
        self.closed.merge(&self.open);
        self.open = Evaluation::default();
        self.index += 1;
        value.to_string().into_bytes()
    }

    /// All examples so far.
    pub fn total(&self) -> Evaluation {
        let mut total = self.closed.clone();
        total.merge(&self.open);
        total
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u64(self.every);
        writer.u64(self.index);
        for tally in [
            &self.open.progressive,
            &self.open.served,
            &self.closed.progressive,
            &self.closed.served,
        ] {
            tally.write(writer);
        }
    }

    pub(crate) fn read(reader: &mut Reader) -> Result<Evaluations, Damaged> {
        let (every, index) = (reader.u64()?, reader.u64()?);
        let mut evaluation = || {
            let (progressive, served) = (Tally::read(reader)?, Tally::read(reader)?);
            Ok(Evaluation {
                progressive,
                served,
            })
        };
        Ok(Evaluations {
            every,
            index,
            open: evaluation()?,
            closed: evaluation()?,
        })
    }
}

#[cfg(test)]
#[path = "tests/evaluation.rs"]
mod tests;
