//! A plan's JSON, and the bounds of what it may say.

use serde::Deserialize;
use serde_json::Value;

use super::{LearnAfter, SlotKind, Unlabelled};
use crate::math::MATH_VERSION;
use crate::options::{LearnerOptions, MAX_ROWS, TableOptions};

/// Format of the plan's JSON that this release reads.
const FORMAT: u32 = 1;
const MAX_SLOTS: usize = 65_535;
const MAX_FIELDS: usize = 65_535;
/// A hundred years, so that no sum of event times overflows.
const MAX_EXPIRY_SECONDS: f64 = 100.0 * 366.0 * 86_400.0;

/// The plan's JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    #[serde(rename = "format")]
    _format: u32,
    #[serde(rename = "math")]
    _math: u32,
    pub(super) name: String,
    pub(super) fields: Vec<Vec<String>>,
    pub(super) event_id: Option<Value>,
    pub(super) timestamp: Option<Value>,
    pub(super) label: Value,
    pub(super) importance: Option<Value>,
    pub(super) served: Option<Value>,
    /// Left out where the model names none, as is the next.
    #[serde(default)]
    pub(super) label_time: Option<Value>,
    #[serde(default)]
    pub(super) segment: Option<Value>,
    pub(super) learn_after: LearnAfter,
    pub(super) unlabelled: Unlabelled,
    pub(super) max_skew_seconds: f64,
    pub(super) duplicate_window: u64,
    pub(super) evaluate_every: u64,
    pub(super) slots: Vec<SlotSource>,
    pub(super) learner: LearnerOptions,
    #[serde(default)]
    pub(super) table: TableOptions,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SlotSource {
    pub(super) name: String,
    pub(super) kind: SlotKind,
    pub(super) seed: String,
    pub(super) expr: Value,
}

/// The versions alone, read first: another format may differ in everything else.
#[derive(Deserialize)]
struct Versions {
    format: u32,
    math: u32,
}

impl Source {
    /// Read it; refuse what this release cannot run, but for its expressions and paths.
    pub(super) fn read(bytes: &[u8]) -> Result<Source, String> {
        let versions: Versions =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if (versions.format, versions.math) != (FORMAT, MATH_VERSION) {
            let Versions { format, math } = versions;
            return Err(format!(
                "format {format}, math {math}; this release has {FORMAT}, {MATH_VERSION}"
            ));
        }
        let source: Source = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        check_sizes(&source)?;
        source.learner.check()?;
        check_table(&source.table)?;
        Ok(source)
    }
}

fn check_sizes(source: &Source) -> Result<(), String> {
    if source.slots.len() > MAX_SLOTS {
        return Err(format!("{} slots; {MAX_SLOTS} at most", source.slots.len()));
    }
    if source.fields.len() > MAX_FIELDS {
        return Err(format!(
            "{} fields; {MAX_FIELDS} at most",
            source.fields.len()
        ));
    }
    if !(0.0..=1e12).contains(&source.max_skew_seconds) {
        return Err(format!("max_skew_seconds {}", source.max_skew_seconds));
    }
    if source.evaluate_every == 0 {
        return Err("evaluate_every 0".into());
    }
    Ok(())
}

fn check_table(table: &TableOptions) -> Result<(), String> {
    let TableOptions {
        max_rows,
        admission,
        expire_after_seconds,
        expire_below,
    } = *table;
    let sound = (1..=MAX_ROWS).contains(&max_rows)
        && admission > 0.0
        && admission <= 1.0
        && expire_after_seconds
            .is_none_or(|seconds| seconds > 0.0 && seconds <= MAX_EXPIRY_SECONDS)
        && (0.0..=1e10).contains(&expire_below);
    if sound {
        Ok(())
    } else {
        Err(format!("table: {table:?} is out of bounds"))
    }
}
