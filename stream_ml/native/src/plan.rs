//! The compiled feature plan: what every event of a variant is scanned by, in learning and in scoring.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::absent::{NOTED_SLOTS, words_of};
use crate::evaluation::Judging;
use crate::hash::fingerprint;
use crate::keys::Keys;
use crate::options::{LearnerOptions, TableOptions};
use crate::scanned::SCAN_VERSION;
use paths::paths;
pub use rules::{Bare, Roles, Rule, RuleKind, SlotInfo, SlotKind};
use rules::{add_rule, compile_roles, compile_slot, read_fields};
use source::Source;

mod paths;
mod rules;
mod source;

/// A plan that this release cannot run; the message says where.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanError(String);

impl fmt::Display for PlanError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "not a plan this release can run: {}", self.0)
    }
}

impl std::error::Error for PlanError {}

/// What learning alone reads. Of the learner's settings the scan reads the loss, which bounds the label.
const READ_BY_LEARNING: [&str; 5] = [
    "name",
    "learn_after",
    "duplicate_window",
    "evaluate_every",
    "table",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LearnAfter {
    Event,
    Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unlabelled {
    Refuse,
    Skip,
}

/// What learning does with events, besides the arithmetic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EventOptions {
    pub learn_after: LearnAfter,
    pub unlabelled: Unlabelled,
    /// How far event time may lie after the record's own time.
    pub max_skew_us: i64,
    /// Accepted events of a partition among which a repeated id is a duplicate.
    pub duplicate_window: u64,
    /// Learned events an evaluation spans.
    pub evaluate_every: u64,
}

/// Immutable; shared by all scanners of a variant.
#[derive(Debug)]
pub struct Plan {
    source: Vec<u8>,
    fingerprint: String,
    name: String,
    learner: LearnerOptions,
    table: TableOptions,
    events: EventOptions,
    slots: Vec<SlotInfo>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) roles: Roles,
    /// Of each field, whether an expression reads it, other than a slot that is the field alone.
    pub(crate) read_fields: Vec<bool>,
    /// Paths of the fields, with points.
    pub(crate) field_names: Vec<String>,
    pub(crate) keys: Keys,
    /// Of each object that paths lead through: all fields below it.
    pub(crate) fields_below: Vec<Vec<u16>>,
}

impl Plan {
    pub fn parse(source: &[u8]) -> Result<Plan, PlanError> {
        Plan::build(source).map_err(PlanError)
    }

    fn build(bytes: &[u8]) -> Result<Plan, String> {
        let source = Source::read(bytes)?;
        let (keys, fields_below) = paths(&source.fields)?;
        let mut slots = Vec::new();
        let mut rules = Vec::new();
        for (slot, described) in (0..).zip(&source.slots) {
            let (info, kind) = compile_slot(described, source.fields.len())?;
            slots.push(info);
            add_rule(&mut rules, slot, kind);
        }
        let read_fields = read_fields(&source, &rules);
        Ok(Plan {
            source: bytes.to_vec(),
            fingerprint: fingerprint(bytes),
            roles: compile_roles(&source)?,
            field_names: source.fields.iter().map(|path| path.join(".")).collect(),
            events: EventOptions {
                learn_after: source.learn_after,
                unlabelled: source.unlabelled,
                max_skew_us: (source.max_skew_seconds * 1e6) as i64,
                duplicate_window: source.duplicate_window,
                evaluate_every: source.evaluate_every,
            },
            name: source.name,
            learner: source.learner,
            table: source.table,
            slots,
            rules,
            read_fields,
            keys,
            fields_below,
        })
    }

    /// xxh3-128 of the plan's bytes, 32 hex digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Equal for two plans of which this release makes the same examples from the same records: 32 hex digits.
    pub fn scan_fingerprint(&self) -> String {
        let mut source: Value = serde_json::from_slice(&self.source).unwrap_or_default();
        if let Some(keys) = source.as_object_mut() {
            keys.retain(|key, _| !READ_BY_LEARNING.contains(&key.as_str()));
            keys["learner"] = keys["learner"]["loss"].take();
        }
        let release = env!("CARGO_PKG_VERSION");
        fingerprint(format!("{release} {SCAN_VERSION} {source}").as_bytes())
    }

    /// The bytes the plan was made of.
    pub fn source(&self) -> &[u8] {
        &self.source
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn learner(&self) -> &LearnerOptions {
        &self.learner
    }

    pub fn table(&self) -> &TableOptions {
        &self.table
    }

    pub fn events(&self) -> &EventOptions {
        &self.events
    }

    /// Words of `Block::absent` an example.
    pub fn absent_words(&self) -> usize {
        words_of(self.slots.len())
    }

    /// What evaluations are made by.
    pub fn judging(&self) -> Judging {
        let slots = self.slots.iter().take(NOTED_SLOTS);
        Judging {
            every: self.events.evaluate_every,
            slots: slots.map(|slot| slot.name.clone()).collect(),
            segments: self.roles.segment.is_some(),
        }
    }

    /// In the order of the model file, which is the order of features in a block.
    pub fn slots(&self) -> &[SlotInfo] {
        &self.slots
    }
}

#[cfg(test)]
#[path = "tests/plan.rs"]
mod tests;
