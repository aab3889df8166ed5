//! From the plan's `[op, arg, …]` arrays to typed expressions; a plan that does not fit is refused here.

use serde_json::Value;

use crate::expr::{Binary, Bool, Comparison, Expression, Number, Time, Unary, powers};
use crate::set::Set;
use crate::text::Text;
use crate::time::{HOUR, Part};

mod arguments;
mod conversions;

const MAX_DEPTH: usize = 32;
/// Below it a log_bucket would have thousands of buckets.
const MIN_LOG_BASE: f64 = 1.01;

type Compiled<T> = Result<T, String>;

/// Compile an expression over fields `0..fields`.
pub fn compile(source: &Value, fields: usize) -> Compiled<Expression> {
    expression(source, fields, 1)
}

fn expression(source: &Value, fields: usize, depth: usize) -> Compiled<Expression> {
    if depth > MAX_DEPTH {
        return Err(format!("an expression is nested deeper than {MAX_DEPTH}"));
    }
    match source.as_array().map(Vec::as_slice) {
        Some([Value::String(op), args @ ..]) => Call {
            op,
            args,
            fields,
            depth,
        }
        .compile(),
        _ => Err(format!(
            "an expression is an array that begins with its operation, not {source}"
        )),
    }
}

/// An operation and its arguments.
struct Call<'a> {
    op: &'a str,
    args: &'a [Value],
    fields: usize,
    depth: usize,
}

