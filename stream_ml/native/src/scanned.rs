//! Scanned blocks as bytes, to be learned again without a scan: by another replay, by another plan of the same features.
//!
//! The bytes of a range: its records, then its blocks. A block: its counts, then its columns, one example after the other.

use crate::absent::words_of;
use crate::block::{Block, Example, Reason, Refusal};
use crate::codec::{self, Damaged, Reader};
use crate::texts::Texts;

const MAGIC: u32 = u32::from_le_bytes(*b"scan");
/// Of the bytes, and of what a scan gives: counted up when the same record gives another example than before.
pub const SCAN_VERSION: u32 = 3;
const EXAMPLE_BYTES: usize = 48;
const ID_BYTES: usize = 8;
const VALUE_BYTES: usize = 4;
const SLOT_BYTES: usize = 2;
const WORD_BYTES: usize = 8;

/// Takes the blocks of a range, in their order.
pub struct Writer(codec::Writer);

impl Writer {
    /// `records`: of the range.
    pub fn new(records: usize) -> Writer {
        let mut writer = codec::Writer::new(MAGIC, SCAN_VERSION);
        writer.u64(records as u64);
        Writer(writer)
    }

    pub fn push(&mut self, block: &Block) {
        let writer = &mut self.0;
        let (features, slots) = (block.ids.len(), block.slots.len());
        for count in [block.examples.len(), features, slots, block.refusals.len()] {
            writer.u32(count as u32);
        }
        writer.u64(block.empty);
        writer.u64(block.skipped);
        for example in &block.examples {
            writer.bytes(&example_bytes(example));
        }
        for id in &block.ids {
            writer.u64(*id);
        }
        for value in &block.values {
            writer.f32(*value);
        }
        for slot in &block.slots {
            writer.bytes(&slot.to_le_bytes());
        }
        writer.u32(block.absent_words() as u32);
        block.absent.iter().for_each(|word| writer.u64(*word));
        writer.u32(block.segments.len() as u32);
        block.segments.iter().for_each(|segment| {
            writer.u32(u32::from(segment.is_some()));
            writer.text(segment.unwrap_or_default());
        });
        for refusal in &block.refusals {
            for number in [refusal.record, refusal.index, refusal.start, refusal.end] {
                writer.u32(number);
            }
            writer.text(refusal.reason.code());
            writer.text(&refusal.detail);
        }
    }

    pub fn finish(self) -> Vec<u8> {
        self.0.finish()
    }
}

/// What was kept of the records of one partition.
pub struct ScannedRange<'a> {
    pub partition: i32,
    pub records: usize,
    pub blocks: Vec<ScannedBlock<'a>>,
}

/// A block whose columns are still bytes, checked.
pub struct ScannedBlock<'a> {
    empty: u64,
    skipped: u64,
    examples: &'a [[u8; EXAMPLE_BYTES]],
    ids: &'a [[u8; ID_BYTES]],
    values: &'a [[u8; VALUE_BYTES]],
    /// Of each feature, or none.
    slots: &'a [[u8; SLOT_BYTES]],
    absent: &'a [[u8; WORD_BYTES]],
    segments: Texts,
    refusals: Vec<Refusal>,
}

impl<'a> ScannedRange<'a> {
    /// Check everything, so that learning cannot fail half way.
    pub fn parse(partition: i32, bytes: &'a [u8]) -> Result<ScannedRange<'a>, Damaged> {
        let mut reader = Reader::new(bytes, "a kept scan", MAGIC, SCAN_VERSION)?;
        let records = reader.u64()? as usize;
        let mut blocks = Vec::new();
        while !reader.is_empty() {
            blocks.push(ScannedBlock::read(&mut reader)?);
        }
        Ok(ScannedRange {
            partition,
            records,
            blocks,
        })
    }
}

impl<'a> ScannedBlock<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<ScannedBlock<'a>, Damaged> {
        let (examples, features) = (reader.u32()?, reader.u32()?);
        let (slots, refusals) = (reader.u32()?, reader.u32()?);
        let block = ScannedBlock {
            empty: reader.u64()?,
            skipped: reader.u64()?,
            examples: column(reader, examples)?,
            ids: column(reader, features)?,
            values: column(reader, features)?,
            slots: column(reader, slots)?,
            absent: read_absent(reader, examples)?,
            segments: read_segments(reader, examples)?,
            refusals: (0..refusals)
                .map(|_| read_refusal(reader))
                .collect::<Result<_, _>>()?,
        };
        block.check(features)?;
        Ok(block)
    }

