//! Texts: expressions whose value is appended to a buffer, so that nothing is allocated for each event.

use crate::block::Reason;
use crate::expr::{Bool, Number, Scratch, choose};
use crate::fields::{Evaluated, Fields, Refused, Textual};
use crate::letters;
use crate::number;

#[derive(Clone, Debug)]
pub enum Text {
    Field(u16),
    Constant(Box<[u8]>),
    OfBool(Box<Bool>),
    /// Decimal text of a whole number.
    OfWhole(Box<Number>),
    Lower(Box<Text>),
    Upper(Box<Text>),
    /// Of so many characters.
    Prefix(Box<Text>, usize),
    Suffix(Box<Text>, usize),
    Concat(Box<[Text]>),
    If(Box<(Bool, Text, Text)>),
    Default(Box<Text>, Box<[u8]>),
}

impl Text {
    /// Append the text to `scratch.bytes`; false, and nothing appended, if it is missing.
    pub fn append(&self, fields: Fields, scratch: &mut Scratch) -> Result<bool, Box<Refused>> {
        let start = scratch.bytes.len();
        match self {
            Text::Field(field) => return append_field(*field, fields, &mut scratch.bytes),
            Text::Constant(text) => scratch.bytes.extend_from_slice(text),
            Text::OfBool(bool) => return append_bool(bool, fields, scratch),
            Text::OfWhole(number) => return append_whole(number, fields, scratch),
            Text::Lower(text) => {
                return append_mapped(
                    text,
                    fields,
                    scratch,
                    <[u8]>::make_ascii_lowercase,
                    letters::lower,
                );
            }
            Text::Upper(text) => {
                return append_mapped(
                    text,
                    fields,
                    scratch,
                    <[u8]>::make_ascii_uppercase,
                    letters::upper,
                );
            }
            Text::Prefix(text, count) => {
                if !text.append(fields, scratch)? {
                    return Ok(false);
                }
                if let Some((end, _)) = as_str(&scratch.bytes[start..]).char_indices().nth(*count) {
                    scratch.bytes.truncate(start + end);
                }
            }
            Text::Suffix(text, count) => {
                if !text.append(fields, scratch)? {
                    return Ok(false);
                }
                let begin = suffix_start(&scratch.bytes[start..], *count);
                scratch.bytes.drain(start..start + begin);
            }
            Text::Concat(parts) => return append_all(parts, fields, scratch),
            Text::If(branches) => return append_chosen(branches, fields, scratch),
            Text::Default(text, default) => {
                if !text.append(fields, scratch)? {
                    scratch.bytes.extend_from_slice(default);
                }
            }
        }
        Ok(true)
    }
}

/// Append the canonical text of a field; false if it is missing.
pub fn append_field(field: u16, fields: Fields, out: &mut Vec<u8>) -> Result<bool, Box<Refused>> {
    match fields.text(field, out)? {
        None => return Ok(false),
        Some(Textual::InPlace(text)) => out.extend_from_slice(text),
        Some(Textual::Appended) => {}
    }
    Ok(true)
}

fn append_bool(bool: &Bool, fields: Fields, scratch: &mut Scratch) -> Result<bool, Box<Refused>> {
    let value = bool.evaluate(fields, scratch)?;
    let text: &[u8] = match value {
        Some(true) => b"true",
        Some(false) => b"false",
        None => b"",
    };
    scratch.bytes.extend_from_slice(text);
    Ok(value.is_some())
}

fn append_whole(
    number: &Number,
    fields: Fields,
    scratch: &mut Scratch,
) -> Result<bool, Box<Refused>> {
    let Some(value) = number.evaluate(fields, scratch)? else {
        return Ok(false);
    };
    if !value.is_finite() {
        let detail = "a category of a number that overflowed".to_string();
        return Err(Refused::new(Reason::OutOfRange, detail));
    }
    number::append_value(value, &mut scratch.bytes);
    Ok(true)
}

/// Case by case of each character, without regard to its neighbours: a prefix in lower case is the prefix of
/// the lower case.
fn append_mapped<I: Iterator<Item = char>>(
    text: &Text,
    fields: Fields,
    scratch: &mut Scratch,
    ascii: fn(&mut [u8]),
    wide: fn(char) -> I,
) -> Result<bool, Box<Refused>> {
    let start = scratch.bytes.len();
    let there = text.append(fields, scratch)?;
    let appended = &mut scratch.bytes[start..];
    if appended.is_ascii() {
        ascii(appended);
    } else {
        let mapped: String = as_str(appended).chars().flat_map(wide).collect();
        scratch.bytes.truncate(start);
        scratch.bytes.extend_from_slice(mapped.as_bytes());
    }
    Ok(there)
}

fn append_all(parts: &[Text], fields: Fields, scratch: &mut Scratch) -> Result<bool, Box<Refused>> {
    let start = scratch.bytes.len();
    let mut there = true;
    for part in parts {
        there &= part.append(fields, scratch)?;
    }
    if !there {
        scratch.bytes.truncate(start);
    }
    Ok(there)
}

fn append_chosen(
    branches: &(Bool, Text, Text),
    fields: Fields,
    scratch: &mut Scratch,
) -> Result<bool, Box<Refused>> {
    let start = scratch.bytes.len();
    let condition = branches.0.evaluate(fields, scratch)?;
    let yes = branches.1.append(fields, scratch)?.then_some(());
    let middle = scratch.bytes.len();
    let no = branches.2.append(fields, scratch)?.then_some(());
    match condition {
        Some(true) => scratch.bytes.truncate(middle),
        Some(false) => drop(scratch.bytes.drain(start..middle)),
        None => scratch.bytes.truncate(start),
    }
    Ok(choose(condition, yes, no).is_some())
}

/// Texts of an event are valid UTF-8: the scanner looked at all of its bytes before.
pub fn as_str(text: &[u8]) -> &str {
    std::str::from_utf8(text).unwrap_or("")
}

/// Where the last `count` characters begin.
fn suffix_start(text: &[u8], count: usize) -> usize {
    if count == 0 {
        return text.len();
    }
    as_str(text)
        .char_indices()
        .nth_back(count - 1)
        .map_or(0, |(at, _)| at)
}

/// Evaluate a text, look at it, and forget it.
fn with<T>(
    text: &Text,
    fields: Fields,
    scratch: &mut Scratch,
    look: impl FnOnce(&[u8]) -> T,
) -> Evaluated<T> {
    let start = scratch.bytes.len();
    let there = text.append(fields, scratch)?;
    let seen = there.then(|| look(&scratch.bytes[start..]));
    scratch.bytes.truncate(start);
    Ok(seen)
}

/// In characters.
pub fn length(text: &Text, fields: Fields, scratch: &mut Scratch) -> Evaluated<usize> {
    with(text, fields, scratch, |text| as_str(text).chars().count())
}

pub fn is_in(
    text: &Text,
    texts: &[Box<[u8]>],
    fields: Fields,
    scratch: &mut Scratch,
) -> Evaluated<bool> {
    with(text, fields, scratch, |text| {
        texts.iter().any(|other| **other == *text)
    })
}

pub fn equal(texts: &[Text; 2], fields: Fields, scratch: &mut Scratch) -> Evaluated<bool> {
    let start = scratch.bytes.len();
    let left = texts[0].append(fields, scratch)?;
    let middle = scratch.bytes.len();
    let right = texts[1].append(fields, scratch)?;
    let equal = scratch.bytes[start..middle] == scratch.bytes[middle..];
    scratch.bytes.truncate(start);
    Ok((left && right).then_some(equal))
}

#[cfg(test)]
#[path = "tests/text.rs"]
mod tests;
