//! Duplicate windows: which event ids a source partition accepted last.

use std::collections::{BTreeMap, VecDeque};

use crate::codec::{Damaged, Reader, Writer};
use crate::id_map::IdMap;

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
    ids: VecDeque<u64>,
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
            window.ids.iter().for_each(|&id| writer.u64(id));
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

impl Window {
    fn new(size: usize) -> std::io::Result<Window> {
        let mut ids = VecDeque::new();
        // At once, so that no copy of a large one ever stalls; memory is used as events come.
        ids.try_reserve_exact(size.saturating_add(1))
            .map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        let last = IdMap::new(size + 1, 0)?;
        Ok(Window {
            size,
            ids,
            next: 0,
            last,
        })
    }

    /// Fetch what `accept` will need for an event `ahead` of the next one.
    #[inline]
    pub fn prefetch(&self, id: u64, ahead: usize) {
        self.last.prefetch(&[id]);
        if let Some(&oldest) = self.ids.get(ahead).filter(|_| self.ids.len() == self.size) {
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
        self.ids.push_back(id);
        self.next += 1;
        if self.ids.len() > self.size {
            self.forget_oldest();
        }
        duplicate
    }

    /// Only now: the oldest is the first of the W events before the one that just came.
    fn forget_oldest(&mut self) {
        let number = self.next - self.ids.len() as u64;
        let oldest = self.ids.pop_front().unwrap_or(0);
        if self.last.get(oldest) == Some(number) {
            self.last.remove(oldest);
        }
    }
}

#[cfg(test)]
#[path = "tests/windows.rs"]
mod tests;
