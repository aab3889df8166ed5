//! Progressive validation of challengers: sums over blocks of the same examples.

use crate::optimizer::Lanes;
use crate::options::Loss;
use crate::rows::LANES;

/// Importance-weighted sums of each lane.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    pub loss: [f64; LANES],
    pub prediction: [f64; LANES],
}

/// The open block of a group, and its closed ones.
#[derive(Default)]
pub struct LaneSums {
    pub open: Sums,
    pub closed: Vec<Sums>,
}

impl LaneSums {
    #[inline(always)]
    pub fn add(
        &mut self,
        loss: Loss,
        scores: &Lanes,
        predictions: &Lanes,
        label: f32,
        importance: f32,
    ) {
        let weight = f64::from(importance);
        let mut costs = [0.0; LANES];
        loss.costs(scores.iter().map(|&score| (score, label)), &mut costs);
        let Sums {
            loss: losses,
            prediction,
        } = &mut self.open;
        for lane in 0..LANES {
            losses[lane] += weight * costs[lane];
            prediction[lane] += weight * f64::from(predictions[lane]);
        }
    }

    pub fn close(&mut self) {
        self.closed.push(std::mem::take(&mut self.open));
    }
}

/// What all challengers have in common of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Common {
    /// Examples judged before the block, and up to its end.
    pub from: u64,
    pub to: u64,
    pub importance_sum: f64,
    pub label_sum: f64,
    pub watermark_us: i64,
}

/// A closed block: what is common, and by challenger its sums of loss and prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    pub common: Common,
    pub loss: Vec<f64>,
    pub prediction: Vec<f64>,
}

impl Figures {
    /// Put together from the groups' sums of the same block.
    pub fn new(common: Common, groups: &[(usize, Sums)]) -> Figures {
        let all = |of: fn(&Sums) -> &[f64; LANES]| {
            groups
                .iter()
                .flat_map(|(lanes, sums)| of(sums)[..*lanes].to_vec())
                .collect()
        };
        Figures {
            common,
            loss: all(|sums| &sums.loss),
            prediction: all(|sums| &sums.prediction),
        }
    }
}
