//! The arguments of an operation, each of the type that is asked.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::{Call, Compiled, expression};
use crate::expr::{Bool, Expression, Number, Time};
use crate::set::Set;
use crate::text::Text;

impl Call<'_> {
    pub(super) fn arity(&self, wanted: RangeInclusive<usize>) -> Compiled<()> {
        let count = self.args.len();
        if wanted.contains(&count) {
            Ok(())
        } else {
            Err(format!("{}: {count} arguments", self.op))
        }
    }

    pub(super) fn expression(&self, at: usize) -> Compiled<Expression> {
        let source = self
            .args
            .get(at)
            .ok_or_else(|| format!("{}: too few arguments", self.op))?;
        expression(source, self.fields, self.depth + 1)
    }

    pub(super) fn number(&self, at: usize) -> Compiled<Number> {
        match self.expression(at)? {
            Expression::Number(number) => Ok(number),
            other => Err(self.not_a("number", &other)),
        }
    }

    pub(super) fn bool(&self, at: usize) -> Compiled<Bool> {
        match self.expression(at)? {
            Expression::Bool(bool) => Ok(bool),
            other => Err(self.not_a("bool", &other)),
        }
    }

    pub(super) fn time(&self, at: usize) -> Compiled<Time> {
        match self.expression(at)? {
            Expression::Time(time) => Ok(time),
            other => Err(self.not_a("time", &other)),
        }
    }

    pub(super) fn text(&self, at: usize) -> Compiled<Text> {
        self.as_text(self.expression(at)?)
    }

    pub(super) fn as_text(&self, expression: Expression) -> Compiled<Text> {
        expression
            .into_category()
            .map_err(|other| self.not_a("text", &other))
    }

    pub(super) fn as_set(&self, expression: Expression) -> Compiled<Set> {
        expression
            .into_set()
            .map_err(|other| self.not_a("category or set", &other))
    }

    fn not_a(&self, wanted: &str, found: &Expression) -> String {
        format!(
            "{}: a {} where a {wanted} is asked",
            self.op,
            found.type_name()
        )
    }

    pub(super) fn literal_number(&self, at: usize) -> Compiled<f64> {
        let value = self
            .args
            .get(at)
            .and_then(Value::as_f64)
            .filter(|value| value.is_finite());
        value.ok_or_else(|| format!("{}: argument {at} is no number", self.op))
    }

    pub(super) fn literal_count(&self, at: usize) -> Compiled<usize> {
        let value = self
            .args
            .get(at)
            .and_then(Value::as_u64)
            .filter(|value| *value <= u64::from(u32::MAX));
        value
            .map(|value| value as usize)
            .ok_or_else(|| format!("{}: argument {at} is no count", self.op))
    }

    pub(super) fn literal_text(&self, at: usize) -> Compiled<&str> {
        let value = self.args.get(at).and_then(Value::as_str);
        value.ok_or_else(|| format!("{}: argument {at} is no text", self.op))
    }
}
