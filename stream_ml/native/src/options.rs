//! How a model learns: the `learner` part of a plan.

use serde::Deserialize;

/// McMahan et al. 2013 name the hyper-parameters; a plan states every one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LearnerOptions {
    pub loss: Loss,
    pub optimizer: OptimizerKind,
    pub alpha: f32,
    pub beta: f32,
    pub l1: f32,
    pub l2: f32,
    /// The mean label, where it is known beforehand.
    pub base_rate: Option<f64>,
    /// Else it is measured over the first this many examples, and frozen.
    pub base_rate_events: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Loss {
    Logistic,
    Squared,
    Poisson,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    Ftrl,
    Adagrad,
    Sgd,
}

#[cfg(test)]
#[path = "tests/options.rs"]
mod tests;
