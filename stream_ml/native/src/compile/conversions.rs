//! What an expression of one type is worth as another.

use crate::expr::{Expression, Number, Unary};
use crate::set::Set;
use crate::text::Text;

impl Expression {
    pub fn type_name(&self) -> &'static str {
        match self {
            Expression::Text(_) => "text",
            Expression::Number(_) => "number",
            Expression::Bool(_) => "bool",
            Expression::Time(_) => "time",
            Expression::Set(_) => "set",
        }
    }

    pub(super) fn is_set(&self) -> bool {
        matches!(self, Expression::Set(_))
    }

    /// As the text that a category hashes.
    pub fn into_category(self) -> Result<Text, Expression> {
        match self {
            Expression::Text(text) => Ok(text),
            Expression::Bool(bool) => Ok(Text::OfBool(bool.into())),
            Expression::Number(number) if number.is_whole() => Ok(Text::OfWhole(number.into())),
            other => Err(other),
        }
    }

    pub fn into_set(self) -> Result<Set, Expression> {
        match self {
            Expression::Set(set) => Ok(set),
            other => other.into_category().map(Set::Single),
        }
    }
}

impl Number {
    /// Whether its values are whole by their nature, and so may be categories.
    fn is_whole(&self) -> bool {
        match self {
            Number::Length(_) | Number::Bucket(..) | Number::LogBucket(..) | Number::Part(..) => {
                true
            }
            Number::Unary(Unary::Floor | Unary::Round, _) => true,
            Number::Constant(value) => is_whole(*value),
            Number::If(branches) => branches.1.is_whole() && branches.2.is_whole(),
            Number::Default(number, default) => number.is_whole() && is_whole(*default),
            _ => false,
        }
    }
}

fn is_whole(value: f64) -> bool {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53
    value.fract() == 0.0 && value.abs() < EXACT
}
