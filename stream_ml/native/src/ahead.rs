//! Has memory of a mapping made ready by another thread before it is needed.
//!
//! A page of anonymous memory is found and emptied by the system when it is touched first. That takes about 0.1 ms for a
//! huge page, and 5 to 20 ms on a virtual machine whose host must find the memory first: too long for a thread that learns.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use memmap2::MmapMut;

/// Made ready at a time; the size of a huge page.
const PIECE: usize = 2 << 20;

/// The thread, and how to stop it. To be dropped before the mapping: dropping waits until no more of it is touched.
pub struct Ahead {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// Make the bytes `from..to` of `memory` ready, the last ones first: growth needs them in that order. What they hold
    /// stays. None where no thread is to be had or the system can't (Linux 5.14): the pages come when touched then.
    ///
    /// # Safety
    /// It must be dropped before `memory` is unmapped.
    pub unsafe fn begin(memory: &MmapMut, from: usize, to: usize) -> Option<Ahead> {
        let (first, to) = (memory.as_ptr() as usize, to.min(memory.len()));
        // The call refuses a range that begins within a page.
        let (from, to) = ((first + from).next_multiple_of(PIECE), first + to);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let work = move || {
            let mut end = to;
            while end > from && !stopped.load(Ordering::Relaxed) {
                let start = ((end - 1) / PIECE * PIECE).max(from);
                if !populate(start, end) {
                    break;
                }
                end = start;
            }
        };
        let builder = std::thread::Builder::new().name("memory".into());
        let thread = Some(builder.spawn(work).ok()?);
        Some(Ahead { stop, thread })
    }

    #[cfg(test)]
    pub fn wait(mut self) {
        let thread = self.thread.take().expect("it runs until waited for");
        thread.join().expect("it does not panic");
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(target_os = "linux")]
fn populate(start: usize, end: usize) -> bool {
    // SAFETY: it changes no byte, and who began keeps the range mapped meanwhile.
    unsafe { libc::madvise(start as *mut _, end - start, libc::MADV_POPULATE_WRITE) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn populate(_start: usize, _end: usize) -> bool {
    false
}

#[cfg(test)]
#[path = "tests/ahead.rs"]
pub(crate) mod tests;
