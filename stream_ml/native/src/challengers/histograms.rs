//! How well the lanes of a group are calibrated: importance, labels and predictions by the log-odds that were said.

use crate::evaluation::BINS;
use crate::optimizer::Lanes;
use crate::rows::LANES;
use crate::tally::bin_of;

const POSITIVES: usize = 0;
const NEGATIVES: usize = 1;
const PREDICTIONS: usize = 2;

/// The three sums, and room: one vector.
type Sums = [f64; 4];
/// By bin and lane.
type Bins = [[Sums; LANES]; BINS];

/// One challenger's; each has a figure for every bin, of 1/2 log-odds; number 32 begins at 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Importance of positives and of negatives; a label between counts on both sides.
    pub positives: Vec<f64>,
    pub negatives: Vec<f64>,
    /// Sum of importance × prediction.
    pub predictions: Vec<f64>,
}

/// Of the blocks that closed since it began.
pub struct Histograms {
    open: Box<Bins>,
    closed: Box<Bins>,
    /// The open block began before, and is not counted.
    passes: bool,
}

impl Default for Histograms {
    fn default() -> Histograms {
        Histograms {
            open: Box::new([[[0.0; 4]; LANES]; BINS]),
            closed: Box::new([[[0.0; 4]; LANES]; BINS]),
            passes: false,
        }
    }
}

impl Histograms {
    #[inline(always)]
    pub fn add(&mut self, scores: &Lanes, predictions: &Lanes, label: f32, weight: f64) {
        let positive = weight * f64::from(label);
        let negative = weight * (1.0 - f64::from(label));
        let bins = scores.map(bin_of::<BINS>);
        let said = predictions.map(|prediction| weight * f64::from(prediction));
        for lane in 0..LANES {
            let sums = &mut self.open[bins[lane]][lane];
            let more = [positive, negative, said[lane], 0.0];
            for (sum, more) in sums.iter_mut().zip(more) {
                *sum += more;
            }
        }
    }

    /// The open block ends.
    pub fn close(&mut self) {
        if !self.passes {
            let sums = self.closed.as_flattened_mut().as_flattened_mut();
            let open = self.open.as_flattened().as_flattened();
            for (sum, open) in sums.iter_mut().zip(open) {
                *sum += open;
            }
        }
        self.passes = false;
        *self.open = [[[0.0; 4]; LANES]; BINS];
    }

    /// Begin again, with the next block that begins; `between`: the open one has no example yet.
    pub fn begin(&mut self, between: bool) {
        *self.closed = [[[0.0; 4]; LANES]; BINS];
        self.passes = !between;
    }

    pub fn of(&self, lane: usize) -> Histogram {
        let figure = |figure: usize| self.closed.iter().map(|bin| bin[lane][figure]).collect();
        Histogram {
            positives: figure(POSITIVES),
            negatives: figure(NEGATIVES),
            predictions: figure(PREDICTIONS),
        }
    }
}
