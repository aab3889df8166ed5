//! The fields of one event, as the scanner found them, and what their values mean to a leaf.

use crate::block::Reason;
use crate::json::{self, Kind, Value};
use crate::{number, time};

/// A value that refuses the event.
#[derive(Debug, PartialEq)]
pub struct Refused {
    pub reason: Reason,
    pub detail: String,
}

impl Refused {
    pub fn new(reason: Reason, detail: String) -> Box<Refused> {
        Box::new(Refused { reason, detail })
    }
}

/// `None` is a missing value.
pub type Evaluated<T> = Result<Option<T>, Box<Refused>>;

/// Where a text is.
pub enum Textual<'a> {
    InPlace(&'a [u8]),
    /// At the end of the buffer that was handed in.
    Appended,
}

/// What was found at a field's path.
#[derive(Clone, Copy, Debug)]
pub enum Found {
    Value(Kind),
    /// No object stands where the path goes on.
    OffPath,
}

/// The last value at a field's path; of this event only if its number is the event's.
#[derive(Clone, Copy, Debug)]
pub struct Token {
    pub number: f64,
    pub event: u32,
    pub start: u32,
    pub end: u32,
    pub found: Found,
}

impl Token {
    #[inline(always)]
    pub fn new(value: Value, event: u32) -> Token {
        let Value {
            kind,
            start,
            end,
            number,
        } = value;
        Token {
            number,
            event,
            start,
            end,
            found: Found::Value(kind),
        }
    }

    /// Of no event.
    pub const NONE: Token = Token {
        number: 0.0,
        event: 0,
        start: 0,
        end: 0,
        found: Found::OffPath,
    };
}

/// What expressions read.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    pub input: &'a [u8],
    pub tokens: &'a [Token],
    /// Number of the event at hand; from 1.
    pub event: u32,
    /// Paths with points, for messages.
    pub names: &'a [String],
}

impl<'a> Fields<'a> {
    /// The value of a field that is there and not null.
    #[inline(always)]
    fn get(&self, field: u16) -> Option<&'a Token> {
        let token = &self.tokens[usize::from(field)];
        (token.event == self.event && !matches!(token.found, Found::Value(Kind::Null)))
            .then_some(token)
    }

    #[inline(always)]
    pub fn raw(&self, token: &Token) -> &'a [u8] {
        &self.input[token.start as usize..token.end as usize]
    }

    #[inline(always)]
    pub fn number(&self, field: u16) -> Evaluated<f64> {
        let Some(token) = self.get(field) else {
            return Ok(None);
        };
        match token.found {
            Found::Value(Kind::Integer | Kind::Decimal) => Ok(Some(token.number)),
            _ => Err(self.wrong_type(field, token, "a number")),
        }
    }

    pub fn bool(&self, field: u16) -> Evaluated<bool> {
        let Some(token) = self.get(field) else {
            return Ok(None);
        };
        match token.found {
            Found::Value(Kind::True) => Ok(Some(true)),
            Found::Value(Kind::False) => Ok(Some(false)),
            _ => Err(self.wrong_type(field, token, "true or false")),
        }
    }

    /// Microseconds since 1970; `scratch` is left as it was.
    pub fn time(&self, field: u16, scratch: &mut Vec<u8>) -> Evaluated<i64> {
        let Some(token) = self.get(field) else {
            return Ok(None);
        };
        let read = match token.found {
            Found::Value(Kind::Integer | Kind::Decimal) => {
                return match time::from_seconds(token.number) {
                    Some(time) => Ok(Some(time)),
                    None => Err(self.out_of_years(field, token)),
                };
            }
            Found::Value(Kind::Text) => time::from_text(self.raw(token)),
            Found::Value(Kind::EscapedText) => {
                let start = scratch.len();
                json::unescape(self.raw(token), scratch);
                let read = time::from_text(&scratch[start..]);
                scratch.truncate(start);
                read
            }
            _ => None,
        };
        match read {
            Some(time) => Ok(Some(time)),
            None => Err(self.wrong_type(field, token, "seconds since 1970 or an ISO 8601 time")),
        }
    }

    /// The canonical text of any scalar: mostly where it stands in the input, else appended to `scratch`.
    #[inline(always)]
    pub fn text(&self, field: u16, scratch: &mut Vec<u8>) -> Evaluated<Textual<'a>> {
        let Some(token) = self.get(field) else {
            return Ok(None);
        };
        match token.found {
            Found::Value(Kind::Text | Kind::True | Kind::False) => {
                Ok(Some(Textual::InPlace(self.raw(token))))
            }
            Found::Value(Kind::Integer) if token.number != 0.0 => {
                Ok(Some(Textual::InPlace(self.raw(token))))
            }
            _ => self.other_text(field, token, scratch),
        }
    }

    fn other_text(
        &self,
        field: u16,
        token: &Token,
        scratch: &mut Vec<u8>,
    ) -> Evaluated<Textual<'a>> {
        match token.found {
            Found::Value(Kind::Integer) => scratch.push(b'0'), // "-0" too
            Found::Value(Kind::Decimal) => number::append_value(token.number, scratch),
            Found::Value(Kind::EscapedText) => json::unescape(self.raw(token), scratch),
            _ => return Err(self.wrong_type(field, token, "a text, a number, true or false")),
        }
        Ok(Some(Textual::Appended))
    }

    #[cold]
    fn wrong_type(&self, field: u16, token: &Token, wanted: &str) -> Box<Refused> {
        let found = match token.found {
            Found::OffPath => "something else than an object on the way to it",
            Found::Value(Kind::Null) => "null",
            Found::Value(Kind::True | Kind::False) => "true or false",
            Found::Value(Kind::Text | Kind::EscapedText) => "a text",
            Found::Value(Kind::Integer | Kind::Decimal) => "a number",
            Found::Value(Kind::Array) => "an array",
            Found::Value(Kind::Object) => "an object",
        };
        let name = &self.names[usize::from(field)];
        Refused::new(
            Reason::WrongType,
            format!(
                "field {name}: expected {wanted}, found {found}{}",
                self.quote(token)
            ),
        )
    }

    #[cold]
    fn out_of_years(&self, field: u16, token: &Token) -> Box<Refused> {
        let name = &self.names[usize::from(field)];
        let detail = format!(
            "field {name}: as seconds since 1970 outside the years 0 to 9999{}",
            self.quote(token)
        );
        Refused::new(Reason::OutOfRange, detail)
    }

    /// The first bytes of a scalar, to recognise it by.
    fn quote(&self, token: &Token) -> String {
        const SHOWN: usize = 40;
        match token.found {
            Found::OffPath | Found::Value(Kind::Array | Kind::Object) => String::new(),
            Found::Value(_) => {
                let text = String::from_utf8_lossy(self.raw(token));
                let shown: String = text.chars().take(SHOWN).collect();
                format!(
                    ": {shown}{}",
                    if shown.len() < text.len() { "…" } else { "" }
                )
            }
        }
    }
}

#[cfg(test)]
#[path = "tests/fields.rs"]
mod tests;
