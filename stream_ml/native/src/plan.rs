//! The compiled feature plan: what every event of a variant is scanned by, in learning and in scoring.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::compile::compile;
use crate::expr::{Expression, Number, Time};
use crate::hash::{feature_id, fingerprint};
use crate::keys::{Keys, Target};
use crate::math::MATH_VERSION;
use crate::options::{LearnerOptions, TableOptions};
use crate::scanned::SCAN_VERSION;
use crate::set::Set;
use crate::table::MAX_ROWS;
use crate::text::Text;

/// Format of the plan's JSON that this release reads.
const FORMAT: u32 = 1;
const MAX_SLOTS: usize = 65_535;
const MAX_FIELDS: usize = 65_535;
const MAX_PATH: usize = 32;
/// A hundred years, so that no sum of event times overflows.
const MAX_EXPIRY_SECONDS: f64 = 100.0 * 366.0 * 86_400.0;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotKind {
    Category,
    Number,
    Set,
}

#[derive(Clone, Debug)]
pub struct SlotInfo {
    pub name: String,
    pub kind: SlotKind,
    /// Of every feature id of the slot.
    pub seed: u64,
}

/// How the features of a slot, or of several in a row, are computed.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The first one.
    pub slot: u16,
    pub kind: RuleKind,
}

/// A number has one feature, with one id; others have one for each text, hashed under the slot's seed.
#[derive(Clone, Debug)]
pub enum RuleKind {
    /// Consecutive slots whose expression is a field alone.
    Bare(Vec<Bare>),
    Category {
        text: Text,
        seed: u64,
    },
    Number {
        number: Number,
        id: u64,
    },
    Set {
        set: Set,
        seed: u64,
    },
}

#[derive(Clone, Copy, Debug)]
pub struct Bare {
    pub field: u16,
    /// Whether it is a number slot.
    pub number: bool,
    /// Of the texts; of a number slot the id.
    pub seed: u64,
}

/// What of an event is no feature.
#[derive(Clone, Debug)]
pub struct Roles {
    pub label: Number,
    pub event_id: Option<Text>,
    pub timestamp: Option<Time>,
    pub importance: Option<Number>,
    pub served: Option<Number>,
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

/// The plan's JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Source {
    #[serde(rename = "format")]
    _format: u32,
    #[serde(rename = "math")]
    _math: u32,
    name: String,
    fields: Vec<Vec<String>>,
    event_id: Option<Value>,
    timestamp: Option<Value>,
    label: Value,
    importance: Option<Value>,
    served: Option<Value>,
    learn_after: LearnAfter,
    unlabelled: Unlabelled,
    max_skew_seconds: f64,
    duplicate_window: u64,
    evaluate_every: u64,
    slots: Vec<SlotSource>,
    learner: LearnerOptions,
    #[serde(default)]
    table: TableOptions,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SlotSource {
    name: String,
    kind: SlotKind,
    seed: String,
    expr: Value,
}

/// The versions alone, read first: another format may differ in everything else.
#[derive(Deserialize)]
struct Versions {
    format: u32,
    math: u32,
}

impl Plan {
    pub fn parse(source: &[u8]) -> Result<Plan, PlanError> {
        Plan::build(source).map_err(PlanError)
    }

