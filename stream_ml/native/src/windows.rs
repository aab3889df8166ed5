//! Duplicate windows: which event ids a source partition accepted last.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::codec::{Damaged, Reader, Writer};
use crate::id_map::IdMap;

/// Ids of a piece of a window, at most; a power of two.
const MOST_TOGETHER: usize = if cfg!(test) { 1 << 10 } else { 1 << 16 };

/// The last W accepted events (learned or duplicate) of every source partition.
#[derive(Default)]
pub struct Windows {
    size: usize,
    partitions: BTreeMap<i32, Window>,
}

/// Of one partition.
pub struct Window {
    size: usize,
    /// Event ids, oldest first; the last has number `next` − 1.
    ids: Ids,
    /// Number of the next event.
    next: u64,
    /// Event id → number of its last event in the window.
    last: IdMap,
}

impl Windows {
    pub fn new(size: usize) -> Windows {
        Windows {
            size,
            partitions: BTreeMap::new(),
        }
    }

    /// The window of a partition; None if the model keeps none.
    pub fn of(&mut self, partition: i32) -> std::io::Result<Option<&mut Window>> {
        if self.size == 0 {
            return Ok(None);
        }
        if !self.partitions.contains_key(&partition) {
            self.partitions.insert(partition, Window::new(self.size)?);
        }
        Ok(self.partitions.get_mut(&partition))
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.u64(self.size as u64);
        writer.u64(self.partitions.len() as u64);
        for (&partition, window) in &self.partitions {
            writer.i64(i64::from(partition));
            writer.u64(window.ids.len() as u64);
            window.ids.write(writer);
        }
    }

    /// Read windows of `written` events into windows of `size`, of which each keeps the newest that fit.
    pub(crate) fn read(
        reader: &mut Reader,
        written: usize,
        size: usize,
    ) -> Result<Windows, Damaged> {
        let found = reader.u64()?;
        if found != written as u64 {
            return Err(Damaged(format!(
                "duplicate windows of {found} events, the model has {written}"
            )));
        }
        let mut windows = Windows::new(size);
        for _ in 0..reader.u64()? {
            let partition =
                i32::try_from(reader.i64()?).map_err(|error| Damaged(error.to_string()))?;
            let failed = |error: std::io::Error| Damaged(error.to_string());
            let mut window = windows.of(partition).map_err(failed)?;
            for _ in 0..reader.u64()? {
                let id = reader.u64()?;
                if let Some(window) = &mut window {
                    window.accept(id);
                }
            }
        }
        Ok(windows)
    }
}

/// A queue of ids in pieces. A full piece never changes: a snapshot's state shares it, so that no copy of a large window
/// ever stalls.
struct Ids {
    /// Ids of a piece are 2 to this power.
    piece_bits: u32,
    full: VecDeque<Arc<Vec<u64>>>,
    newest: Vec<u64>,
    /// Of the first piece, so many are gone.
    gone: usize,
    /// Memory of the last piece that went, if nobody shares it.
    spare: Option<Vec<u64>>,
}

impl Ids {
    /// For about `size` of them.
    fn new(size: usize) -> Ids {
        let piece = size.clamp(1, MOST_TOGETHER).next_power_of_two();
        Ids {
            piece_bits: piece.trailing_zeros(),
            full: VecDeque::new(),
            newest: Vec::with_capacity(piece),
            gone: 0,
            spare: None,
        }
    }

    fn piece(&self) -> usize {
        1 << self.piece_bits
    }

    fn len(&self) -> usize {
        (self.full.len() << self.piece_bits) + self.newest.len() - self.gone
    }

    #[inline]
    fn get(&self, index: usize) -> Option<u64> {
        let at = self.gone + index;
        let piece = self.full.get(at >> self.piece_bits);
        let piece = piece.map_or(&self.newest, |piece| piece.as_ref());
        // The newest is the one behind the full ones: the other bits of the index are those within it.
        let there = index < self.len();
        there.then(|| piece[at & (self.piece() - 1)])
    }

    #[inline]
    fn push(&mut self, id: u64) {
        self.newest.push(id);
        if self.newest.len() == self.piece() {
            let mut next = self.spare.take().unwrap_or_default();
            next.clear();
            next.reserve_exact(self.piece());
            let full = std::mem::replace(&mut self.newest, next);
            self.full.push_back(Arc::new(full));
        }
    }

    #[inline]
    fn pop(&mut self) -> Option<u64> {
        let oldest = self.get(0)?;
        self.gone += 1;
        if self.gone == self.piece() {
            self.gone = 0;
            self.spare = self.full.pop_front().and_then(Arc::into_inner);
        }
        Some(oldest)
    }

    fn write(&self, writer: &mut Writer) {
        let mut gone = self.gone;
        for piece in &self.full {
            writer.shared(piece, std::mem::take(&mut gone));
        }
        self.newest[gone..].iter().for_each(|&id| writer.u64(id));
    }
}

impl Window {
    fn new(size: usize) -> std::io::Result<Window> {
        let last = IdMap::new(size + 1, 0)?;
        Ok(Window {
            size,
            ids: Ids::new(size),
            next: 0,
            last,
        })
    }

    /// Fetch what `accept` will need for an event `ahead` of the next one.
    #[inline]
    pub fn prefetch(&self, id: u64, ahead: usize) {
        self.last.prefetch(&[id]);
        if let Some(oldest) = self.ids.get(ahead).filter(|_| self.ids.len() == self.size) {
            self.last.prefetch(&[oldest]);
        }
    }

    /// Take an event in; true if it is a duplicate of one in the window. Id 0 is no id and never a duplicate.
    #[inline]
    pub fn accept(&mut self, id: u64) -> bool {
        let known = self.last.len();
        if id != 0 {
            self.last.put(id, self.next);
        }
        let duplicate = id != 0 && self.last.len() == known;
        self.ids.push(id);
        self.next += 1;
        if self.ids.len() > self.size {
            self.forget_oldest();
        }
        duplicate
    }

    /// Only now: the oldest is the first of the W events before the one that just came.
    fn forget_oldest(&mut self) {
        let number = self.next - self.ids.len() as u64;
        let oldest = self.ids.pop().unwrap_or(0);
        if self.last.get(oldest) == Some(number) {
            self.last.remove(oldest);
        }
    }
}

#[cfg(test)]
#[path = "tests/windows.rs"]
mod tests;
