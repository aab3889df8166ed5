//! How a model learns: the `learner` part of a plan.

use serde::Deserialize;

/// Rows a table may hold, unless told otherwise.
pub const MAX_ROWS: usize = 1 << 30;

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
    /// Forgetting (ftrl): what of a row is kept each time its feature is learned.
    #[serde(default = "all")]
    pub decay: f32,
    /// The mean label, where it is known beforehand.
    pub base_rate: Option<f64>,
    /// Else it is measured over the first this many examples, and frozen.
    pub base_rate_events: u64,
}

fn all() -> f32 {
    1.0
}

impl LearnerOptions {
    /// Within these no weight, rate or row can become infinite (shown by the tests of `optimizer.rs`).
    pub fn check(&self) -> Result<(), String> {
        let LearnerOptions {
            alpha,
            beta,
            l1,
            l2,
            decay,
            ..
        } = *self;
        if !(1e-10..=1e10).contains(&alpha) {
            return Err(format!("learner: alpha {alpha} is outside 1e-10 to 1e10"));
        }
        if ![beta, l1, l2]
            .iter()
            .all(|value| (0.0..=1e10).contains(value))
        {
            return Err(format!(
                "learner: beta {beta}, l1 {l1}, l2 {l2}; each is 0 to 1e10"
            ));
        }
        let forgets = decay != 1.0;
        if !(decay > 0.0 && decay <= 1.0) || forgets && self.optimizer != OptimizerKind::Ftrl {
            return Err(format!(
                "learner: decay {decay}; it is above 0 and at most 1, and 1 but for ftrl"
            ));
        }
        Ok(())
    }
}

/// Which features have a row: the `table` part of a plan; one without it has the default.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableOptions {
    pub max_rows: usize,
    /// Probability that a feature without a row gets one when it is seen.
    pub admission: f64,
    /// Event time after which a row that was not seen is dropped.
    pub expire_after_seconds: Option<f64>,
    /// Absolute weight below which a row is dropped, seen or not.
    pub expire_below: f32,
}

impl Default for TableOptions {
    fn default() -> TableOptions {
        TableOptions {
            max_rows: MAX_ROWS,
            admission: 1.0,
            expire_after_seconds: None,
            expire_below: 0.0,
        }
    }
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
    /// No weights: z counts what was learned. It proves counts, where the order between learners is free.
    Counting,
}

#[cfg(test)]
#[path = "tests/options.rs"]
mod tests;
