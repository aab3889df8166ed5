//! One member of an event whose keys come in the expected order: what is compared, and how its value is read.

use std::hint::select_unpredictable;

use crate::hash::feature_id;
use crate::json::{Kind, Reader, text_ends};
use crate::keys::{Entry, Key};
use crate::lanes::Lanes;
use crate::number::parse_short;
use crate::plan::Bare;

/// One member of the event: its key, and what the hot path wants to know of its use.
pub struct Step {
    pub entry: Entry,
    pub key: Key,
    pub field: usize,
    pub kind: StepKind,
    lane: usize,
    /// Of the one feature: its bare slot, and the seed of its texts.
    place: usize,
    seed: u64,
    /// Length of the last text, if that was 4 to 8, and a mask of so many bytes; else 0 and all of them, which
    /// fits no text.
    text_length: usize,
    text_mask: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    Text,
    Number,
    /// Its value is no feature by itself, or not only one.
    Other,
}

impl Step {
    /// `alone`: the bare slot that is all the use of the value, and its place.
    pub fn new(key: Key, entry: Entry, alone: Option<(Bare, usize)>, lanes: &mut Lanes) -> Step {
        let field = usize::from(entry.target.field);
        let (kind, lane, place, seed) = match alone {
            Some((bare, place)) if bare.number => {
                let lane = lanes.add_number(place, bare.seed);
                (StepKind::Number, lane, place, bare.seed)
            }
            Some((bare, place)) => {
                let lane = lanes.add_text(place, bare.seed);
                (StepKind::Text, lane, place, bare.seed)
            }
            None => (StepKind::Other, 0, 0, 0),
        };
        Step {
            entry,
            key,
            field,
            kind,
            lane,
            place,
            seed,
            text_length: 0,
            text_mask: u64::MAX,
        }
    }

    /// Note a text without escapes; return the place after it. Many fields have texts of one short length: then one look
    /// is enough.
    #[inline(always)]
    pub fn text(&mut self, reader: Reader, start: usize, lanes: &mut Lanes) -> Option<usize> {
        let word = reader.load(start + 1);
        let end = start + 1 + self.text_length;
        let plain = text_ends(word) & self.text_mask == 0;
        if !plain || reader.byte(start) != b'"' || reader.byte(end) != b'"' {
            return self.any_text(reader, start, lanes);
        }
        lanes.text(self.lane, word, self.text_length as u64);
        Some(end + 1)
    }

    #[inline(never)]
    fn any_text(&mut self, reader: Reader, start: usize, lanes: &mut Lanes) -> Option<usize> {
        if reader.byte(start) != b'"' {
            return None;
        }
        let (value, end) = reader.text(start).ok()?;
        if value.kind != Kind::Text {
            return None;
        }
        let text = &reader.held[value.start as usize..value.end as usize];
        (self.text_length, self.text_mask) = match text.len() {
            length @ 4..=8 => (length, u64::MAX >> (64 - 8 * length)),
            _ => (0, u64::MAX),
        };
        if self.text_length > 0 {
            lanes.text(self.lane, reader.load(start + 1), text.len() as u64);
        } else {
            lanes.other((self.place, feature_id(text, self.seed), 1.0));
        }
        Some(end)
    }

    /// Note a short number; return the place after it.
    #[inline(always)]
    pub fn number(&self, reader: Reader, start: usize, lanes: &mut Lanes) -> Option<usize> {
        let word = reader.load(start);
        let negative = word as u8 == b'-';
        // Which one cannot be predicted, and where the next key begins waits for it: both are loaded.
        let word = select_unpredictable(negative, reader.load(start + 1), word);
        let short = parse_short(word)?;
        // Dividing by the negative is the same as changing the sign afterwards, and nothing branches.
        let sign = u64::from(negative) << 63;
        let divisor = f64::from_bits(short.divisor.to_bits() | sign);
        lanes.number(self.lane, short.digits, divisor);
        Some(start + usize::from(negative) + short.length)
    }
}
