// Preloaded, it lets the wall clock of a process jump: the file that $JUMP names holds by how many seconds (int64).
// Waits stay true, as they do on a real machine: the monotonic clock, and what librdkafka waits by, are left alone.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile const int64_t *jump_seconds;

__attribute__((constructor)) static void map_jump(void) {
    int file = open(getenv("JUMP"), O_RDONLY | O_CLOEXEC);
    jump_seconds = mmap(NULL, sizeof *jump_seconds, PROT_READ, MAP_SHARED, file, 0);
    if (file < 0 || jump_seconds == MAP_FAILED) abort();
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = (int)syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += *jump_seconds;
    return failed;
}