    fn check(&self, features: u32) -> Result<(), Damaged> {
        let ends = || self.examples.iter().map(|example| u32_at(example, 0));
        if !ends().is_sorted() || ends().next_back().unwrap_or(0) != features {
            return Err(Damaged("a kept scan: features without an example".into()));
        }
        if self.ids.contains(&[0; ID_BYTES]) {
            return Err(Damaged("a kept scan: a feature with id 0".into()));
        }
        if !self.slots.is_empty() && self.slots.len() != self.ids.len() {
            return Err(Damaged("a kept scan: slots of some features only".into()));
        }
        Ok(())
    }

    /// Whether every feature's slot is known.
    pub fn has_slots(&self) -> bool {
        self.slots.len() == self.ids.len()
    }

    /// Put the block back as it was.
    pub fn fill(&self, block: &mut Block) {
        block.clear();
        block.empty = self.empty;
        block.skipped = self.skipped;
        block.examples.extend(self.examples.iter().map(example_of));
        let ids = self.ids.iter().map(|bytes| u64::from_le_bytes(*bytes));
        block.ids.extend(ids);
        let values = self.values.iter().map(|bytes| f32::from_le_bytes(*bytes));
        block.values.extend(values);
        let slots = self.slots.iter().map(|bytes| u16::from_le_bytes(*bytes));
        block.slots.extend(slots);
        let words = self.absent.iter().map(|bytes| u64::from_le_bytes(*bytes));
        block.absent.extend(words);
        block.segments.clone_from(&self.segments);
        block.refusals.extend_from_slice(&self.refusals);
    }
}

fn column<'a, const N: usize>(
    reader: &mut Reader<'a>,
    count: u32,
) -> Result<&'a [[u8; N]], Damaged> {
    Ok(reader.bytes(count as usize * N)?.as_chunks().0)
}

fn read_absent<'a>(
    reader: &mut Reader<'a>,
    examples: u32,
) -> Result<&'a [[u8; WORD_BYTES]], Damaged> {
    let words = reader.u32()?;
    if words > words_of(usize::MAX) as u32 {
        return Err(Damaged(format!(
            "a kept scan: {words} words of absent slots an example"
        )));
    }
    // So many examples of so few words are fewer than their bytes.
    column(reader, examples.saturating_mul(words))
}

/// Of all examples or of none.
fn read_segments(reader: &mut Reader, examples: u32) -> Result<Texts, Damaged> {
    let count = reader.u32()?;
    if count != 0 && count != examples {
        return Err(Damaged(format!(
            "a kept scan: {count} segments of {examples} examples"
        )));
    }
    let mut segments = Texts::default();
    for _ in 0..count {
        let there = reader.u32()? != 0;
        segments.push(Some(reader.text()?).filter(|_| there));
    }
    Ok(segments)
}

fn read_refusal(reader: &mut Reader) -> Result<Refusal, Damaged> {
    Ok(Refusal {
        record: reader.u32()?,
        index: reader.u32()?,
        start: reader.u32()?,
        end: reader.u32()?,
        reason: Reason::of(reader.text()?)
            .ok_or_else(|| Damaged("a kept scan: an unknown reason".into()))?,
        detail: reader.text()?.to_string(),
    })
}

fn example_bytes(example: &Example) -> [u8; EXAMPLE_BYTES] {
    let mut bytes = [0; EXAMPLE_BYTES];
    let halves = [
        example.end,
        example.record,
        example.index,
        example.label.to_bits(),
        example.importance.to_bits(),
        example.served.to_bits(),
    ];
    for (at, half) in halves.into_iter().enumerate() {
        bytes[4 * at..][..4].copy_from_slice(&half.to_le_bytes());
    }
    bytes[24..32].copy_from_slice(&example.event_id.to_le_bytes());
    bytes[32..40].copy_from_slice(&example.timestamp_us.to_le_bytes());
    bytes[40..].copy_from_slice(&example.label_time_us.to_le_bytes());
    bytes
}

fn example_of(bytes: &[u8; EXAMPLE_BYTES]) -> Example {
    Example {
        end: u32_at(bytes, 0),
        record: u32_at(bytes, 4),
        index: u32_at(bytes, 8),
        label: f32::from_bits(u32_at(bytes, 12)),
        importance: f32::from_bits(u32_at(bytes, 16)),
        served: f32::from_bits(u32_at(bytes, 20)),
        event_id: u64_at(bytes, 24),
        timestamp_us: u64_at(bytes, 32) as i64,
        label_time_us: u64_at(bytes, 40) as i64,
    }
}

fn u32_at(bytes: &[u8; EXAMPLE_BYTES], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

fn u64_at(bytes: &[u8; EXAMPLE_BYTES], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
#[path = "tests/scanned.rs"]
mod tests;
