//! Feature ids, fingerprints and checksums: xxh3, whose specification is frozen. Golden for ever.

use xxhash_rust::xxh3::{Xxh3, xxh3_64, xxh3_64_with_seed, xxh3_128};

/// The id of `text` in the slot of this seed; 0 is kept free for empty places in the table.
#[inline(always)]
pub fn feature_id(text: &[u8], seed: u64) -> u64 {
    // Longer texts have much more code, which would crowd out what stands around the call.
    if text.len() <= 16 {
        not_zero(xxh3_64_with_seed(text, seed))
    } else {
        long_feature_id(text, seed)
    }
}

#[inline(never)]
fn long_feature_id(text: &[u8], seed: u64) -> u64 {
    not_zero(xxh3_64_with_seed(text, seed))
}

/// What duplicates are recognised by; 0 means "the event has none".
pub fn event_id(text: &[u8]) -> u64 {
    not_zero(xxh3_64(text))
}

/// Texts of four to eight bytes of one slot: `feature_id` of a text that is in a register already. This is xxh3's way for
/// inputs of that length, with what depends on the seed alone taken out.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShortIds {
    flip: u64,
}

/// Bytes 8 to 24 of xxh3's secret, folded, as its specification has them.
const SECRET_FOLDED: u64 = 0x1cad_21f7_2c81_017c ^ 0xdb97_9083_e96d_d4de;
const PRIME_MX2: u64 = 0x9fb2_1c65_1e98_df25;

impl ShortIds {
    pub fn new(seed: u64) -> ShortIds {
        let mixed = seed ^ u64::from((seed as u32).swap_bytes()) << 32;
        ShortIds {
            flip: SECRET_FOLDED.wrapping_sub(mixed),
        }
    }

    /// The id of the first `length` bytes, 4 to 8, of `word` (little-endian).
    #[inline(always)]
    pub fn id(self, word: u64, length: u64) -> u64 {
        let last = word >> (8 * (length - 4)) & u64::from(u32::MAX);
        let mixed = (last + (word << 32)) ^ self.flip;
        let mixed = mixed ^ mixed.rotate_left(49) ^ mixed.rotate_left(24);
        let mixed = mixed.wrapping_mul(PRIME_MX2);
        let mixed = (mixed ^ ((mixed >> 35) + length)).wrapping_mul(PRIME_MX2);
        not_zero(mixed ^ mixed >> 28)
    }
}

#[inline(always)]
fn not_zero(hash: u64) -> u64 {
    if hash == 0 { 1 } else { hash }
}

/// 32 hex digits over the plan's bytes.
pub fn fingerprint(plan: &[u8]) -> String {
    format!("{:032x}", xxh3_128(plan))
}

/// xxh3-64 over records, each preceded by its length (u32, little-endian; `u32::MAX` for a tombstone).
pub fn checksum<'a>(records: impl Iterator<Item = Option<&'a [u8]>>) -> u64 {
    let mut hash = Xxh3::new();
    for record in records {
        match record {
            None => hash.update(&u32::MAX.to_le_bytes()),
            Some(bytes) => {
                hash.update(&(bytes.len() as u32).to_le_bytes());
                hash.update(bytes);
            }
        }
    }
    hash.digest()
}

#[cfg(test)]
#[path = "tests/hash.rs"]
mod tests;
