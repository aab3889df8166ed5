//! A reader of one JSON text on one line: nothing is built, only borders and kinds are found.
//!
//! A line feed is never white space here: it separates the events of a record.

use crate::number::{self, BadNumber, Literal};
use escape::read_escape;
pub use escape::unescape;
pub use fault::{Fault, FaultKind};

mod escape;
mod fault;

/// Bytes of one record, or of one of its events.
pub const MAX_BYTES: usize = 1 << 20;
/// A place in the window is below it, for sure, after masking.
const PLACES: usize = 2 * MAX_BYTES;

/// A copy of what is being read, with zeros behind it.
///
/// Zero is never valid JSON, so a reader stops at the end without asking where that is; and as the size is
/// fixed, the compiler sees that a load of eight bytes at a masked place needs no check.
#[derive(Clone, Debug)]
pub struct Window {
    bytes: Box<[u8; PLACES + 8]>,
    length: usize,
    /// No byte has its highest bit set.
    ascii: bool,
}

impl Window {
    pub fn new() -> Window {
        let bytes = vec![0; PLACES + 8].into_boxed_slice();
        Window {
            bytes: bytes.try_into().expect("the size is the type's"),
            length: 0,
            ascii: true,
        }
    }

    /// Hold `input`, which is no longer than `MAX_BYTES`.
    pub fn hold(&mut self, input: &[u8]) {
        self.bytes[..input.len()].copy_from_slice(input);
        self.bytes[input.len()..input.len() + 8].copy_from_slice(&[0; 8]);
        self.length = input.len();
        self.ascii = input.is_ascii();
    }

    pub fn held(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Objects and arrays inside one another; the event itself is the first.
pub const MAX_DEPTH: u32 = 32;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// What a value is, and for scalars where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    True,
    False,
    /// Between the quotes, without any escape.
    Text,
    /// Between the quotes, with escapes.
    EscapedText,
    Integer,
    Decimal,
    Array,
    Object,
}

#[derive(Clone, Copy, Debug)]
pub struct Value {
    pub kind: Kind,
    pub start: u32,
    pub end: u32,
    /// Of an integer or decimal.
    pub number: f64,
}

/// Reads a window. Every step takes a place and gives the next one, so that it stays in a register.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    bytes: &'a [u8; PLACES + 8],
    /// What the window holds.
    pub held: &'a [u8],
    /// No byte of it has its highest bit set.
    pub ascii: bool,
}

