//! Sets of texts, and crosses: their elements are appended to one buffer, each with where it ends.

use crate::expr::{Bool, MAX_ELEMENTS, Scratch, too_many_elements};
use crate::fields::{Fields, Refused};
use crate::hash::event_id as text_hash;
use crate::letters;
use crate::text::{Text, as_str};

/// Bytes of all elements of one set; more refuse the event. Only crosses of long texts get there.
const MAX_BYTES: usize = 16 << 20;

#[derive(Clone, Debug)]
pub enum Set {
    /// Lower-cased maximal runs of letters, marks and numbers.
    Words(Text),
    /// Runs of so many characters.
    Ngrams(Text, usize),
    /// Between separators, trimmed, empty ones dropped.
    Split(Text, Box<str>),
    /// One text.
    Single(Text),
    /// Every combination of the parts' elements; each part of an element is preceded by its length (u32, LE).
    Cross(Box<[Set]>),
    If(Box<(Bool, Set, Set)>),
}

impl Set {
    /// Append the elements, each once; false, and nothing appended, if the set is missing.
    pub fn append(&self, fields: Fields, scratch: &mut Scratch) -> Result<bool, Box<Refused>> {
        match self {
            Set::Words(text) => pieces(text, fields, scratch, append_words),
            Set::Ngrams(text, size) => pieces(text, fields, scratch, |source, elements| {
                append_ngrams(source, *size, elements)
            }),
            Set::Split(text, separator) => pieces(text, fields, scratch, |source, elements| {
                let pieces = source
                    .split(&**separator)
                    .map(str::trim)
                    .filter(|piece| !piece.is_empty());
                pieces
                    .into_iter()
                    .try_for_each(|piece| elements.add(piece.as_bytes()))
            }),
            Set::Single(text) => {
                let there = text.append(fields, scratch)?;
                if there {
                    scratch.ends.push(scratch.bytes.len());
                }
                Ok(there)
            }
            Set::Cross(parts) => append_cross(parts, fields, scratch),
            Set::If(branches) => append_chosen(branches, fields, scratch),
        }
    }

    /// An element as people read it.
    pub fn show(&self, element: &[u8]) -> String {
        self.show_parts(element)
            .unwrap_or_else(|| String::from_utf8_lossy(element).into_owned())
    }

    fn show_parts(&self, element: &[u8]) -> Option<String> {
        match self {
            Set::Cross(parts) => {
                let mut shown = Vec::new();
                let mut rest = element;
                for part in parts {
                    let (length, after) = rest.split_first_chunk::<4>()?;
                    let (text, after) =
                        after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
                    shown.push(part.show(text));
                    rest = after;
                }
                rest.is_empty().then(|| shown.join(" × "))
            }
            Set::If(branches) => branches
                .1
                .show_parts(element)
                .or_else(|| branches.2.show_parts(element)),
            _ => None,
        }
    }
}

/// Elements being collected, each once.
struct Elements<'a> {
    scratch: &'a mut Scratch,
    first_end: usize,
    first_byte: usize,
}

