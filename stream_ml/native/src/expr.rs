//! Typed expressions over the fields of an event, and their evaluation.
//!
//! Both branches of an `if` and all operands are read: whether a type is wrong depends on the event alone.
//! A missing operand makes the result missing; `and`, `or` know the result from one operand where they can.
//! An undefined number (x/0, log of 0) is missing. An overflow is infinite until something bounds it.

use crate::block::Reason;
use crate::fields::{Evaluated, Fields, Refused};
use crate::math;
use crate::set::Set;
use crate::text::{self, Text};
use crate::time::{self, Part};

/// Elements of one set at most; more refuse the event.
pub const MAX_ELEMENTS: usize = 65_536;

#[derive(Clone, Debug)]
pub enum Number {
    Field(u16),
    Constant(f64),
    OfBool(Box<Bool>),
    Length(Box<Text>),
    Unary(Unary, Box<Number>),
    Binary(Binary, Box<[Number; 2]>),
    Clip(Box<Number>, f64, f64),
    /// Index of the bucket, by ascending edges.
    Bucket(Box<Number>, Box<[f64]>),
    /// floor(log(1 + |x|)) with the sign of x, by the powers of the base.
    LogBucket(Box<Number>, Box<[f64]>),
    /// With an offset from UTC in microseconds.
    Part(Part, Box<Time>, i64),
    Seconds(Box<Time>),
    If(Box<(Bool, Number, Number)>),
    Default(Box<Number>, f64),
}

#[derive(Clone, Copy, Debug)]
pub enum Unary {
    Negative,
    Absolute,
    Log1p,
    Log,
    Exp,
    SquareRoot,
    Floor,
    Round,
}

#[derive(Clone, Copy, Debug)]
pub enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Minimum,
    Maximum,
}

