//! A text or none for each example of a block, in one column.

/// Of an end: the example has no text.
const NONE: u32 = 1 << 31;

/// Reused from block to block: `clear` keeps the memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Texts {
    bytes: Vec<u8>,
    /// Where each ends; all that stand before it are shorter than half of 4 GiB.
    ends: Vec<u32>,
}

impl Texts {
    pub fn push(&mut self, text: Option<&str>) {
        self.bytes
            .extend_from_slice(text.unwrap_or_default().as_bytes());
        let end = self.bytes.len() as u32;
        self.ends.push(end | if text.is_none() { NONE } else { 0 });
    }

    /// The text of example `at`, if it has one.
    pub fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)?;
        if end & NONE != 0 {
            return None;
        }
        let start = if at == 0 {
            0
        } else {
            self.ends[at - 1] & !NONE
        };
        std::str::from_utf8(self.bytes.get(start as usize..end as usize)?).ok()
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub fn iter(&self) -> impl Iterator<Item = Option<&str>> {
        (0..self.len()).map(|at| self.get(at))
    }
}

/// The first `bytes` of a text, or less: no character is cut.
pub fn beginning(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
#[path = "tests/texts.rs"]
mod tests;
