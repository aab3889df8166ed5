use super::*;
use memmap2::MmapOptions;

const PIECES: usize = 8;

fn mapping() -> MmapMut {
    MmapOptions::new()
        .len(PIECES * PIECE)
        .map_anon()
        .expect("memory")
}

/// How many bytes of `memory` have a page of the machine's.
pub fn resident(memory: &MmapMut) -> usize {
    let page = 4096;
    let mut there = vec![0_u8; memory.len().div_ceil(page)];
    // SAFETY: one byte a page is written to `there`.
    let done =
        unsafe { libc::mincore(memory.as_ptr() as *mut _, memory.len(), there.as_mut_ptr()) };
    assert_eq!(done, 0);
    there.iter().filter(|&&page| page & 1 == 1).count() * page
}

#[test]
fn a_range_is_made_ready_and_nothing_else_is() {
    let memory = mapping();
    assert_eq!(resident(&memory), 0);
    let ahead = unsafe { Ahead::begin(&memory, 3 * PIECE, 6 * PIECE) }.expect("a thread");
    ahead.wait();
    // What begins within a piece of the address space is left out up to its end.
    assert!((2 * PIECE..=3 * PIECE).contains(&resident(&memory)));
}

#[test]
fn what_memory_holds_stays() {
    let mut memory = mapping();
    memory[5 * PIECE] = 7;
    unsafe { Ahead::begin(&memory, 0, usize::MAX) }
        .expect("a thread")
        .wait();
    assert_eq!(memory[5 * PIECE], 7);
    assert!(resident(&memory) >= (PIECES - 1) * PIECE);
}

#[test]
fn dropped_it_touches_nothing_any_more() {
    for _ in 0..100 {
        let memory = mapping();
        drop(unsafe { Ahead::begin(&memory, 0, memory.len()) });
        let before = resident(&memory);
        std::thread::yield_now();
        assert_eq!(resident(&memory), before);
    }
}
