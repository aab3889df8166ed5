//! What can be wrong with a JSON text, in the words that a dead letter shows.

use crate::block::Reason;

/// Why a text is refused, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    pub at: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    NotAnObject,
    Value,
    Key,
    Colon,
    CommaOrEnd,
    Text,
    Escape,
    Surrogate,
    Number,
    Infinite,
    Trailing,
    TooDeep,
}

impl FaultKind {
    pub fn at(self, at: usize) -> Fault {
        Fault {
            kind: self,
            at: at as u32,
        }
    }

    pub fn reason(self) -> Reason {
        match self {
            FaultKind::TooDeep => Reason::TooDeep,
            FaultKind::Infinite => Reason::OutOfRange,
            _ => Reason::InvalidJson,
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            FaultKind::NotAnObject => "an event is one JSON object",
            FaultKind::Value => "expected a value",
            FaultKind::Key => "expected a key in quotes",
            FaultKind::Colon => "expected a colon",
            FaultKind::CommaOrEnd => "expected a comma or the end",
            FaultKind::Text => {
                "a text ends here without its quote, or with a control character that is not escaped"
            }
            FaultKind::Escape => "no such escape",
            FaultKind::Surrogate => "half of a surrogate pair",
            FaultKind::Number => "not a number of JSON's grammar",
            FaultKind::Infinite => "a number too large for float64",
            FaultKind::Trailing => "something follows the object",
            FaultKind::TooDeep => "deeper than 32 objects and arrays",
        }
    }
}