impl Call<'_> {
    fn compile(&self) -> Compiled<Expression> {
        match self.op {
            "text" | "number" | "bool" | "time" | "const" => self.leaf(),
            "lower" | "upper" | "prefix" | "suffix" | "concat" => {
                self.text_operation().map(Expression::Text)
            }
            "neg" | "abs" | "log1p" | "log" | "exp" | "sqrt" | "floor" | "round" => self.unary(),
            "+" | "-" | "*" | "/" | "%" | "min" | "max" => self.binary(),
            "length" | "clip" | "bucket" | "log_bucket" | "seconds" => {
                self.other_number().map(Expression::Number)
            }
            "hour" | "weekday" | "day" | "month" => self.part_of_time().map(Expression::Number),
            "<" | "<=" | ">" | ">=" | "==" | "!=" => self.comparison().map(Expression::Bool),
            "and" | "or" | "not" | "missing" | "in" => self.logic().map(Expression::Bool),
            "if" => self.choice(),
            "default" => self.default(),
            "words" | "ngrams" | "split" | "cross" => self.set().map(Expression::Set),
            op => Err(format!("no such operation: {op}")),
        }
    }

    fn leaf(&self) -> Compiled<Expression> {
        self.arity(1..=1)?;
        if self.op == "const" {
            return self.constant(0);
        }
        let field = self.args[0]
            .as_u64()
            .filter(|field| (*field as usize) < self.fields);
        let field = field.ok_or_else(|| format!("{}: no field {}", self.op, self.args[0]))? as u16;
        Ok(match self.op {
            "text" => Expression::Text(Text::Field(field)),
            "number" => Expression::Number(Number::Field(field)),
            "bool" => Expression::Bool(Bool::Field(field)),
            _ => Expression::Time(Time::Field(field)),
        })
    }

    fn constant(&self, at: usize) -> Compiled<Expression> {
        match &self.args[at] {
            Value::String(text) => Ok(Expression::Text(Text::Constant(text.as_bytes().into()))),
            Value::Bool(value) => Ok(Expression::Bool(Bool::Constant(*value))),
            Value::Number(_) => Ok(Expression::Number(Number::Constant(
                self.literal_number(at)?,
            ))),
            other => Err(format!("{}: {other} is no text, number or bool", self.op)),
        }
    }

    fn text_operation(&self) -> Compiled<Text> {
        match self.op {
            "concat" => {
                self.arity(1..=usize::MAX)?;
                let parts: Compiled<Vec<Text>> =
                    (0..self.args.len()).map(|at| self.text(at)).collect();
                Ok(Text::Concat(parts?.into()))
            }
            "lower" | "upper" => {
                self.arity(1..=1)?;
                let text = self.text(0)?.into();
                Ok(if self.op == "lower" {
                    Text::Lower(text)
                } else {
                    Text::Upper(text)
                })
            }
            _ => {
                self.arity(2..=2)?;
                let (text, count) = (self.text(0)?.into(), self.literal_count(1)?);
                Ok(if self.op == "prefix" {
                    Text::Prefix(text, count)
                } else {
                    Text::Suffix(text, count)
                })
            }
        }
    }

    fn unary(&self) -> Compiled<Expression> {
        self.arity(1..=1)?;
        let operation = match self.op {
            "neg" => Unary::Negative,
            "abs" => Unary::Absolute,
            "log1p" => Unary::Log1p,
            "log" => Unary::Log,
            "exp" => Unary::Exp,
            "sqrt" => Unary::SquareRoot,
            "floor" => Unary::Floor,
            _ => Unary::Round,
        };
        Ok(Expression::Number(Number::Unary(
            operation,
            self.number(0)?.into(),
        )))
    }

    fn binary(&self) -> Compiled<Expression> {
        self.arity(2..=2)?;
        let operation = match self.op {
            "+" => Binary::Add,
            "-" => Binary::Subtract,
            "*" => Binary::Multiply,
            "/" => Binary::Divide,
            "%" => Binary::Remainder,
            "min" => Binary::Minimum,
            _ => Binary::Maximum,
        };
        Ok(Expression::Number(Number::Binary(
            operation,
            [self.number(0)?, self.number(1)?].into(),
        )))
    }

    fn other_number(&self) -> Compiled<Number> {
        match self.op {
            "length" => {
                self.arity(1..=1)?;
                Ok(Number::Length(self.text(0)?.into()))
            }
            "seconds" => {
                self.arity(1..=1)?;
                Ok(Number::Seconds(self.time(0)?.into()))
            }
            "clip" => {
                self.arity(3..=3)?;
                let (low, high) = (self.literal_number(1)?, self.literal_number(2)?);
                if low > high {
                    Err(format!("clip: {low} is above {high}"))
                } else {
                    Ok(())
                }?;
                Ok(Number::Clip(self.number(0)?.into(), low, high))
            }
            "bucket" => Ok(Number::Bucket(self.number(0)?.into(), self.edges()?)),
            _ => {
                self.arity(2..=2)?;
                let base = self.literal_number(1)?;
                if base < MIN_LOG_BASE {
                    Err(format!("log_bucket: a base below {MIN_LOG_BASE}"))
                } else {
                    Ok(())
                }?;
                Ok(Number::LogBucket(self.number(0)?.into(), powers(base)))
            }
        }
    }

    fn edges(&self) -> Compiled<Box<[f64]>> {
        self.arity(2..=usize::MAX)?;
        let edges: Compiled<Vec<f64>> = (1..self.args.len())
            .map(|at| self.literal_number(at))
            .collect();
        let edges = edges?;
        if edges.is_sorted_by(|left, right| left < right) {
            Ok(edges.into())
        } else {
            Err("bucket: the edges do not ascend".into())
        }
    }

    fn part_of_time(&self) -> Compiled<Number> {
        self.arity(2..=2)?;
        let part = match self.op {
            "hour" => Part::Hour,
            "weekday" => Part::Weekday,
            "day" => Part::Day,
            _ => Part::Month,
        };
        let hours = self.literal_number(1)?;
        if hours.abs() > 24.0 {
            return Err(format!("{}: an offset of {hours} hours", self.op));
        }
        Ok(Number::Part(
            part,
            self.time(0)?.into(),
            (hours * HOUR as f64).round() as i64,
        ))
    }

    fn comparison(&self) -> Compiled<Bool> {
        self.arity(2..=2)?;
        let comparison = match self.op {
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            "==" => Comparison::Equal,
            _ => Comparison::NotEqual,
        };
        let ordered = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        match (self.expression(0)?, self.expression(1)?) {
            (Expression::Number(a), Expression::Number(b)) => {
                Ok(Bool::Numbers(comparison, [a, b].into()))
            }
            (Expression::Time(a), Expression::Time(b)) => {
                Ok(Bool::Times(comparison, [a, b].into()))
            }
            (Expression::Text(a), Expression::Text(b)) if !ordered => {
                Ok(Bool::Texts(comparison, [a, b].into()))
            }
            (Expression::Bool(a), Expression::Bool(b)) if !ordered => {
                Ok(Bool::Bools(comparison, [a, b].into()))
            }
            (a, b) => Err(format!(
                "{}: cannot compare {} with {}",
                self.op,
                a.type_name(),
                b.type_name()
            )),
        }
    }

    fn logic(&self) -> Compiled<Bool> {
        match self.op {
            "not" | "missing" => self.arity(1..=1)?,
            "in" => self.arity(2..=usize::MAX)?,
            _ => self.arity(2..=2)?,
        }
        match self.op {
            "not" => Ok(Bool::Not(self.bool(0)?.into())),
            "missing" => Ok(Bool::Missing(self.expression(0)?.into())),
            "and" => Ok(Bool::And([self.bool(0)?, self.bool(1)?].into())),
            "or" => Ok(Bool::Or([self.bool(0)?, self.bool(1)?].into())),
            _ => {
                let texts =
                    (1..self.args.len()).map(|at| Ok(self.literal_text(at)?.as_bytes().into()));
                let texts: Compiled<Vec<Box<[u8]>>> = texts.collect();
                Ok(Bool::In(self.text(0)?.into(), texts?.into()))
            }
        }
    }

    fn choice(&self) -> Compiled<Expression> {
        self.arity(3..=3)?;
        let condition = self.bool(0)?;
        match (self.expression(1)?, self.expression(2)?) {
            (Expression::Number(a), Expression::Number(b)) => {
                Ok(Expression::Number(Number::If((condition, a, b).into())))
            }
            (Expression::Bool(a), Expression::Bool(b)) => {
                Ok(Expression::Bool(Bool::If((condition, a, b).into())))
            }
            (Expression::Time(a), Expression::Time(b)) => {
                Ok(Expression::Time(Time::If((condition, a, b).into())))
            }
            (a, b) if a.is_set() || b.is_set() => {
                let (a, b) = (self.as_set(a)?, self.as_set(b)?);
                Ok(Expression::Set(Set::If((condition, a, b).into())))
            }
            (a, b) => {
                let (a, b) = (self.as_text(a)?, self.as_text(b)?);
                Ok(Expression::Text(Text::If((condition, a, b).into())))
            }
        }
    }

    fn default(&self) -> Compiled<Expression> {
        self.arity(2..=2)?;
        match (self.expression(0)?, self.constant(1)?) {
            (Expression::Number(number), Expression::Number(Number::Constant(default))) => {
                Ok(Expression::Number(Number::Default(number.into(), default)))
            }
            (Expression::Bool(bool), Expression::Bool(Bool::Constant(default))) => {
                Ok(Expression::Bool(Bool::Default(bool.into(), default)))
            }
            (text, Expression::Text(Text::Constant(default))) => Ok(Expression::Text(
                Text::Default(self.as_text(text)?.into(), default),
            )),
            (value, _) => Err(format!(
                "default: {} is no {}",
                self.args[1],
                value.type_name()
            )),
        }
    }

    fn set(&self) -> Compiled<Set> {
        match self.op {
            "words" => {
                self.arity(1..=1)?;
                Ok(Set::Words(self.text(0)?))
            }
            "ngrams" => {
                self.arity(2..=2)?;
                let size = self.literal_count(1)?;
                if size == 0 {
                    Err("ngrams: of no characters".to_string())
                } else {
                    Ok(())
                }?;
                Ok(Set::Ngrams(self.text(0)?, size))
            }
            "split" => {
                self.arity(2..=2)?;
                let separator = self.literal_text(1)?;
                if separator.is_empty() {
                    Err("split: the separator is empty".to_string())
                } else {
                    Ok(())
                }?;
                Ok(Set::Split(self.text(0)?, separator.into()))
            }
            _ => {
                self.arity(2..=usize::MAX)?;
                let parts = (0..self.args.len()).map(|at| self.as_set(self.expression(at)?));
                Ok(Set::Cross(parts.collect::<Compiled<Vec<Set>>>()?.into()))
            }
        }
    }
}

#[cfg(test)]
#[path = "tests/compile.rs"]
mod tests;
