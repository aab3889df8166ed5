//! A reader of one JSON text on one line: nothing is built, only borders and kinds are found.
//!
//! A line feed is never white space here: it separates the events of a record.

use crate::block::Reason;
use crate::number::{self, BadNumber, Literal};

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
}

impl Window {
    pub fn new() -> Window {
        let bytes = vec![0; PLACES + 8].into_boxed_slice();
        Window {
            bytes: bytes.try_into().expect("the size is the type's"),
            length: 0,
        }
    }

    /// Hold `input`, which is no longer than `MAX_BYTES`.
    pub fn hold(&mut self, input: &[u8]) {
        self.bytes[..input.len()].copy_from_slice(input);
        self.bytes[input.len()..input.len() + 8].fill(0);
        self.length = input.len();
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

/// Why a text is refused; the reader stands where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    NotAnObject,
    Value,
    Key,
    Colon,
    CommaOrEnd,
    Control,
    UnendedText,
    Escape,
    Surrogate,
    Number,
    Infinite,
    Trailing,
    TooDeep,
}

impl Fault {
    pub fn reason(self) -> Reason {
        match self {
            Fault::TooDeep => Reason::TooDeep,
            Fault::Infinite => Reason::OutOfRange,
            _ => Reason::InvalidJson,
        }
    }

    pub fn message(self) -> &'static str {
        match self {
            Fault::NotAnObject => "an event is one JSON object",
            Fault::Value => "expected a value",
            Fault::Key => "expected a key in quotes",
            Fault::Colon => "expected a colon",
            Fault::CommaOrEnd => "expected a comma or the end",
            Fault::Control => "a control character in a text must be escaped",
            Fault::UnendedText => "a text does not end",
            Fault::Escape => "no such escape",
            Fault::Surrogate => "half of a surrogate pair",
            Fault::Number => "not a number of JSON's grammar",
            Fault::Infinite => "a number too large for float64",
            Fault::Trailing => "something follows the object",
            Fault::TooDeep => "deeper than 32 objects and arrays",
        }
    }
}

impl From<BadNumber> for Fault {
    fn from(bad: BadNumber) -> Fault {
        match bad {
            BadNumber::Grammar => Fault::Number,
            BadNumber::Infinite => Fault::Infinite,
        }
    }
}

/// A place in a window.
pub struct Reader<'a> {
    bytes: &'a [u8; PLACES + 8],
    /// What the window holds.
    pub held: &'a [u8],
    pub at: usize,
    /// Its high bits are set once a text with other bytes than ASCII was met (or one stood close by).
    wide: u64,
}

