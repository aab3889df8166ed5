//! Sums over examples that were scored before they were learned, and histograms of their log-odds.

use serde_json::{Map, Value, json};

use crate::codec::{Damaged, Reader, Writer};
use crate::math;
use crate::options::Loss;

/// Of the histograms of a whole evaluation: bins of 1/16 log-odds.
const WHOLE: usize = 512;
/// Log-odds beyond ± this belong to the outer bins.
const BINNED_LOG_ODDS: usize = 16;

/// Sums from which every figure follows; two tallies add up to that of all their examples.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally<const BINS: usize = WHOLE> {
    pub examples: u64,
    pub importance_sum: f64,
    pub label_sum: f64,
    pub prediction_sum: f64,
    pub loss_sum: f64,
    /// Importance of positives and negatives by log-odds; a label between counts on both sides.
    positives: Box<[f64; BINS]>,
    negatives: Box<[f64; BINS]>,
}

impl<const BINS: usize> Default for Tally<BINS> {
    fn default() -> Tally<BINS> {
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

/// What was said of one example, and what it cost.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub score: f32,
    pub prediction: f32,
    pub label: f32,
    pub importance: f32,
    pub cost: f64,
}

impl<const BINS: usize> Tally<BINS> {
    /// Count one example.
    #[inline(always)]
    pub fn add(&mut self, loss: Loss, said: Said) {
        let Said {
            score,
            prediction,
            label,
            importance,
            cost,
        } = said;
        let weight = f64::from(importance);
        self.examples += 1;
        self.importance_sum += weight;
        self.label_sum += weight * f64::from(label);
        self.prediction_sum += weight * f64::from(prediction);
        self.loss_sum += weight * cost;
        if loss == Loss::Logistic {
            let bin = bin_of::<BINS>(score);
            self.positives[bin] += weight * f64::from(label);
            self.negatives[bin] += weight * (1.0 - f64::from(label));
        }
    }

    pub fn merge(&mut self, other: &Tally<BINS>) {
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
        let [importance_sum, label_sum, prediction_sum, loss_sum] = self.named_sums();
        [
            ("examples", self.examples as f64),
            ("log_loss", self.log_loss().unwrap_or(f64::NAN)),
            ("auc", self.auc().unwrap_or(f64::NAN)),
            ("calibration", self.calibration().unwrap_or(f64::NAN)),
            (
                "normalized_entropy",
                self.normalized_entropy().unwrap_or(f64::NAN),
            ),
            importance_sum,
            label_sum,
            prediction_sum,
            loss_sum,
        ]
    }

    fn named_sums(&self) -> [(&'static str, f64); 4] {
        [
            ("importance_sum", self.importance_sum),
            ("label_sum", self.label_sum),
            ("prediction_sum", self.prediction_sum),
            ("loss_sum", self.loss_sum),
        ]
    }

    /// The figures, with null for NaN, and the histograms.
    pub fn to_json(&self) -> Value {
        self.json_of(&self.figures())
    }

    /// The sums that figures follow from, and the histograms.
    pub fn sums_to_json(&self) -> Value {
        self.json_of(&self.named_sums())
    }

    fn json_of(&self, figures: &[(&str, f64)]) -> Value {
        let named = figures
            .iter()
            .map(|(name, figure)| (name.to_string(), json!(figure)));
        let mut value = Value::Object(named.collect::<Map<_, _>>());
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

    pub(crate) fn read(reader: &mut Reader) -> Result<Tally<BINS>, Damaged> {
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

/// The bin of a score among so many.
#[inline(always)]
pub fn bin_of<const BINS: usize>(score: f32) -> usize {
    let bins_per_log_odds = (BINS / (2 * BINNED_LOG_ODDS)) as f32;
    // A float that does not fit becomes the nearest integer that does; of 32 bits, so that many become vectors.
    let bin = (score * bins_per_log_odds + (BINS / 2) as f32) as i32;
    bin.clamp(0, BINS as i32 - 1) as usize
}

#[cfg(test)]
#[path = "tests/tally.rs"]
mod tests;
