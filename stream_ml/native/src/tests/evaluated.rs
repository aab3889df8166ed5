//! Expressions of a plan evaluated over an event that a test writes as a list of values.

use serde_json::{Value as Json, json};

use crate::compile::compile;
use crate::expr::{Expression, Scratch};
use crate::fields::{Evaluated, Fields, Found, Refused, Token};
use crate::json::{Kind, Value};

/// Fields `f0`, `f1`, … with these values.
pub struct Event {
    pub input: Vec<u8>,
    pub tokens: Vec<Token>,
    names: Vec<String>,
}

impl Event {
    pub fn new(values: &Json) -> Event {
        let mut event = Event {
            input: Vec::new(),
            tokens: Vec::new(),
            names: Vec::new(),
        };
        for (at, value) in values.as_array().unwrap().iter().enumerate() {
            event.push(value);
            event.names.push(format!("f{at}"));
        }
        event
    }

    fn push(&mut self, value: &Json) {
        let written = value.to_string();
        let (kind, raw) = match value {
            Json::Null => (Kind::Null, &written[..]),
            Json::Bool(true) => (Kind::True, &written[..]),
            Json::Bool(false) => (Kind::False, &written[..]),
            Json::Number(number) if number.is_f64() => (Kind::Decimal, &written[..]),
            Json::Number(_) => (Kind::Integer, &written[..]),
            Json::String(_) if written.contains('\\') => {
                (Kind::EscapedText, &written[1..written.len() - 1])
            }
            Json::String(_) => (Kind::Text, &written[1..written.len() - 1]),
            Json::Array(_) => (Kind::Array, &written[..]),
            Json::Object(_) => (Kind::Object, &written[..]),
        };
        let start = self.input.len() as u32;
        self.input.extend_from_slice(raw.as_bytes());
        let value = Value {
            kind,
            start,
            end: self.input.len() as u32,
            number: value.as_f64().unwrap_or(0.0),
        };
        self.tokens.push(Token::new(value, 1));
    }

    /// No object stands where the path of the field goes on.
    pub fn off_path(&mut self, field: usize) {
        self.tokens[field].found = Found::OffPath;
    }

    pub fn fields(&self) -> Fields<'_> {
        Fields {
            input: &self.input,
            tokens: &self.tokens,
            event: 1,
            names: &self.names,
        }
    }
}

/// The value of an expression: a missing one is null, a time its microseconds, a set its elements as people read them.
pub fn value(source: &Json, event: &Event) -> Result<Json, Box<Refused>> {
    let mut scratch = Scratch {
        bytes: b"before".to_vec(),
        ends: vec![6],
        ..Scratch::default()
    };
    let found = of(
        &compile(source, event.tokens.len()).unwrap(),
        event.fields(),
        &mut scratch,
    );
    if found.is_ok() {
        assert_eq!(
            (&scratch.bytes[..], &scratch.ends[..]),
            (&b"before"[..], &[6][..]),
            "{source} leaves something behind"
        );
    }
    found
}

fn of(
    expression: &Expression,
    fields: Fields,
    scratch: &mut Scratch,
) -> Result<Json, Box<Refused>> {
    Ok(match expression {
        Expression::Number(number) => number
            .evaluate(fields, scratch)?
            .map_or(Json::Null, number_json),
        Expression::Bool(bool) => json!(bool.evaluate(fields, scratch)?),
        Expression::Time(time) => json!(time.evaluate(fields, scratch)?.map(|time| time as f64)),
        Expression::Text(text) => {
            let there = text.append(fields, scratch)?;
            let text = scratch.bytes.split_off(6);
            assert!(there || text.is_empty());
            json!(there.then(|| String::from_utf8(text).unwrap()))
        }
        Expression::Set(set) => {
            let there = set.append(fields, scratch)?;
            let (bytes, ends) = (scratch.bytes.split_off(6), scratch.ends.split_off(1));
            assert_eq!(bytes.len(), ends.last().map_or(0, |end| end - 6));
            let begins = [6].into_iter().chain(ends.iter().copied());
            let elements = begins
                .zip(&ends)
                .map(|(begin, end)| set.show(&bytes[begin - 6..end - 6]));
            json!(there.then(|| elements.collect::<Vec<_>>()))
        }
    })
}

/// JSON has no infinity.
fn number_json(number: f64) -> Json {
    if number.is_finite() {
        json!(number)
    } else {
        json!(number.to_string())
    }
}

/// Whole numbers as floats, so that 1 is 1.0.
fn as_floats(value: &Json) -> Json {
    match value {
        Json::Number(number) => json!(number.as_f64()),
        Json::Array(values) => values.iter().map(as_floats).collect(),
        other => other.clone(),
    }
}

/// `cases` are pairs of an expression and its value over the event.
pub fn assert_values(event: Json, cases: Json) {
    let event = Event::new(&event);
    for case in cases.as_array().unwrap() {
        assert_eq!(
            value(&case[0], &event),
            Ok(as_floats(&case[1])),
            "{}",
            case[0]
        );
    }
}

/// `cases` are pairs of an expression and a part of what it is refused with.
pub fn assert_refusals(event: Json, cases: Json) {
    let event = Event::new(&event);
    for case in cases.as_array().unwrap() {
        let refused = value(&case[0], &event).unwrap_err();
        let seen = format!("{} {}", refused.reason.code(), refused.detail);
        assert!(
            seen.contains(case[1].as_str().unwrap()),
            "{}: {seen}",
            case[0]
        );
    }
}

/// The text of a leaf, wherever it is.
pub fn text_of(event: &Event, field: u16) -> Evaluated<String> {
    let mut bytes = Vec::new();
    let there = crate::text::append_field(field, event.fields(), &mut bytes)?;
    Ok(there.then(|| String::from_utf8(bytes).unwrap()))
}
