//! The same arithmetic for the rows that one feature has in several models, side by side.

use super::Optimizer;
use crate::options::{LearnerOptions, OptimizerKind};
use crate::rows::LANES;

/// One value of each model.
pub type Lanes = [f32; LANES];

/// Hyper-parameters of as many models as there are lanes, all of one optimizer.
#[derive(Clone, Debug)]
pub struct Optimizers {
    kind: OptimizerKind,
    alpha: Lanes,
    inverse_alpha: Lanes,
    beta: Lanes,
    l1: Lanes,
    l2: Lanes,
    decay: Lanes,
    decay_of_n: Lanes,
}

impl Optimizers {
    /// Of all lanes; where there are fewer options, the last stand for the rest.
    ///
    /// # Panics
    /// Without options, or if they name several optimizers.
    pub fn new(options: &[LearnerOptions]) -> Optimizers {
        let kind = options[0].optimizer;
        assert!(options.iter().all(|other| other.optimizer == kind));
        let all = std::array::from_fn(|lane| Optimizer::new(&options[lane.min(options.len() - 1)]));
        Optimizers::of(kind, all)
    }

    fn of(kind: OptimizerKind, all: [Optimizer; LANES]) -> Optimizers {
        Optimizers {
            kind,
            alpha: all.map(|one| one.alpha),
            inverse_alpha: all.map(|one| one.inverse_alpha),
            beta: all.map(|one| one.beta),
            l1: all.map(|one| one.l1),
            l2: all.map(|one| one.l2),
            decay: all.map(|one| one.decay),
            decay_of_n: all.map(|one| one.decay_of_n),
        }
    }

    pub fn of_bias(&self) -> Optimizers {
        Optimizers::of(
            self.kind,
            std::array::from_fn(|lane| self.lane(lane).of_bias()),
        )
    }

    #[inline(always)]
    pub fn lane(&self, lane: usize) -> Optimizer {
        Optimizer {
            kind: self.kind,
            alpha: self.alpha[lane],
            inverse_alpha: self.inverse_alpha[lane],
            beta: self.beta[lane],
            l1: self.l1[lane],
            l2: self.l2[lane],
            decay: self.decay[lane],
            decay_of_n: self.decay_of_n[lane],
        }
    }

    /// Weights of rows; `root` is √n.
    #[inline(always)]
    pub fn weights(&self, z: &Lanes, root: &Lanes) -> Lanes {
        match self.kind {
            OptimizerKind::Ftrl => of_each(|lane| self.lane(lane).ftrl_weight(z[lane], root[lane])),
            OptimizerKind::Adagrad | OptimizerKind::Sgd => *z,
            OptimizerKind::Counting => [0.0; LANES],
        }
    }

    /// A feature's rows after an example of which each model has its slope, and its x.
    #[inline(always)]
    pub fn step(
        &self,
        slope: &Lanes,
        x: &Lanes,
        w: &Lanes,
        root: &Lanes,
        rows: &[Lanes; 2],
    ) -> [Lanes; 2] {
        let [z, n] = rows;
        match self.kind {
            OptimizerKind::Ftrl => both(|at| {
                let one = self.lane(at);
                one.ftrl_step(slope[at], x[at], w[at], z[at], n[at], root[at])
            }),
            OptimizerKind::Adagrad | OptimizerKind::Sgd => both(|at| {
                let one = self.lane(at);
                one.proximal_step(slope[at], x[at], z[at], n[at])
            }),
            OptimizerKind::Counting => both(|at| (z[at] + 1.0, n[at])),
        }
    }
}

#[inline(always)]
fn both(value: impl Fn(usize) -> (f32, f32)) -> [Lanes; 2] {
    let [mut z, mut n] = [[0.0; LANES]; 2];
    for lane in 0..LANES {
        (z[lane], n[lane]) = value(lane);
    }
    [z, n]
}

/// A plain loop: `array::from_fn` is not always inlined, and then makes no wide vectors.
#[inline(always)]
pub fn of_each<T: Copy + Default>(value: impl Fn(usize) -> T) -> [T; LANES] {
    let mut values = [T::default(); LANES];
    for (lane, one) in values.iter_mut().enumerate() {
        *one = value(lane);
    }
    values
}
