//! How the features of an event, and what else it says, are computed: the expressions of a plan, compiled.

use serde::Deserialize;
use serde_json::Value;

use super::source::{SlotSource, Source};
use crate::compile::compile;
use crate::expr::{Expression, Number, Time};
use crate::hash::feature_id;
use crate::set::Set;
use crate::text::Text;

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
    pub label_time: Option<Time>,
    pub segment: Option<Text>,
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
pub(super) fn add_rule(rules: &mut Vec<Rule>, slot: u16, kind: RuleKind) {
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

pub(super) fn compile_slot(
    slot: &SlotSource,
    fields: usize,
) -> Result<(SlotInfo, RuleKind), String> {
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

pub(super) fn compile_roles(source: &Source) -> Result<Roles, String> {
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
    let time = |role: &str, expr: &Value| match compile(expr, fields)
        .map_err(|error| format!("{role}: {error}"))?
    {
        Expression::Time(time) => Ok(time),
        other => Err(format!(
            "{role}: a {} where a time is asked",
            other.type_name()
        )),
    };
    let category = |role: &str, expr: &Value| {
        let expression = compile(expr, fields).map_err(|error| format!("{role}: {error}"))?;
        expression
            .into_category()
            .map_err(|other| format!("{role}: a {} where a text is asked", other.type_name()))
    };
    Ok(Roles {
        label: number("label", &source.label)?,
        event_id: source
            .event_id
            .as_ref()
            .map(|expr| category("event_id", expr))
            .transpose()?,
        timestamp: source
            .timestamp
            .as_ref()
            .map(|expr| time("timestamp", expr))
            .transpose()?,
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
        label_time: source
            .label_time
            .as_ref()
            .map(|expr| time("label_time", expr))
            .transpose()?,
        segment: source
            .segment
            .as_ref()
            .map(|expr| category("segment", expr))
            .transpose()?,
    })
}

/// Mark the fields that roles and evaluated slots read.
pub(super) fn read_fields(source: &Source, rules: &[Rule]) -> Vec<bool> {
    let mut read = vec![false; source.fields.len()];
    let roles = [
        &source.event_id,
        &source.timestamp,
        &source.importance,
        &source.served,
        &source.label_time,
        &source.segment,
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
            if let Some(mark) = field
                .as_u64()
                .and_then(|field| read.get_mut(field as usize))
            {
                *mark = true;
            }
        }
        Some(parts) => parts.iter().for_each(|part| mark_leaves(part, read)),
        None => {}
    }
}