impl<'a> Reader<'a> {
    pub fn new(window: &'a Window) -> Reader<'a> {
        Reader {
            bytes: &window.bytes,
            held: window.held(),
            ascii: window.ascii,
        }
    }

    /// The byte at `at`; 0, which is never valid, at the end.
    #[inline(always)]
    pub fn byte(self, at: usize) -> u8 {
        self.bytes[at % PLACES]
    }

    /// The eight bytes from `at` on, the first one lowest.
    #[inline(always)]
    pub fn load(self, at: usize) -> u64 {
        let at = at % PLACES;
        let mut word = [0; 8];
        word.copy_from_slice(&self.bytes[at..at + 8]);
        u64::from_le_bytes(word)
    }

    /// The first place from `at` on that is not white space.
    #[inline(always)]
    pub fn skip_space(self, mut at: usize) -> usize {
        while self.byte(at) <= b' ' && b" \t\r".contains(&self.byte(at)) {
            at += 1;
        }
        at
    }

    /// A key, and where its value is, white space before that not counted.
    #[inline(always)]
    pub fn key(self, at: usize) -> Result<(Value, usize), Fault> {
        let at = self.skip_space(at);
        if self.byte(at) != b'"' {
            return Err(FaultKind::Key.at(at));
        }
        let (key, at) = self.text(at)?;
        let at = self.skip_space(at);
        if self.byte(at) != b':' {
            return Err(FaultKind::Colon.at(at));
        }
        Ok((key, at + 1))
    }

    /// After a member or element: whether another follows, and where that, or what comes after the end, is.
    #[inline(always)]
    pub fn another(self, at: usize, end: u8) -> Result<(bool, usize), Fault> {
        if self.byte(at) == b',' {
            return Ok((true, at + 1));
        }
        let at = self.skip_space(at);
        match self.byte(at) {
            b',' => Ok((true, at + 1)),
            byte if byte == end => Ok((false, at + 1)),
            _ => Err(FaultKind::CommaOrEnd.at(at)),
        }
    }

    /// Step into the object or array that begins at `at` and is the `depth`-th; whether it is empty.
    #[inline(always)]
    pub fn open(self, at: usize, end: u8, depth: u32) -> Result<(bool, usize), Fault> {
        if depth > MAX_DEPTH {
            return Err(FaultKind::TooDeep.at(at));
        }
        let at = self.skip_space(at + 1);
        let empty = self.byte(at) == end;
        Ok((empty, at + empty as usize))
    }

    /// A value and the place after it; white space may come first, containers are passed over whole.
    ///
    /// `depth` is that of the object or array around the value.
    #[inline(always)]
    pub fn value(self, at: usize, depth: u32) -> Result<(Value, usize), Fault> {
        match self.byte(at) {
            b'"' => self.text(at),
            b'-' | b'0'..=b'9' => self.number(at),
            _ => self.other(at, depth),
        }
    }

    /// The text whose opening quote is at `at`.
    #[inline(always)]
    pub fn text(self, at: usize) -> Result<(Value, usize), Fault> {
        let start = at + 1;
        let mut at = start;
        let mut kind = Kind::Text;
        loop {
            let ends = text_ends(self.load(at));
            if ends == 0 {
                at += 8;
                continue;
            }
            at += (ends.trailing_zeros() / 8) as usize;
            match self.byte(at) {
                b'"' => {
                    return Ok((
                        Value {
                            kind,
                            start: start as u32,
                            end: at as u32,
                            number: 0.0,
                        },
                        at + 1,
                    ));
                }
                b'\\' => at = self.skip_escape(at)?,
                _ => return Err(FaultKind::Text.at(at)),
            }
            kind = Kind::EscapedText;
        }
    }

    #[cold]
    #[inline(never)]
    fn skip_escape(self, at: usize) -> Result<usize, Fault> {
        read_escape(self.held, at)
            .map(|(_, next)| next)
            .map_err(|kind| kind.at(at))
    }

    /// The number that begins at `start`.
    #[inline(always)]
    pub fn number(self, start: usize) -> Result<(Value, usize), Fault> {
        let negative = self.byte(start) == b'-';
        let (literal, end) = match number::parse_short(self.load(start + negative as usize)) {
            Some(short) => {
                let literal = short.literal();
                let value = if negative {
                    -literal.value
                } else {
                    literal.value
                };
                (
                    Literal { value, ..literal },
                    start + negative as usize + short.length,
                )
            }
            None => self.long_number(start)?,
        };
        let kind = if literal.integer {
            Kind::Integer
        } else {
            Kind::Decimal
        };
        Ok((
            Value {
                kind,
                start: start as u32,
                end: end as u32,
                number: literal.value,
            },
            end,
        ))
    }

    #[cold]
    #[inline(never)]
    fn long_number(self, start: usize) -> Result<(Literal, usize), Fault> {
        match number::parse_any(self.held, start) {
            Ok(literal) => Ok((literal, start + literal.length)),
            Err(BadNumber::Grammar) => Err(FaultKind::Number.at(start)),
            Err(BadNumber::Infinite) => Err(FaultKind::Infinite.at(start)),
        }
    }

    #[inline(never)]
    fn other(self, at: usize, depth: u32) -> Result<(Value, usize), Fault> {
        let start = self.skip_space(at);
        if start > at {
            return self.value(start, depth);
        }
        let (kind, end) = match self.byte(start) {
            b'{' => (Kind::Object, self.object(start, depth + 1)?),
            b'[' => (Kind::Array, self.array(start, depth + 1)?),
            b't' => (Kind::True, self.word(start, b"true")?),
            b'f' => (Kind::False, self.word(start, b"false")?),
            b'n' => (Kind::Null, self.word(start, b"null")?),
            _ => return Err(FaultKind::Value.at(start)),
        };
        Ok((
            Value {
                kind,
                start: start as u32,
                end: end as u32,
                number: 0.0,
            },
            end,
        ))
    }

    fn word(self, at: usize, word: &[u8]) -> Result<usize, Fault> {
        if self.held[at..].starts_with(word) {
            Ok(at + word.len())
        } else {
            Err(FaultKind::Value.at(at))
        }
    }

    /// Pass over an object nobody asks for.
    fn object(self, at: usize, depth: u32) -> Result<usize, Fault> {
        let (empty, mut at) = self.open(at, b'}', depth)?;
        let mut another = !empty;
        while another {
            at = self.key(at)?.1;
            at = self.value(at, depth)?.1;
            (another, at) = self.another(at, b'}')?;
        }
        Ok(at)
    }

    fn array(self, at: usize, depth: u32) -> Result<usize, Fault> {
        let (empty, mut at) = self.open(at, b']', depth)?;
        let mut another = !empty;
        while another {
            at = self.value(at, depth)?.1;
            (another, at) = self.another(at, b']')?;
        }
        Ok(at)
    }
}

/// High bit of every byte that is a quote, a backslash or a control character; right up to the first of them.
#[inline(always)]
pub fn text_ends(word: u64) -> u64 {
    // Flipping bit 1 puts the quote, 0x22, right above the control characters.
    let controls_and_quotes = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslashes = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (controls_and_quotes | backslashes) & !word & HIGH
}

#[cfg(test)]
#[path = "tests/json.rs"]
mod tests;