#[derive(Clone, Debug)]
pub enum Bool {
    Field(u16),
    Constant(bool),
    Numbers(Comparison, Box<[Number; 2]>),
    Times(Comparison, Box<[Time; 2]>),
    Texts(Comparison, Box<[Text; 2]>),
    Bools(Comparison, Box<[Bool; 2]>),
    And(Box<[Bool; 2]>),
    Or(Box<[Bool; 2]>),
    Not(Box<Bool>),
    In(Box<Text>, Box<[Box<[u8]>]>),
    Missing(Box<Expression>),
    If(Box<(Bool, Bool, Bool)>),
    Default(Box<Bool>, bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

#[derive(Clone, Debug)]
pub enum Time {
    Field(u16),
    If(Box<(Bool, Time, Time)>),
}

#[derive(Clone, Debug)]
pub enum Expression {
    Text(Text),
    Number(Number),
    Bool(Bool),
    Time(Time),
    Set(Set),
}

/// Memory that evaluation reuses; each leaves `bytes` and `ends` as it found them, but for its result.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    pub bytes: Vec<u8>,
    /// Where the elements of sets end in `bytes`.
    pub ends: Vec<usize>,
    /// The text that a set is being cut from, and the hashes of its elements so far.
    pub source: Vec<u8>,
    pub seen: std::collections::HashSet<u64>,
}

impl Number {
    pub fn evaluate(&self, fields: Fields, scratch: &mut Scratch) -> Evaluated<f64> {
        let value = match self {
            Number::Field(field) => return fields.number(*field),
            Number::Constant(value) => return Ok(Some(*value)),
            Number::OfBool(bool) => bool.evaluate(fields, scratch)?.map(f64::from),
            Number::Length(text) => {
                text::length(text, fields, scratch)?.map(|length| length as f64)
            }
            Number::Unary(operation, operand) => operand
                .evaluate(fields, scratch)?
                .and_then(|value| operation.apply(value)),
            Number::Binary(operation, operands) => {
                let [left, right] = &**operands;
                let pair = both(
                    left.evaluate(fields, scratch)?,
                    right.evaluate(fields, scratch)?,
                );
                pair.and_then(|(left, right)| operation.apply(left, right))
            }
            Number::Clip(operand, low, high) => operand
                .evaluate(fields, scratch)?
                .map(|value| value.max(*low).min(*high)),
            Number::Bucket(operand, edges) => operand
                .evaluate(fields, scratch)?
                .map(|value| bucket(value, edges)),
            Number::LogBucket(operand, powers) => operand
                .evaluate(fields, scratch)?
                .map(|value| log_bucket(value, powers)),
            Number::Part(part, time, offset) => time
                .evaluate(fields, scratch)?
                .map(|time| part.of(time + offset) as f64),
            Number::Seconds(time) => time
                .evaluate(fields, scratch)?
                .map(|time| time as f64 / time::SECOND as f64),
            Number::If(branches) => {
                let (condition, yes, no) = &**branches;
                let condition = condition.evaluate(fields, scratch)?;
                choose(
                    condition,
                    yes.evaluate(fields, scratch)?,
                    no.evaluate(fields, scratch)?,
                )
            }
            Number::Default(operand, default) => {
                Some(operand.evaluate(fields, scratch)?.unwrap_or(*default))
            }
        };
        Ok(value)
    }
}

impl Unary {
    fn apply(self, value: f64) -> Option<f64> {
        let result = match self {
            Unary::Negative => -value,
            Unary::Absolute => value.abs(),
            Unary::Log1p if value <= -1.0 => return None,
            Unary::Log1p => math::log1p(value),
            Unary::Log if value <= 0.0 => return None,
            Unary::Log => math::ln(value),
            Unary::Exp => math::exp(value),
            Unary::SquareRoot => value.sqrt(),
            Unary::Floor => value.floor(),
            Unary::Round => value.round_ties_even(),
        };
        defined(result)
    }
}

impl Binary {
    fn apply(self, left: f64, right: f64) -> Option<f64> {
        let result = match self {
            Binary::Add => left + right,
            Binary::Subtract => left - right,
            Binary::Multiply => left * right,
            Binary::Divide if right == 0.0 => return None,
            Binary::Divide => left / right,
            Binary::Remainder => floored_remainder(left, right),
            Binary::Minimum => left.min(right),
            Binary::Maximum => left.max(right),
        };
        defined(result)
    }
}

/// The remainder that has the divisor's sign, as in Python.
fn floored_remainder(left: f64, right: f64) -> f64 {
    let rest = left % right;
    if rest != 0.0 && (rest < 0.0) != (right < 0.0) {
        rest + right
    } else {
        rest
    }
}

fn defined(value: f64) -> Option<f64> {
    (!value.is_nan()).then_some(value)
}

fn bucket(value: f64, edges: &[f64]) -> f64 {
    edges.partition_point(|edge| *edge <= value) as f64
}

fn log_bucket(value: f64, powers: &[f64]) -> f64 {
    let size = 1.0 + value.abs();
    let exponent = powers.partition_point(|power| *power <= size) as f64;
    if value < 0.0 && exponent > 0.0 {
        -exponent
    } else {
        exponent
    }
}

/// All finite powers of `base` from the first on, by repeated multiplication.
pub fn powers(base: f64) -> Box<[f64]> {
    std::iter::successors(Some(base), |power| Some(power * base))
        .take_while(|power| power.is_finite())
        .collect()
}

pub fn both<A, B>(left: Option<A>, right: Option<B>) -> Option<(A, B)> {
    left.zip(right)
}

pub fn choose<T>(condition: Option<bool>, yes: Option<T>, no: Option<T>) -> Option<T> {
    if condition? { yes } else { no }
}

impl Bool {
    pub fn evaluate(&self, fields: Fields, scratch: &mut Scratch) -> Evaluated<bool> {
        let value = match self {
            Bool::Field(field) => return fields.bool(*field),
            Bool::Constant(value) => return Ok(Some(*value)),
            Bool::Numbers(comparison, operands) => {
                let [left, right] = &**operands;
                let pair = both(
                    left.evaluate(fields, scratch)?,
                    right.evaluate(fields, scratch)?,
                );
                pair.map(|(left, right)| comparison.holds(left, right))
            }
            Bool::Times(comparison, operands) => {
                let [left, right] = &**operands;
                let pair = both(
                    left.evaluate(fields, scratch)?,
                    right.evaluate(fields, scratch)?,
                );
                pair.map(|(left, right)| comparison.holds(left, right))
            }
            Bool::Bools(comparison, operands) => {
                let (left, right) = evaluate_two(operands, fields, scratch)?;
                both(left, right).map(|(left, right)| comparison.holds(left, right))
            }
            Bool::Texts(comparison, operands) => {
                let equal = text::equal(operands, fields, scratch)?;
                equal.map(|equal| comparison.holds(equal, true))
            }
            Bool::And(operands) => match evaluate_two(operands, fields, scratch)? {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (left, right) => both(left, right).map(|_| true),
            },
            Bool::Or(operands) => match evaluate_two(operands, fields, scratch)? {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (left, right) => both(left, right).map(|_| false),
            },
            Bool::Not(operand) => operand.evaluate(fields, scratch)?.map(|value| !value),
            Bool::In(operand, texts) => text::is_in(operand, texts, fields, scratch)?,
            Bool::Missing(operand) => Some(!operand.is_there(fields, scratch)?),
            Bool::If(branches) => {
                let (condition, yes, no) = &**branches;
                let condition = condition.evaluate(fields, scratch)?;
                choose(
                    condition,
                    yes.evaluate(fields, scratch)?,
                    no.evaluate(fields, scratch)?,
                )
            }
            Bool::Default(operand, default) => {
                Some(operand.evaluate(fields, scratch)?.unwrap_or(*default))
            }
        };
        Ok(value)
    }
}

type Two = (Option<bool>, Option<bool>);

fn evaluate_two(
    operands: &[Bool; 2],
    fields: Fields,
    scratch: &mut Scratch,
) -> Result<Two, Box<Refused>> {
    Ok((
        operands[0].evaluate(fields, scratch)?,
        operands[1].evaluate(fields, scratch)?,
    ))
}

impl Comparison {
    fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Comparison::Less => left < right,
            Comparison::LessOrEqual => left <= right,
            Comparison::Greater => left > right,
            Comparison::GreaterOrEqual => left >= right,
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
        }
    }
}

