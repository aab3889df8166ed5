//! From rows to weights, and from a gradient to new rows; float32, in the order written here.
//!
//! Every operation is rounded by itself and nothing is fused, so that the width of the vectors does not matter. Tests
//! mirror these lines in numpy, bit for bit.

use crate::options::{LearnerOptions, OptimizerKind};
use crate::rows::{Columns, LANES, Row};
pub use side_by_side::{Lanes, Optimizers, of_each};

mod side_by_side;

/// Bounds that keep every float32 finite whatever the stream says; no sane stream meets them.
const MAX_GRADIENT: f32 = 1e15;
const MAX_N: f32 = 1e38;
const MAX_Z: f32 = 1e30;
const MAX_WEIGHT: f32 = 1e15;
const MAX_RATE: f32 = 1e15;

/// The hyper-parameters of one optimizer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimizer {
    kind: OptimizerKind,
    alpha: f32,
    /// 1 / alpha, rounded once.
    inverse_alpha: f32,
    beta: f32,
    l1: f32,
    l2: f32,
    /// What an update keeps of z and √n, and so of n.
    decay: f32,
    decay_of_n: f32,
}

impl Optimizer {
    pub fn new(options: &LearnerOptions) -> Optimizer {
        let LearnerOptions {
            optimizer: kind,
            alpha,
            beta,
            l1,
            l2,
            decay,
            ..
        } = *options;
        Optimizer {
            kind,
            alpha,
            inverse_alpha: 1.0 / alpha,
            beta,
            l1,
            l2,
            decay,
            decay_of_n: decay * decay,
        }
    }

    /// The same for the bias, which is not regularised.
    pub fn of_bias(&self) -> Optimizer {
        Optimizer {
            l1: 0.0,
            l2: 0.0,
            ..*self
        }
    }

    fn without_decay(&self) -> Optimizer {
        Optimizer {
            decay: 1.0,
            decay_of_n: 1.0,
            ..*self
        }
    }

    /// The row that has the weight under these hyper-parameters that `row` has under those `before`, of one optimizer: a
    /// weight of zero stays zero, n is the same sum of squares whatever they are. Where z is the weight, nothing changes.
    pub fn adopt(&self, before: &Optimizer, row: Row) -> Row {
        debug_assert_eq!(self.kind, before.kind);
        // A weight does not ask how its row will decay.
        if self.kind != OptimizerKind::Ftrl || self.without_decay() == before.without_decay() {
            return row;
        }
        let Row { z, n } = row;
        let w = before.weight(z, n);
        let z = if w == 0.0 {
            z.clamp(-self.l1, self.l1)
        } else {
            let opposite = f64::from(self.l1.copysign(-w));
            bound(
                (opposite - f64::from(w) * f64::from(self.scale(n.sqrt()))) as f32,
                MAX_Z,
            )
        };
        Row { z, n }
    }

    /// The weight of one row.
    #[inline(always)]
    pub fn weight(&self, z: f32, n: f32) -> f32 {
        match self.kind {
            OptimizerKind::Ftrl => self.ftrl_weight(z, n.sqrt()),
            OptimizerKind::Adagrad | OptimizerKind::Sgd => z,
            OptimizerKind::Counting => 0.0,
        }
    }

    /// One row after the gradient of its coordinate, `slope · x`.
    #[inline(always)]
    pub fn step(&self, slope: f32, x: f32, w: f32, z: f32, n: f32) -> (f32, f32) {
        match self.kind {
            OptimizerKind::Ftrl => self.ftrl_step(slope, x, w, z, n, n.sqrt()),
            OptimizerKind::Adagrad | OptimizerKind::Sgd => self.proximal_step(slope, x, z, n),
            OptimizerKind::Counting => (z + 1.0, n),
        }
    }

    /// McMahan et al. 2013, Algorithm 1, "compute":
    /// `w = 0 if |z| <= l1 else -(z - sgn(z) l1) / ((beta + √n) · (1 / alpha) + l2)`; `root` is √n.
    #[inline(always)]
    fn ftrl_weight(&self, z: f32, root: f32) -> f32 {
        let shrunk = z - self.l1.copysign(z);
        let w = bound(-shrunk / self.scale(root), MAX_WEIGHT);
        if z.abs() <= self.l1 { 0.0 } else { w }
    }

    #[inline(always)]
    fn scale(&self, root: f32) -> f32 {
        (self.beta + root) * self.inverse_alpha + self.l2
    }

    /// Algorithm 1, "update": `g = slope · x; sigma = (√(n + g²) − √n) · (1 / alpha); z += g − sigma · w; n += g²`.
    /// With a decay d < 1 every addend of the objective, linear and quadratic, counts d times what it counted before, each
    /// time the feature is learned: `z` becomes d z before, √n d √n. (With d = 1 the bits are those of the paper's lines.)
    #[inline(always)]
    fn ftrl_step(&self, slope: f32, x: f32, w: f32, z: f32, n: f32, root: f32) -> (f32, f32) {
        let g = bound(slope * x, MAX_GRADIENT);
        let grown = at_most(n * self.decay_of_n + g * g, MAX_N);
        let sigma = (grown.sqrt() - root * self.decay) * self.inverse_alpha;
        (bound(z * self.decay + (g - sigma * w), MAX_Z), grown)
    }

