//! Versioned, checksummed bytes: `magic u32 · version u32 · body · xxh3-64 of all before`, little-endian.

use xxhash_rust::xxh3::xxh3_64;

/// Why bytes are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged(pub String);

impl std::fmt::Display for Damaged {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Appends numbers; `finish` seals.
pub struct Writer(Vec<u8>);

impl Writer {
    pub fn new(magic: u32, version: u32) -> Writer {
        let mut writer = Writer(Vec::new());
        writer.u32(magic);
        writer.u32(version);
        writer
    }

    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
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
        self.0.extend_from_slice(value);
    }

    pub fn finish(mut self) -> Vec<u8> {
        let checksum = xxh3_64(&self.0);
        self.u64(checksum);
        self.0
    }
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
            found if found == version => Ok(reader),
            found => Err(damaged(&format!(
                "format {found}, this release reads {version}"
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
