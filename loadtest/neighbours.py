"""Whether a core was its server's own during a run: what others took of it, by the kernel's counts."""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic

# In /proc/stat: user, nice, system, …, steal. Interrupts are left out: they are the server's own packets.
_TAKEN = (0, 1, 2, 7)
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


class Neighbours:
    """Counts from when it is made."""

    def __init__(self, core: int, process: int) -> None:
        self._core, self._process = core, process
        self._began, self._taken, self._own = monotonic(), self._of_core(), self._of_process()

    def share(self) -> float:
        """Return which share of the core's time since then others had."""
        others = (self._of_core() - self._taken) - (self._of_process() - self._own)
        return max(0.0, others / _TICKS_A_SECOND / (monotonic() - self._began))

    def _of_core(self) -> int:
        lines = Path("/proc/stat").read_text().splitlines()
        figures = next(line.split()[1:] for line in lines if line.startswith(f"cpu{self._core} "))
        return sum(int(figures[at]) for at in _TAKEN)

    def _of_process(self) -> int:
        # After the name, which may have blanks: the 14th and 15th field of all, user and system.
        fields = Path(f"/proc/{self._process}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])
