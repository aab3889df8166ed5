//! Rows: what the table keeps for a feature id, and the scratch columns that hold those of one example.

use crate::id_map::Places;

/// The state of one feature as FTRL names it; the weight is derived from it and never stored.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Row {
    pub z: f32,
    pub n: f32,
}

/// Bytes of a row on the wire: id uint64, z float32, n float32, little-endian.
pub const ROW_BYTES: usize = 16;
pub const ID_BYTES: usize = 8;

/// The sign bit of n, which is never negative: the row changed since the last cut.
pub(crate) const CHANGED: u64 = 1 << 63;

impl Row {
    #[inline(always)]
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.z.to_bits()) | u64::from(self.n.to_bits()) << 32
    }

    #[inline(always)]
    pub(crate) fn unpack(value: u64) -> Row {
        let value = value & !CHANGED;
        Row {
            z: f32::from_bits(value as u32),
            n: f32::from_bits((value >> 32) as u32),
        }
    }
}

pub fn push_row(bytes: &mut Vec<u8>, id: u64, row: Row) {
    bytes.extend_from_slice(&id.to_le_bytes());
    push_values(bytes, row);
}

/// Rows of the wire format; an error says which row no learner can have written.
pub fn parse_rows(bytes: &[u8]) -> impl Iterator<Item = Result<(u64, Row), String>> + '_ {
    let torn = (!bytes.len().is_multiple_of(ROW_BYTES)).then(|| {
        Err(format!(
            "{} bytes are no whole number of rows of {ROW_BYTES}",
            bytes.len()
        ))
    });
    torn.into_iter().chain(
        bytes
            .chunks_exact(ROW_BYTES)
            .enumerate()
            .map(|(at, chunk)| {
                let (id, value) = (le64(&chunk[..8]), le64(&chunk[8..]));
                let row = Row {
                    z: f32::from_bits(value as u32),
                    n: f32::from_bits((value >> 32) as u32),
                };
                let sound =
                    id != 0 && row.z.is_finite() && row.n.is_finite() && row.n.is_sign_positive();
                if sound {
                    Ok((id, row))
                } else {
                    Err(format!(
                        "row {at} is damaged: id {id:#x}, z {}, n {}",
                        row.z, row.n
                    ))
                }
            }),
    )
}

/// Bytes of z and n, without the id.
pub const VALUE_BYTES: usize = 8;

pub fn push_values(bytes: &mut Vec<u8>, row: Row) {
    bytes.extend_from_slice(&row.pack().to_le_bytes());
}

/// z and n of rows whose ids are said elsewhere.
pub fn parse_values(bytes: &[u8]) -> impl Iterator<Item = Row> + '_ {
    let (values, _) = bytes.as_chunks::<VALUE_BYTES>();
    values.iter().map(|value| {
        let value = u64::from_le_bytes(*value);
        Row {
            z: f32::from_bits(value as u32),
            n: f32::from_bits((value >> 32) as u32),
        }
    })
}

/// Ids of the wire format.
pub fn parse_ids(bytes: &[u8]) -> Result<Vec<u64>, String> {
    if !bytes.len().is_multiple_of(ID_BYTES) {
        return Err(format!(
            "{} bytes are no whole number of ids of {ID_BYTES}",
            bytes.len()
        ));
    }
    Ok(bytes.chunks_exact(ID_BYTES).map(le64).collect())
}

fn le64(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// Sums of features are taken in this many lanes, whatever the width of the machine.
pub const LANES: usize = 8;

/// The features of one example as columns, padded with zeros to whole lanes.
#[derive(Default, Debug)]
pub struct Columns {
    pub x: Vec<f32>,
    pub z: Vec<f32>,
    pub n: Vec<f32>,
    /// √n, once the weights are there.
    pub(crate) root: Vec<f32>,
    pub w: Vec<f32>,
    pub(crate) places: Places,
    /// Home bucket of each feature, for `Table::read`.
    pub(crate) homes: Vec<u32>,
    /// Room for the features that are not in their home bucket.
    pub(crate) elsewhere: Vec<u32>,
}

impl Columns {
    /// Room for the features with these values; the rest is to be filled in.
    #[inline(always)]
    pub fn start(&mut self, values: &[f32]) {
        let padded = values.len().next_multiple_of(LANES);
        if self.x.len() != padded {
            let Columns {
                x, z, n, root, w, ..
            } = self;
            for column in [x, z, n, root, w] {
                column.resize(padded, 0.0);
            }
        }
        self.places.positions.resize(values.len(), 0);
        self.places.values.resize(values.len(), 0);
        self.elsewhere.resize(values.len(), 0);
        self.x[..values.len()].copy_from_slice(values);
        self.x[values.len()..].fill(0.0);
    }

    /// Let the feature at `index` have this packed row.
    #[inline(always)]
    pub(crate) fn put(&mut self, index: usize, value: u64) {
        let row = Row::unpack(value);
        (self.z[index], self.n[index]) = (row.z, row.n);
    }

    /// Pack z and n, marked as changed.
    #[inline(always)]
    pub(crate) fn pack(&mut self) {
        for ((value, &z), &n) in self.places.values.iter_mut().zip(&self.z).zip(&self.n) {
            *value = Row { z, n }.pack() | CHANGED;
        }
    }
}

/// One addend of the order-free hash over rows. Linear in the row's bits, so that a change is a difference.
#[inline(always)]
pub fn row_hash(id: u64, value: u64) -> u64 {
    // Odd: a difference in any bit of the value is a difference of the hash.
    let factor = (id.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ id.rotate_left(32)) | 1;
    factor.wrapping_mul((value & !CHANGED).wrapping_add(1))
}

#[cfg(test)]
#[path = "tests/rows.rs"]
mod tests;