impl Elements<'_> {
    fn add(&mut self, element: &[u8]) -> Result<(), Box<Refused>> {
        if self.scratch.seen.insert(text_hash(element)) {
            self.scratch.bytes.extend_from_slice(element);
            self.end()?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Box<Refused>> {
        self.scratch.ends.push(self.scratch.bytes.len());
        let count = self.scratch.ends.len() - self.first_end;
        let bytes = self.scratch.bytes.len() - self.first_byte;
        if count > MAX_ELEMENTS || bytes > MAX_BYTES {
            Err(too_many_elements())
        } else {
            Ok(())
        }
    }
}

/// Cut a text into elements.
fn pieces(
    text: &Text,
    fields: Fields,
    scratch: &mut Scratch,
    cut: impl FnOnce(&str, &mut Elements) -> Result<(), Box<Refused>>,
) -> Result<bool, Box<Refused>> {
    let start = scratch.bytes.len();
    if !text.append(fields, scratch)? {
        return Ok(false);
    }
    let mut source = std::mem::take(&mut scratch.source);
    source.clear();
    source.extend(scratch.bytes.drain(start..));
    scratch.seen.clear();
    let first_end = scratch.ends.len();
    let result = cut(
        as_str(&source),
        &mut Elements {
            scratch,
            first_end,
            first_byte: start,
        },
    );
    scratch.source = source;
    result.map(|()| true)
}

fn append_words(source: &str, elements: &mut Elements) -> Result<(), Box<Refused>> {
    let mut lower = String::new();
    for word in source
        .split(|character: char| !letters::is_in_word(character))
        .filter(|word| !word.is_empty())
    {
        lower.clear();
        lower.extend(word.chars().flat_map(letters::lower));
        elements.add(lower.as_bytes())?;
    }
    Ok(())
}

fn append_ngrams(source: &str, size: usize, elements: &mut Elements) -> Result<(), Box<Refused>> {
    let starts = source.char_indices().map(|(at, _)| at);
    let ends = source
        .char_indices()
        .map(|(at, _)| at)
        .skip(size)
        .chain([source.len()]);
    if source.chars().take(size).count() < size {
        return Ok(());
    }
    starts
        .zip(ends)
        .try_for_each(|(start, end)| elements.add(&source.as_bytes()[start..end]))
}

/// Where the elements of one part lie: places in `Scratch::ends`, and the byte where the first begins.
struct Part {
    first_end: usize,
    next_end: usize,
    first_byte: usize,
}

fn append_cross(
    parts: &[Set],
    fields: Fields,
    scratch: &mut Scratch,
) -> Result<bool, Box<Refused>> {
    let (first_end, first_byte) = (scratch.ends.len(), scratch.bytes.len());
    let mut there = true;
    let mut ranges = Vec::with_capacity(parts.len());
    for part in parts {
        let (part_end, part_byte) = (scratch.ends.len(), scratch.bytes.len());
        there &= part.append(fields, scratch)?;
        ranges.push(Part {
            first_end: part_end,
            next_end: scratch.ends.len(),
            first_byte: part_byte,
        });
    }
    let (product_end, product_byte) = (scratch.ends.len(), scratch.bytes.len());
    if there {
        append_product(&ranges, scratch)?;
    }
    forget(scratch, first_end..product_end, first_byte..product_byte);
    Ok(there)
}

/// All combinations, the last part varying fastest.
fn append_product(parts: &[Part], scratch: &mut Scratch) -> Result<(), Box<Refused>> {
    let counts = parts.iter().map(|part| part.next_end - part.first_end);
    let total = counts.fold(1, usize::saturating_mul);
    if total > MAX_ELEMENTS {
        return Err(too_many_elements());
    }
    let (first_end, first_byte) = (scratch.ends.len(), scratch.bytes.len());
    for combination in 0..total {
        let mut below = total;
        for part in parts {
            let count = part.next_end - part.first_end;
            below /= count;
            let place = part.first_end + combination / below % count;
            let begin = if place == part.first_end {
                part.first_byte
            } else {
                scratch.ends[place - 1]
            };
            let end = scratch.ends[place];
            scratch
                .bytes
                .extend_from_slice(&((end - begin) as u32).to_le_bytes());
            scratch.bytes.extend_from_within(begin..end);
        }
        Elements {
            scratch,
            first_end,
            first_byte,
        }
        .end()?;
    }
    Ok(())
}

fn append_chosen(
    branches: &(Bool, Set, Set),
    fields: Fields,
    scratch: &mut Scratch,
) -> Result<bool, Box<Refused>> {
    let condition = branches.0.evaluate(fields, scratch)?;
    let (first_end, first_byte) = (scratch.ends.len(), scratch.bytes.len());
    let yes = branches.1.append(fields, scratch)?;
    let (no_end, no_byte) = (scratch.ends.len(), scratch.bytes.len());
    let no = branches.2.append(fields, scratch)?;
    if condition == Some(false) {
        forget(scratch, first_end..no_end, first_byte..no_byte);
        return Ok(no);
    }
    let kept = if condition == Some(true) {
        (no_end, no_byte)
    } else {
        (first_end, first_byte)
    };
    scratch.ends.truncate(kept.0);
    scratch.bytes.truncate(kept.1);
    Ok(condition.is_some() && yes)
}

/// Remove elements below the last ones, which move down.
fn forget(scratch: &mut Scratch, ends: std::ops::Range<usize>, bytes: std::ops::Range<usize>) {
    let moved = bytes.len();
    scratch.ends.drain(ends.clone());
    scratch.bytes.drain(bytes);
    for end in &mut scratch.ends[ends.start..] {
        *end -= moved;
    }
}

#[cfg(test)]
#[path = "tests/set.rs"]
mod tests;
