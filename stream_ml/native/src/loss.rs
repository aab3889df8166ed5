//! Losses: from a score to a prediction, its slope, and what it cost.

use crate::math;
use crate::options::Loss;

/// Scores are bounded, so that e^score and every gradient stay finite.
const MAX_SCORE: f32 = 1e15;
const MAX_LOG_RATE: f64 = 34.0;

/// A score that is a number, whatever the weights were.
#[inline(always)]
pub fn bounded(score: f32) -> f32 {
    if score.is_nan() {
        0.0
    } else {
        score.clamp(-MAX_SCORE, MAX_SCORE)
    }
}

impl Loss {
    /// Logistic: the probability 1 / (1 + e^−s); squared: s; poisson: e^s. In float64, rounded once.
    #[inline(always)]
    pub fn prediction(self, score: f32) -> f32 {
        let s = f64::from(score);
        match self {
            Loss::Logistic => math::sigmoid(s) as f32,
            Loss::Squared => score,
            Loss::Poisson => math::exp(s.clamp(-MAX_LOG_RATE, MAX_LOG_RATE)) as f32,
        }
    }

    /// The score whose prediction is `prediction`.
    pub fn score(self, prediction: f64) -> f64 {
        match self {
            Loss::Logistic => math::logit(prediction),
            Loss::Squared => prediction,
            Loss::Poisson => math::ln(prediction),
        }
    }

    /// Log loss; half the squared error; poisson's e^s − y s (without ln y!, which no model alters).
    #[inline]
    pub fn cost(self, score: f32, label: f32) -> f64 {
        let (s, y) = (f64::from(score), f64::from(label));
        match self {
            Loss::Logistic => logistic_cost(score, label),
            Loss::Squared => 0.5 * (s - y) * (s - y),
            Loss::Poisson => {
                let s = s.clamp(-MAX_LOG_RATE, MAX_LOG_RATE);
                math::exp(s) - y * s
            }
        }
    }

    /// The cost of many.
    #[inline(always)]
    pub fn costs(self, examples: impl Iterator<Item = (f32, f32)>, costs: &mut [f64]) {
        if self == Loss::Logistic {
            // By itself, so that it becomes vectors.
            for (cost, (score, label)) in costs.iter_mut().zip(examples) {
                *cost = logistic_cost(score, label);
            }
        } else {
            for (cost, (score, label)) in costs.iter_mut().zip(examples) {
                *cost = self.cost(score, label);
            }
        }
    }
}

#[inline(always)]
fn logistic_cost(score: f32, label: f32) -> f64 {
    let s = f64::from(score);
    math::softplus(s) - f64::from(label) * s
}

#[cfg(test)]
#[path = "tests/loss.rs"]
mod tests;
