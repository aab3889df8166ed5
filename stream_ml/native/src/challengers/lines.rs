//! The rows of a group's challengers: one cache line a feature, z of every lane, then n of every lane.

use memmap2::{MmapMut, MmapOptions};

use crate::optimizer::Lanes;

/// z and n of one feature in every challenger of the group.
pub type Line = [Lanes; 2];
pub const LINE_BYTES: usize = size_of::<Line>();
/// Where the system counts reserved address space as used, fewer lines are reserved, but so many at least.
const LEAST: usize = 1 << 20;

/// Zeros until written; memory is used as lines are.
pub struct Lines(MmapMut);

impl Lines {
    /// Reserve address space for `most` lines, or for as many as the system gives.
    pub fn new(most: usize) -> std::io::Result<Lines> {
        let mut len = most;
        loop {
            let bytes = len.max(1) * LINE_BYTES;
            match MmapOptions::new().len(bytes).no_reserve_swap().map_anon() {
                Ok(memory) => return Ok(Lines::advised(memory)),
                Err(error) if len / 2 < LEAST => return Err(error),
                Err(_) => len /= 2,
            }
        }
    }

    fn advised(memory: MmapMut) -> Lines {
        #[cfg(target_os = "linux")]
        if memory.len() >= 16 << 20 {
            // Advice only: without huge pages it works, slower.
            let _ = memory.advise(memmap2::Advice::HugePage);
        }
        Lines(memory)
    }

    /// How many there may be.
    pub fn room(&self) -> usize {
        self.all().len()
    }

    #[inline(always)]
    pub fn all(&self) -> &[Line] {
        bytemuck::cast_slice(&self.0[..])
    }

    #[inline(always)]
    pub fn all_mut(&mut self) -> &mut [Line] {
        bytemuck::cast_slice_mut(&mut self.0[..])
    }
}