impl Time {
    pub fn evaluate(&self, fields: Fields, scratch: &mut Scratch) -> Evaluated<i64> {
        match self {
            Time::Field(field) => fields.time(*field, &mut scratch.bytes),
            Time::If(branches) => {
                let (condition, yes, no) = &**branches;
                let condition = condition.evaluate(fields, scratch)?;
                Ok(choose(
                    condition,
                    yes.evaluate(fields, scratch)?,
                    no.evaluate(fields, scratch)?,
                ))
            }
        }
    }
}

impl Expression {
    /// Whether its value is not missing.
    fn is_there(&self, fields: Fields, scratch: &mut Scratch) -> Result<bool, Box<Refused>> {
        let (bytes, ends) = (scratch.bytes.len(), scratch.ends.len());
        let there = match self {
            Expression::Text(text) => text.append(fields, scratch)?,
            Expression::Number(number) => number.evaluate(fields, scratch)?.is_some(),
            Expression::Bool(bool) => bool.evaluate(fields, scratch)?.is_some(),
            Expression::Time(time) => time.evaluate(fields, scratch)?.is_some(),
            Expression::Set(set) => set.append(fields, scratch)?,
        };
        scratch.bytes.truncate(bytes);
        scratch.ends.truncate(ends);
        Ok(there)
    }
}

pub fn too_many_elements() -> Box<Refused> {
    Refused::new(
        Reason::TooLarge,
        format!("a set of more than {MAX_ELEMENTS} elements"),
    )
}

#[cfg(test)]
#[path = "tests/expr.rs"]
mod tests;
