"""
A service that leaks memory, descriptors and threads: what `loadtest endurance` must not let pass.

    python -m loadtest.leaking SERVICE MIB FDS THREADS --settings FILE    # each so many a second
"""

from __future__ import annotations

import os
import sys
import threading
import time
from importlib import import_module

TICK_SECONDS = 0.02
MIB = 1 << 20


def leak(mib: float, descriptors: float, threads: float) -> None:
    """Lose so much a second, for ever."""
    kept: list[bytes] = []
    lost = opened = started = 0
    began = time.monotonic()
    while True:
        seconds = time.monotonic() - began
        # Written to: what is only asked for is not resident.
        kept.append(b"\1" * (int(seconds * mib * MIB) - lost))
        lost += len(kept[-1])
        while opened < int(seconds * descriptors):
            os.open(os.devnull, os.O_RDONLY)
            opened += 1
        while started < int(seconds * threads):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            started += 1
        time.sleep(TICK_SECONDS)


def main() -> int:
    """Leak beside the service's own work."""
    name, *rates = sys.argv[1:5]
    threading.Thread(target=leak, args=tuple(map(float, rates)), daemon=True).start()
    code: int = import_module(f"services.{name}.__main__").main(sys.argv[5:])
    return code


if __name__ == "__main__":
    raise SystemExit(main())
