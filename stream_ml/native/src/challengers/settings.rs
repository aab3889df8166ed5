//! What makes a challenger differ from the model it is to beat.

use crate::options::LearnerOptions;

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub options: LearnerOptions,
    /// By slot, whether it has it; None has all.
    pub slots: Option<Vec<bool>>,
    /// The first example that it learns, counted from the first of all.
    pub from: u64,
}