    /// AdaGrad as composite mirror descent (Duchi et al. 2011, section 5): z is the weight itself, n = Σ g²,
    /// `rate = alpha / (beta + √n)` with the new n; sgd: `rate = alpha`. Then
    /// `v = z − rate · g; z = sgn(v) max(|v| − rate · l1, 0) / (1 + rate · l2)`.
    #[inline(always)]
    fn proximal_step(&self, slope: f32, x: f32, z: f32, n: f32) -> (f32, f32) {
        let g = bound(slope * x, MAX_GRADIENT);
        let grown = at_most(n + g * g, MAX_N);
        let adaptive = self.alpha / (self.beta + grown.sqrt());
        let rate = if self.kind == OptimizerKind::Sgd {
            self.alpha
        } else {
            adaptive
        };
        // With beta = 0 a gradient whose square is 0 would have an infinite one.
        let rate = at_most(rate, MAX_RATE);
        let v = z - rate * g;
        let shrunk = v.abs() - rate * self.l1;
        let kept = if shrunk > 0.0 { shrunk } else { 0.0 };
        (
            bound(kept.copysign(v) / (1.0 + rate * self.l2), MAX_WEIGHT),
            grown,
        )
    }

    /// Weights of all rows in `columns`.
    #[inline(always)]
    pub fn weights(&self, columns: &mut Columns) {
        let this = *self;
        match self.kind {
            OptimizerKind::Ftrl => each_weight(columns, |z, root| this.ftrl_weight(z, root)),
            OptimizerKind::Adagrad | OptimizerKind::Sgd => each_weight(columns, |z, _| z),
            OptimizerKind::Counting => each_weight(columns, |_, _| 0.0),
        }
    }

    /// Rows after an example with derivative `slope` of its loss by the log-odds, importance included.
    #[inline(always)]
    pub fn update(&self, slope: f32, columns: &mut Columns) {
        let this = *self;
        match self.kind {
            OptimizerKind::Ftrl => {
                each_step(columns, |x, w, z, n, root| {
                    this.ftrl_step(slope, x, w, z, n, root)
                });
            }
            OptimizerKind::Adagrad | OptimizerKind::Sgd => {
                each_step(columns, |x, _, z, n, _| this.proximal_step(slope, x, z, n));
            }
            OptimizerKind::Counting => each_step(columns, |_, _, z, n, _| (z + 1.0, n)),
        }
    }
}

/// Whole lanes at a time, which the compiler turns into vectors. Roots are kept: `each_step` wants them again.
#[inline(always)]
fn each_weight(columns: &mut Columns, weight: impl Fn(f32, f32) -> f32) {
    let Columns { z, n, root, w, .. } = columns;
    let rows = lanes(z).iter().zip(lanes(n));
    for ((w, root), (z, n)) in lanes_mut(w).iter_mut().zip(lanes_mut(root)).zip(rows) {
        let (mut new_root, mut new_w) = ([0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            new_root[lane] = n[lane].sqrt();
            new_w[lane] = weight(z[lane], new_root[lane]);
        }
        (*root, *w) = (new_root, new_w);
    }
}

#[inline(always)]
fn each_step(columns: &mut Columns, step: impl Fn(f32, f32, f32, f32, f32) -> (f32, f32)) {
    let Columns {
        x, z, n, root, w, ..
    } = columns;
    let rows = lanes_mut(z).iter_mut().zip(lanes_mut(n)).zip(lanes(root));
    for (((z, n), root), (x, w)) in rows.zip(lanes(x).iter().zip(lanes(w))) {
        let (mut new_z, mut new_n) = ([0.0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            (new_z[lane], new_n[lane]) = step(x[lane], w[lane], z[lane], n[lane], root[lane]);
        }
        (*z, *n) = (new_z, new_n);
    }
}

#[inline(always)]
fn lanes(column: &[f32]) -> &[[f32; LANES]] {
    column.as_chunks().0
}

#[inline(always)]
fn lanes_mut(column: &mut [f32]) -> &mut [[f32; LANES]] {
    column.as_chunks_mut().0
}

/// `Σ w x`: feature i goes to lane i mod 8, each lane adds in order, then
/// `((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7))`.
#[inline(always)]
pub fn dot(columns: &Columns) -> f32 {
    let mut sums = [0.0f32; LANES];
    for (w, x) in lanes(&columns.w).iter().zip(lanes(&columns.x)) {
        for lane in 0..LANES {
            sums[lane] += w[lane] * x[lane];
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// The limit also where the value is none.
#[inline(always)]
fn at_most(value: f32, limit: f32) -> f32 {
    if value < limit { value } else { limit }
}

/// Within ± limit; written so that it is two instructions a vector.
#[inline(always)]
fn bound(value: f32, limit: f32) -> f32 {
    let value = if value > limit { limit } else { value };
    if value < -limit { -limit } else { value }
}

#[cfg(test)]
#[path = "tests/optimizer.rs"]
mod tests;
