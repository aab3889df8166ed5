//! How soon a thread has the core again, where others want it too.

/// Of a thread that answers: it sleeps most of the time and needs some 10 µs when it wakes.
const SHORT_NS: u64 = 100_000;

/// Ask for short slices of the core, and so for early ones: since Linux 6.12 a thread that wakes need not wait until
/// the slice of one with longer slices (3 ms by default) ends. Elsewhere nothing changes.
pub fn ask_for_short_slices() {
    #[cfg(target_os = "linux")]
    ask(SHORT_NS);
}

#[cfg(target_os = "linux")]
fn ask(runtime_ns: u64) -> bool {
    // SAFETY: reads a number of the calling thread.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let wanted = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: runtime_ns,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of a structure that lives until the call returns; 0 is this thread.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0) == 0 }
}

#[cfg(test)]
#[path = "tests/slices.rs"]
mod tests;
