//! Versioned, checksummed bytes: `magic u32 · version u32 · body · xxh3-64 of all before`, little-endian.

use std::ops::RangeInclusive;
use std::sync::Arc;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// What `Written::pieces` hands out at a time, about.
const PIECE_BYTES: usize = 1 << 19;

/// Why bytes are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged(pub String);

impl std::fmt::Display for Damaged {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Appends numbers; `finish` seals.
#[derive(Default)]
pub struct Writer {
    /// What was written before `bytes`.
    before: Vec<Part>,
    bytes: Vec<u8>,
}

/// A part of what was written.
enum Part {
    Bytes(Vec<u8>),
    /// Numbers that nobody changes any more, from one of them on: told without a copy.
    Numbers(Arc<Vec<u64>>, usize),
}

impl Writer {
    pub fn new(magic: u32, version: u32) -> Writer {
        let mut writer = Writer::default();
        writer.u32(magic);
        writer.u32(version);
        writer
    }

    pub fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.u64(value as u64);
    }

    pub fn f32(&mut self, value: f32) {
        self.u32(value.to_bits());
    }

    pub fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    pub fn text(&mut self, value: &str) {
        self.u32(value.len() as u32);
        self.bytes(value.as_bytes());
    }

    /// Just these, without their length.
    pub fn bytes(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
    }

    /// Like `u64` for each of `numbers` from index `from` on, in no time whatever their number.
    pub fn shared(&mut self, numbers: &Arc<Vec<u64>>, from: usize) {
        self.before
            .push(Part::Bytes(std::mem::take(&mut self.bytes)));
        self.before.push(Part::Numbers(Arc::clone(numbers), from));
    }

    /// Bytes that are written here and nowhere else.
    #[cfg(test)]
    pub fn copied_bytes(&self) -> usize {
        let before = self.before.iter().map(|part| match part {
            Part::Bytes(bytes) => bytes.len(),
            Part::Numbers(..) => 0,
        });
        before.sum::<usize>() + self.bytes.len()
    }

    pub fn finish(self) -> Vec<u8> {
        if self.before.is_empty() {
            let mut bytes = self.bytes;
            let checksum = xxh3_64(&bytes);
            bytes.extend_from_slice(&checksum.to_le_bytes());
            return bytes;
        }
        self.written().to_bytes()
    }

    /// The same, to be put together later, by anyone.
    pub fn written(mut self) -> Written {
        self.before.push(Part::Bytes(self.bytes));
        Written { parts: self.before }
    }
}

/// What a writer wrote, not yet put together or sealed.
pub struct Written {
    parts: Vec<Part>,
}

impl Written {
    /// All bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.pieces()
            .for_each(|piece| bytes.extend_from_slice(&piece));
        bytes
    }

    /// The same bytes, some at a time.
    pub fn pieces(&self) -> Pieces<&Written> {
        Pieces::of(self)
    }
}

/// Hands out the bytes of something written; the checksum is the last piece.
pub struct Pieces<W> {
    written: W,
    /// Part, and how far it was handed out: bytes or numbers of it.
    part: usize,
    done: usize,
    checksum: Option<Xxh3>,
}

impl<W: AsRef<Written>> Pieces<W> {
    pub fn of(written: W) -> Pieces<W> {
        Pieces {
            written,
            part: 0,
            done: 0,
            checksum: Some(Xxh3::new()),
        }
    }

    /// The next piece of the part in hand, empty at its end.
    fn of_part(&mut self, part: usize) -> Vec<u8> {
        let (piece, each) = match &self.written.as_ref().parts[part] {
            Part::Bytes(bytes) => (some(&bytes[self.done..], PIECE_BYTES).to_vec(), 1),
            Part::Numbers(numbers, from) => {
                let numbers = some(&numbers[from + self.done..], PIECE_BYTES / 8);
                (
                    numbers
                        .iter()
                        .flat_map(|number| number.to_le_bytes())
                        .collect(),
                    8,
                )
            }
        };
        self.done += piece.len() / each;
        piece
    }
}

impl<W: AsRef<Written>> Iterator for Pieces<W> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        while self.part < self.written.as_ref().parts.len() {
            let piece = self.of_part(self.part);
            if !piece.is_empty() {
                self.checksum.as_mut()?.update(&piece);
                return Some(piece);
            }
            (self.part, self.done) = (self.part + 1, 0);
        }
        let checksum = self.checksum.take()?.digest();
        Some(checksum.to_le_bytes().to_vec())
    }
}

impl AsRef<Written> for Written {
    fn as_ref(&self) -> &Written {
        self
    }
}

/// The first of `all`, `most` at most.
fn some<T>(all: &[T], most: usize) -> &[T] {
    &all[..all.len().min(most)]
}

/// Reads numbers back; every read checks that the bytes are there.
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Check magic, version and checksum.
    pub fn new(
        bytes: &'a [u8],
        what: &str,
        magic: u32,
        version: u32,
    ) -> Result<Reader<'a>, Damaged> {
        Reader::of_versions(bytes, what, magic, version..=version).map(|(reader, _)| reader)
    }

    /// The same where several versions are read; says which it is.
    pub fn of_versions(
        bytes: &'a [u8],
        what: &str,
        magic: u32,
        versions: RangeInclusive<u32>,
    ) -> Result<(Reader<'a>, u32), Damaged> {
        let damaged = |why: &str| Damaged(format!("{what}: {why} ({} bytes)", bytes.len()));
        let (body, checksum) = bytes
            .split_last_chunk::<8>()
            .ok_or_else(|| damaged("too short"))?;
        let mut reader = Reader { rest: body };
        if reader.u32()? != magic {
            return Err(damaged("these are other bytes"));
        }
        if u64::from_le_bytes(*checksum) != xxh3_64(body) {
            return Err(damaged("the checksum differs"));
        }
        match reader.u32()? {
            found if versions.contains(&found) => Ok((reader, found)),
            found => Err(damaged(&format!(
                "format {found}, this release reads {}",
                versions.end()
            ))),
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or_else(too_short)?;
        self.rest = rest;
        Ok(*head)
    }

    pub fn u32(&mut self) -> Result<u32, Damaged> {
        self.take().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Result<u64, Damaged> {
        self.take().map(u64::from_le_bytes)
    }

    pub fn i64(&mut self) -> Result<i64, Damaged> {
        self.take().map(i64::from_le_bytes)
    }

    pub fn f32(&mut self) -> Result<f32, Damaged> {
        self.take().map(f32::from_le_bytes)
    }

    pub fn f64(&mut self) -> Result<f64, Damaged> {
        self.take().map(f64::from_le_bytes)
    }

    pub fn text(&mut self) -> Result<&'a str, Damaged> {
        let len = self.u32()? as usize;
        std::str::from_utf8(self.bytes(len)?).map_err(|error| Damaged(error.to_string()))
    }

    pub fn bytes(&mut self, len: usize) -> Result<&'a [u8], Damaged> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or_else(too_short)?;
        self.rest = rest;
        Ok(head)
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may be left over.
    pub fn finish(self) -> Result<(), Damaged> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Damaged(format!("{} bytes too many", self.rest.len())))
        }
    }
}

fn too_short() -> Damaged {
    Damaged("the bytes end too early".into())
}

#[cfg(test)]
#[path = "tests/codec.rs"]
mod tests;
