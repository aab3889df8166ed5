use super::*;

#[cfg(target_os = "linux")]
#[test]
fn the_kernel_takes_the_wish_without_a_privilege_and_the_niceness_stays() {
    std::thread::spawn(|| {
        // SAFETY: sets and reads a number of this thread, which ends here.
        let nice = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 3) };
        assert!(ask(SHORT_NS));
        assert_eq!(nice(), 3);
    })
    .join()
    .unwrap();
}