impl<'a> Reader<'a> {
    pub fn new(window: &'a Window, at: usize) -> Reader<'a> {
        Reader {
            bytes: &window.bytes,
            held: window.held(),
            at,
            wide: 0,
        }
    }

    /// Whether every text read so far is ASCII for sure.
    pub fn is_ascii(&self) -> bool {
        self.wide & HIGH == 0
    }

    /// The next byte; 0, which is never valid, at the end.
    #[inline(always)]
    pub fn peek(&self) -> u8 {
        self.bytes[self.at % PLACES]
    }

    /// The eight bytes from `at` on, the first one lowest.
    #[inline(always)]
    pub fn load(&self, at: usize) -> u64 {
        let at = at % PLACES;
        let mut word = [0; 8];
        word.copy_from_slice(&self.bytes[at..at + 8]);
        u64::from_le_bytes(word)
    }

    #[inline(always)]
    pub fn skip_space(&mut self) {
        while self.peek() <= b' ' && b" \t\r".contains(&self.peek()) {
            self.at += 1;
        }
    }

    #[inline(always)]
    pub fn colon(&mut self) -> Result<(), Fault> {
        self.skip_space();
        if self.peek() != b':' {
            return Err(Fault::Colon);
        }
        self.at += 1;
        Ok(())
    }

    /// After a member or element: whether another follows; steps over the comma or the end.
    #[inline(always)]
    pub fn another(&mut self, end: u8) -> Result<bool, Fault> {
        if self.peek() == b',' {
            self.at += 1;
            return Ok(true);
        }
        self.skip_space();
        let byte = self.peek();
        if byte != b',' && byte != end {
            return Err(Fault::CommaOrEnd);
        }
        self.at += 1;
        Ok(byte == b',')
    }

    /// Whether the object or array just opened is empty; steps over its end.
    #[inline(always)]
    pub fn is_empty(&mut self, end: u8) -> bool {
        self.skip_space();
        let empty = self.peek() == end;
        self.at += empty as usize;
        empty
    }

    /// A scalar at the reader's place, which is white space or its first byte; containers are passed over whole.
    ///
    /// `depth` is that of the object or array around the value.
    #[inline(always)]
    pub fn value(&mut self, depth: u32) -> Result<Value, Fault> {
        self.skip_space();
        match self.peek() {
            b'"' => self.text(),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.other(depth),
        }
    }

    /// The text whose opening quote is here.
    #[inline(always)]
    pub fn text(&mut self) -> Result<Value, Fault> {
        self.at += 1;
        let start = self.at;
        loop {
            let word = self.load(self.at);
            self.wide |= word;
            let ends = text_ends(word);
            if ends != 0 {
                self.at += (ends.trailing_zeros() / 8) as usize;
                if self.peek() != b'"' {
                    return self.escaped_text(start);
                }
                self.at += 1;
                return Ok(text_value(Kind::Text, start, self.at - 1));
            }
            self.at += 8;
        }
    }

    /// The rest of a text, byte by byte: escapes and control characters.
    #[cold]
    fn escaped_text(&mut self, start: usize) -> Result<Value, Fault> {
        let mut kind = Kind::Text;
        loop {
            let byte = self.peek();
            self.wide |= u64::from(byte);
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(text_value(kind, start, self.at - 1));
                }
                b'\\' => {
                    kind = Kind::EscapedText;
                    self.at = read_escape(self.held, self.at)?.1;
                }
                _ if self.at >= self.held.len() => return Err(Fault::UnendedText),
                b'\n' => return Err(Fault::UnendedText),
                0..0x20 => return Err(Fault::Control),
                _ => self.at += 1,
            }
        }
    }

    #[inline(always)]
    fn number(&mut self) -> Result<Value, Fault> {
        let start = self.at;
        let negative = self.peek() == b'-';
        let literal = match number::parse_short(self.load(start + negative as usize)) {
            Some(short) => {
                let value = if negative { -short.value } else { short.value };
                Literal {
                    value,
                    length: short.length + negative as usize,
                    ..short
                }
            }
            None => number::parse_any(self.held, start)?,
        };
        self.at += literal.length;
        let kind = if literal.integer {
            Kind::Integer
        } else {
            Kind::Decimal
        };
        Ok(Value {
            kind,
            start: start as u32,
            end: self.at as u32,
            number: literal.value,
        })
    }

    fn other(&mut self, depth: u32) -> Result<Value, Fault> {
        let start = self.at;
        let kind = match self.peek() {
            b'{' => self.object(depth + 1)?,
            b'[' => self.array(depth + 1)?,
            b't' => self.word(b"true", Kind::True)?,
            b'f' => self.word(b"false", Kind::False)?,
            b'n' => self.word(b"null", Kind::Null)?,
            _ => return Err(Fault::Value),
        };
        Ok(Value {
            kind,
            start: start as u32,
            end: self.at as u32,
            number: 0.0,
        })
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind, Fault> {
        if !self.held[self.at..].starts_with(word) {
            return Err(Fault::Value);
        }
        self.at += word.len();
        Ok(kind)
    }

    /// Pass over an object nobody asks for.
    fn object(&mut self, depth: u32) -> Result<Kind, Fault> {
        self.open(depth)?;
        if self.is_empty(b'}') {
            return Ok(Kind::Object);
        }
        loop {
            self.key()?;
            self.value(depth)?;
            if !self.another(b'}')? {
                return Ok(Kind::Object);
            }
        }
    }

    fn array(&mut self, depth: u32) -> Result<Kind, Fault> {
        self.open(depth)?;
        if self.is_empty(b']') {
            return Ok(Kind::Array);
        }
        loop {
            self.value(depth)?;
            if !self.another(b']')? {
                return Ok(Kind::Array);
            }
        }
    }

    /// Step into the object or array that begins here and is the `depth`-th.
    #[inline(always)]
    pub fn open(&mut self, depth: u32) -> Result<(), Fault> {
        if depth > MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        self.at += 1;
        Ok(())
    }

    /// A key with its colon; white space before both.
    #[inline(always)]
    pub fn key(&mut self) -> Result<Value, Fault> {
        self.skip_space();
        if self.peek() != b'"' {
            return Err(Fault::Key);
        }
        let key = self.text()?;
        self.colon()?;
        Ok(key)
    }
}

#[inline(always)]
fn text_value(kind: Kind, start: usize, end: usize) -> Value {
    Value {
        kind,
        start: start as u32,
        end: end as u32,
        number: 0.0,
    }
}

/// High bit of every byte that is a quote, a backslash or a control character; right up to the first of them.
#[inline(always)]
fn text_ends(word: u64) -> u64 {
    // Flipping bit 1 puts the quote, 0x22, right above the control characters.
    let controls_and_quotes = (word ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslashes = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    (controls_and_quotes | backslashes) & !word & HIGH
}

/// Append what an escaped text says; it was read without a fault before.
pub fn unescape(text: &[u8], out: &mut Vec<u8>) {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte != b'\\' {
            out.push(byte);
            at += 1;
            continue;
        }
        let Ok((character, next)) = read_escape(text, at) else {
            return;
        };
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        at = next;
    }
}

/// The character of the escape at `at`, and where it ends.
fn read_escape(input: &[u8], at: usize) -> Result<(char, usize), Fault> {
    let simple = match input.get(at + 1) {
        Some(b'"') => '"',
        Some(b'\\') => '\\',
        Some(b'/') => '/',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'u') => return read_unicode_escape(input, at),
        _ => return Err(Fault::Escape),
    };
    Ok((simple, at + 2))
}

