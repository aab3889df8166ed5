//! What of an event is no feature: label, time, event id, importance, served probability, each by its rule.

use crate::block::{Example, Reason};
use crate::expr::Scratch;
use crate::fields::{Fields, Refused};
use crate::hash::event_id;
use crate::options::Loss;
use crate::plan::{Plan, Unlabelled};
use crate::text::{Text, as_str};
use crate::texts::{Texts, beginning};

/// Bounds that, with those of features, keep every gradient finite.
pub const MAX_LABEL: f64 = 1e6;
pub const MAX_IMPORTANCE: f64 = 1e3;
/// Evaluations name segments.
pub const MAX_SEGMENT_BYTES: usize = 64;

/// Why an event gives no example.
pub enum Stop {
    Refused(Box<Refused>),
    /// The model says to skip events without label.
    Unlabelled,
}

impl From<Box<Refused>> for Stop {
    fn from(refused: Box<Refused>) -> Stop {
        Stop::Refused(refused)
    }
}

/// Fill the example's roles; `strict` is for learning: label, time and event id must be there.
pub fn read(
    plan: &Plan,
    strict: bool,
    record_ms: i64,
    fields: Fields,
    scratch: &mut Scratch,
    example: &mut Example,
) -> Result<(), Stop> {
    let loss = plan.learner().loss;
    match plan.roles.label.evaluate(fields, scratch)? {
        Some(label) => example.label = check_label(label, loss)?,
        None if strict && plan.events().unlabelled == Unlabelled::Skip => {
            return Err(Stop::Unlabelled);
        }
        None if strict => return Err(missing(Reason::NoLabel, "label")),
        None => {}
    }
    if let Some(timestamp) = &plan.roles.timestamp {
        match timestamp.evaluate(fields, scratch)? {
            Some(time) => {
                example.timestamp_us = check_time(time, record_ms, plan.events().max_skew_us)?
            }
            None if strict => return Err(missing(Reason::NoTimestamp, "timestamp")),
            None => {}
        }
    }
    if let Some(text) = &plan.roles.event_id {
        // An empty text names nothing: else all events with one would be repeats of each other.
        if text.append(fields, scratch)? && !scratch.bytes.is_empty() {
            example.event_id = event_id(&scratch.bytes);
            scratch.bytes.clear();
        } else if strict {
            return Err(missing(Reason::NoEventId, "event id"));
        }
    }
    if let Some(importance) = &plan.roles.importance
        && let Some(value) = importance.evaluate(fields, scratch)?
    {
        let fits = value as f32 > 0.0 && value <= MAX_IMPORTANCE;
        example.importance = in_range(fits, value, "an importance above 0, up to 1000")?;
    }
    if let Some(served) = &plan.roles.served
        && let Some(value) = served.evaluate(fields, scratch)?
    {
        let fits = if loss == Loss::Logistic {
            (0.0..=1.0).contains(&value)
        } else {
            value.abs() <= MAX_LABEL
        };
        example.served = in_range(fits, value, "a prediction that the model can have served")?;
    }
    if let Some(label_time) = &plan.roles.label_time
        && let Some(time) = label_time.evaluate(fields, scratch)?
    {
        example.label_time_us = time;
    }
    Ok(())
}

/// Append the example's segment: its beginning, if it is long.
pub fn read_segment(
    segment: &Text,
    fields: Fields,
    scratch: &mut Scratch,
    segments: &mut Texts,
) -> Result<(), Box<Refused>> {
    let there = segment.append(fields, scratch)?;
    let text = beginning(as_str(&scratch.bytes), MAX_SEGMENT_BYTES);
    segments.push(there.then_some(text));
    scratch.bytes.clear();
    Ok(())
}

#[cold]
fn missing(reason: Reason, role: &str) -> Stop {
    Refused::new(reason, format!("the {role} is missing")).into()
}

fn check_label(label: f64, loss: Loss) -> Result<f32, Box<Refused>> {
    match loss {
        Loss::Logistic if label == -1.0 => Ok(0.0),
        Loss::Logistic => in_range(
            (0.0..=1.0).contains(&label),
            label,
            "a label from 0 to 1 (or -1 for 0)",
        ),
        Loss::Squared => in_range(label.abs() <= MAX_LABEL, label, "a label from -1e6 to 1e6"),
        Loss::Poisson => in_range(
            (0.0..=MAX_LABEL).contains(&label),
            label,
            "a label from 0 to 1e6",
        ),
    }
}

#[inline(always)]
pub fn in_range(fits: bool, value: f64, wanted: &str) -> Result<f32, Box<Refused>> {
    if fits {
        Ok(value as f32)
    } else {
        Err(out_of_range(value, wanted))
    }
}

#[cold]
fn out_of_range(value: f64, wanted: &str) -> Box<Refused> {
    Refused::new(
        Reason::OutOfRange,
        format!("expected {wanted}, found {value:?}"),
    )
}

/// Event time beyond the record's own time and the allowed skew would age the whole model.
fn check_time(time: i64, record_ms: i64, max_skew_us: i64) -> Result<i64, Box<Refused>> {
    let latest = record_ms.saturating_mul(1000).saturating_add(max_skew_us);
    if record_ms >= 0 && time > latest {
        let ahead = (time - latest) / 1_000_000;
        let detail = format!("{ahead} s beyond the record's own timestamp and max_skew_seconds");
        return Err(Refused::new(Reason::FutureTimestamp, detail));
    }
    Ok(time)
}

#[cfg(test)]
#[path = "tests/roles.rs"]
mod tests;
