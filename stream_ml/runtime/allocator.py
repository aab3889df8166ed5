"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes
import sys

# Of mallopt(3), glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
KEPT_BYTES = 64 << 20
# Larger blocks are mapped one by one whatever is said; the C library accepts no more.
MAPPED_BYTES = 32 << 20


def keep_freed_memory() -> bool:
    """
    Let this process keep up to KEPT_BYTES that it freed, not just 128 KiB; return whether the C library can.

    Every poll's records are freed together. Given back to the system at once, their pages are had again,
    empty, at the next poll: as costly as a tenth of the learning (measured on batches of 256 KiB).
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES) and mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES))