    fn build(bytes: &[u8]) -> Result<Plan, String> {
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
        check_learner(&source.learner)?;
        check_table(&source.table)?;
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

    /// In the order of the model file, which is the order of features in a block.
    pub fn slots(&self) -> &[SlotInfo] {
        &self.slots
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

/// Within these no weight, rate or row can become infinite (shown by the tests of `optimizer.rs`).
fn check_learner(learner: &LearnerOptions) -> Result<(), String> {
    let LearnerOptions {
        alpha,
        beta,
        l1,
        l2,
        ..
    } = *learner;
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

impl RuleKind {
    fn bare(field: u16, number: bool, seed: u64) -> RuleKind {
        RuleKind::Bare(vec![Bare {
            field,
            number,
            seed,
        }])
    }
}

/// Append the rule of `slot`, or join it to a run of bare slots.
fn add_rule(rules: &mut Vec<Rule>, slot: u16, kind: RuleKind) {
    match (rules.last_mut(), kind) {
        (
            Some(Rule {
                kind: RuleKind::Bare(run),
                ..
            }),
            RuleKind::Bare(bare),
        ) => run.extend(bare),
        (_, kind) => rules.push(Rule { slot, kind }),
    }
}

fn compile_slot(slot: &SlotSource, fields: usize) -> Result<(SlotInfo, RuleKind), String> {
    let named = |message: String| format!("slot {:?}: {message}", slot.name);
    let hex = slot.seed.len() == 16 && slot.seed.bytes().all(|digit| digit.is_ascii_hexdigit());
    let seed = u64::from_str_radix(&slot.seed, 16).ok().filter(|_| hex);
    let seed = seed.ok_or_else(|| named(format!("seed {:?} is not 16 hex digits", slot.seed)))?;
    let expression = compile(&slot.expr, fields).map_err(named)?;
    let wrong = |other: Expression| {
        named(format!(
            "a {} where a {:?} is asked",
            other.type_name(),
            slot.kind
        ))
    };
    let rule = match (slot.kind, expression) {
        (SlotKind::Category, Expression::Text(Text::Field(field))) => {
            RuleKind::bare(field, false, seed)
        }
        // A cross is a set of one, as long as no part of it is a larger set.
        (SlotKind::Category | SlotKind::Set, Expression::Set(set)) => RuleKind::Set { set, seed },
        (SlotKind::Category, other) => RuleKind::Category {
            text: other.into_category().map_err(wrong)?,
            seed,
        },
        (SlotKind::Number, Expression::Number(Number::Field(field))) => {
            RuleKind::bare(field, true, feature_id(b"", seed))
        }
        (SlotKind::Number, Expression::Number(number)) => RuleKind::Number {
            number,
            id: feature_id(b"", seed),
        },
        (SlotKind::Number | SlotKind::Set, other) => return Err(wrong(other)),
    };
    Ok((
        SlotInfo {
            name: slot.name.clone(),
            kind: slot.kind,
            seed,
        },
        rule,
    ))
}

fn compile_roles(source: &Source) -> Result<Roles, String> {
    let fields = source.fields.len();
    let number = |role: &str, expr: &Value| match compile(expr, fields)
        .map_err(|error| format!("{role}: {error}"))?
    {
        Expression::Number(number) => Ok(number),
        Expression::Bool(bool) => Ok(Number::OfBool(bool.into())),
        other => Err(format!(
            "{role}: a {} where a number is asked",
            other.type_name()
        )),
    };
    let time = |expr: &Value| match compile(expr, fields)
        .map_err(|error| format!("timestamp: {error}"))?
    {
        Expression::Time(time) => Ok(time),
        other => Err(format!(
            "timestamp: a {} where a time is asked",
            other.type_name()
        )),
    };
    let category = |expr: &Value| {
        let expression = compile(expr, fields).map_err(|error| format!("event_id: {error}"))?;
        expression
            .into_category()
            .map_err(|other| format!("event_id: a {} where a text is asked", other.type_name()))
    };
    Ok(Roles {
        label: number("label", &source.label)?,
        event_id: source.event_id.as_ref().map(category).transpose()?,
        timestamp: source.timestamp.as_ref().map(time).transpose()?,
        importance: source
            .importance
            .as_ref()
            .map(|expr| number("importance", expr))
            .transpose()?,
        served: source
            .served
            .as_ref()
            .map(|expr| number("served", expr))
            .transpose()?,
    })
}

/// Mark the fields that roles and evaluated slots read.
fn read_fields(source: &Source, rules: &[Rule]) -> Vec<bool> {
    let mut read = vec![false; source.fields.len()];
    let roles = [
        &source.event_id,
        &source.timestamp,
        &source.importance,
        &source.served,
    ];
    roles
        .into_iter()
        .flatten()
        .chain([&source.label])
        .for_each(|expr| mark_leaves(expr, &mut read));
    for rule in rules
        .iter()
        .filter(|rule| !matches!(rule.kind, RuleKind::Bare(_)))
    {
        mark_leaves(&source.slots[usize::from(rule.slot)].expr, &mut read);
    }
    read
}

fn mark_leaves(expr: &Value, read: &mut [bool]) {
    match expr.as_array().map(Vec::as_slice) {
        Some([Value::String(op), Value::Number(field)])
            if ["text", "number", "bool", "time"].contains(&op.as_str()) =>
        {
            if let Some(place) = field
                .as_u64()
                .and_then(|field| read.get_mut(field as usize))
            {
                *place = true;
            }
        }
        Some(parts) => parts.iter().for_each(|part| mark_leaves(part, read)),
        None => {}
    }
}

/// The keys that lead to the fields, and the fields below each object on the way.
fn paths(fields: &[Vec<String>]) -> Result<(Keys, Vec<Vec<u16>>), String> {
    let unused = Target {
        field: fields.len() as u16,
        node: 0,
    };
    let mut below = vec![Vec::new()];
    let mut names: Vec<(u16, String, Target)> = Vec::new();
    let mut places: BTreeMap<(u16, &str), usize> = BTreeMap::new();
    for (field, path) in (0..).zip(fields) {
        if path.is_empty() || path.len() > MAX_PATH {
            return Err(format!("field {field}: a path has 1 to {MAX_PATH} keys"));
        }
        let mut node = 0;
        for (step, name) in path.iter().enumerate() {
            below[usize::from(node)].push(field);
            let place = *places.entry((node, name)).or_insert_with(|| {
                names.push((node, name.clone(), unused));
                names.len() - 1
            });
            let target = &mut names[place].2;
            if step + 1 == path.len() {
                if target.field != unused.field {
                    return Err(format!("field {field} repeats a path"));
                }
                target.field = field;
            } else {
                if target.node == 0 {
                    target.node = new_node(&mut below)?;
                }
                node = target.node;
            }
        }
    }
    Ok((Keys::new(below.len() as u16, &names, unused), below))
}

fn new_node(below: &mut Vec<Vec<u16>>) -> Result<u16, String> {
    let node = u16::try_from(below.len())
        .map_err(|_| "too many objects on the fields' paths".to_string())?;
    below.push(Vec::new());
    Ok(node)
}

#[cfg(test)]
#[path = "tests/plan.rs"]
mod tests;