fn read_unicode_escape(input: &[u8], at: usize) -> Result<(char, usize), Fault> {
    let first = hex4(input, at + 2)?;
    if !(0xd800..0xe000).contains(&first) {
        return char::from_u32(first)
            .map(|character| (character, at + 6))
            .ok_or(Fault::Surrogate);
    }
    if first >= 0xdc00 || input.get(at + 6..at + 8) != Some(b"\\u") {
        return Err(Fault::Surrogate);
    }
    let second = hex4(input, at + 8)?;
    if !(0xdc00..0xe000).contains(&second) {
        return Err(Fault::Surrogate);
    }
    let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    char::from_u32(code)
        .map(|character| (character, at + 12))
        .ok_or(Fault::Surrogate)
}

fn hex4(input: &[u8], at: usize) -> Result<u32, Fault> {
    let digits = input.get(at..at + 4).ok_or(Fault::Escape)?;
    digits
        .iter()
        .try_fold(0, |code, &digit| match (digit as char).to_digit(16) {
            Some(value) => Ok(code * 16 + value),
            None => Err(Fault::Escape),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(text: &[u8]) -> Window {
        let mut window = Window::new();
        window.hold(text);
        window
    }

    fn read(text: &str) -> Result<Value, Fault> {
        let window = hold(text.as_bytes());
        let mut reader = Reader::new(&window, 0);
        let value = reader.value(0)?;
        if reader.at < text.len() {
            Err(Fault::Trailing)
        } else {
            Ok(value)
        }
    }

    fn kind(text: &str) -> Result<Kind, Fault> {
        read(text).map(|value| value.kind)
    }

    #[test]
    fn every_kind_of_value_is_recognised() {
        for (text, expected) in [
            ("null", Kind::Null),
            ("true", Kind::True),
            ("false", Kind::False),
            ("\"a\"", Kind::Text),
            ("\"\\u0041\"", Kind::EscapedText),
            ("-3", Kind::Integer),
            ("3.5", Kind::Decimal),
            ("[1, [2], {}]", Kind::Array),
            ("{\"a\" : {\"b\":[]}}", Kind::Object),
        ] {
            assert_eq!(kind(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_text_ends_at_its_quote_wherever_that_stands() {
        for length in 0..40 {
            let text = format!("\"{}\"", "x".repeat(length));
            for padding in ["", ",\"y\":1,\"zzzzzzzzzzzz\""] {
                let padded = format!("{text}{padding}");
                let window = hold(padded.as_bytes());
                let mut reader = Reader::new(&window, 0);
                let value = reader.text().unwrap();
                assert_eq!(
                    (value.start, value.end as usize, reader.at),
                    (1, length + 1, length + 2)
                );
            }
        }
    }

    #[test]
    fn a_control_character_is_refused_at_every_place_of_a_text() {
        for control in 0..0x20u8 {
            for length in 0..20 {
                let mut text = vec![b'"'];
                text.extend(std::iter::repeat_n(b'x', length));
                text.push(control);
                text.extend_from_slice(b"yyyyyyyyyyyy\"");
                assert!(
                    Reader::new(&hold(&text), 0).text().is_err(),
                    "{control} after {length}"
                );
            }
        }
    }

    #[test]
    fn escapes_say_what_the_standard_says() {
        let text = r#""\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 é""#;
        assert_eq!(kind(text), Ok(Kind::EscapedText));
        let mut out = Vec::new();
        unescape(&text.as_bytes()[1..text.len() - 1], &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "\"\\/\u{8}\u{c}\n\r\té😀 é"
        );
    }

    #[test]
    fn broken_escapes_and_lone_surrogates_are_refused() {
        for (text, fault) in [
            (r#""\x""#, Fault::Escape),
            (r#""\u12""#, Fault::Escape),
            (r#""\u12g4""#, Fault::Escape),
            (r#""\ud800""#, Fault::Surrogate),
            (r#""\udc00""#, Fault::Surrogate),
            (r#""\ud800\u0041""#, Fault::Surrogate),
            (r#""\ud800x""#, Fault::Surrogate),
            ("\"\\", Fault::Escape),
        ] {
            assert_eq!(kind(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn broken_structure_is_refused() {
        for text in [
            "",
            "{",
            "[",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "[1,]",
            "[1 2]",
            "{a:1}",
            "tru",
            "nul",
            "{\"a\" 1}",
            "{,}",
            "[,]",
            "\"abc",
            "\"abcdefghijk",
            "{\"a\":1]",
            "NaN",
            "Infinity",
            "'a'",
            "{\"a\":\n1}",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert_eq!(kind(&nested(32)), Ok(Kind::Array));
        assert_eq!(kind(&nested(33)), Err(Fault::TooDeep));
        assert_eq!(kind(&"[".repeat(1_000_000)), Err(Fault::TooDeep));
    }

    #[test]
    fn other_bytes_than_ascii_are_noticed() {
        for text in ["\"é\"", "\"aaaaaaaaaaaaaé\"", "\"\\né\"", "{\"é\":1}"] {
            let window = hold(text.as_bytes());
            let mut reader = Reader::new(&window, 0);
            reader.value(0).unwrap();
            assert!(!reader.is_ascii(), "{text}");
        }
    }
}
