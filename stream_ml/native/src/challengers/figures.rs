//! Progressive validation of challengers: sums over blocks of the same examples.

use crate::challengers::histograms::Histograms;
use crate::challengers::work::Op;
use crate::evaluation::Names;
use crate::optimizer::Lanes;
use crate::options::Loss;
use crate::rows::LANES;

/// Importance-weighted sums of each lane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums {
    pub loss: [f64; LANES],
    pub prediction: [f64; LANES],
    /// Loss by segment, as many as are needed.
    pub segments: Vec<[f64; LANES]>,
}

/// The open block of a group, and its closed ones.
#[derive(Default)]
pub struct LaneSums {
    pub open: Sums,
    pub closed: Vec<Sums>,
    pub histograms: Histograms,
}

impl LaneSums {
    #[inline(always)]
    pub fn add(&mut self, loss: Loss, scores: &Lanes, predictions: &Lanes, op: &Op) {
        let weight = f64::from(op.importance);
        let mut costs = [0.0; LANES];
        loss.costs(scores.iter().map(|&score| (score, op.label)), &mut costs);
        let Sums {
            loss: losses,
            prediction,
            segments,
        } = &mut self.open;
        for lane in 0..LANES {
            losses[lane] += weight * costs[lane];
            prediction[lane] += weight * f64::from(predictions[lane]);
        }
        if let Some(place) = op.segment.map(usize::from) {
            if segments.len() <= place {
                segments.resize(place + 1, [0.0; LANES]);
            }
            for lane in 0..LANES {
                segments[place][lane] += weight * costs[lane];
            }
        }
        if loss == Loss::Logistic {
            self.histograms.add(scores, predictions, op.label, weight);
        }
    }

    pub fn close(&mut self) {
        self.closed.push(std::mem::take(&mut self.open));
        self.histograms.close();
    }
}

/// How much of a block belongs to a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    pub examples: u64,
    pub importance_sum: f64,
}

/// What all challengers have in common of a block.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Common {
    /// Examples judged before the block, and up to its end.
    pub from: u64,
    pub to: u64,
    pub importance_sum: f64,
    pub label_sum: f64,
    pub watermark_us: i64,
    /// By the segment's place, as many as are needed.
    pub segments: Vec<Share>,
}

impl Common {
    pub fn add(&mut self, label: f32, importance: f32, segment: Option<u8>) {
        let weight = f64::from(importance);
        self.importance_sum += weight;
        self.label_sum += weight * f64::from(label);
        if let Some(place) = segment.map(usize::from) {
            if self.segments.len() <= place {
                self.segments.resize(place + 1, Share::default());
            }
            self.segments[place].examples += 1;
            self.segments[place].importance_sum += weight;
        }
    }
}

/// A segment's part of a closed block.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentFigures {
    /// None: the rest.
    pub name: Option<String>,
    pub share: Share,
    /// Of each challenger.
    pub loss: Vec<f64>,
}

/// A closed block: what is common, and by challenger its sums of loss and prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    pub common: Common,
    pub loss: Vec<f64>,
    pub prediction: Vec<f64>,
    /// Those that had examples.
    pub segments: Vec<SegmentFigures>,
}

impl Figures {
    /// Put together from the groups' sums of the same block.
    pub fn new(mut common: Common, groups: &[(usize, &Sums)], names: &Names) -> Figures {
        let all = |of: &dyn Fn(&Sums) -> [f64; LANES]| -> Vec<f64> {
            let lanes = groups.iter();
            lanes
                .flat_map(|(lanes, sums)| of(sums).into_iter().take(*lanes))
                .collect()
        };
        let shares = std::mem::take(&mut common.segments);
        let there = shares.into_iter().enumerate();
        let segments = there
            .filter(|(_, share)| share.examples > 0)
            .map(|(place, share)| SegmentFigures {
                name: names.get(place).map(Into::into),
                share,
                loss: all(&|sums| sums.segments[place]),
            });
        Figures {
            segments: segments.collect(),
            loss: all(&|sums| sums.loss),
            prediction: all(&|sums| sums.prediction),
            common,
        }
    }
}
