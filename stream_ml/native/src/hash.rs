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
