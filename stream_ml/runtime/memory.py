"""How much memory there is."""

from __future__ import annotations

from pathlib import Path

_MACHINE = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")


def available_bytes(machine: Path = _MACHINE, group: Path = _GROUP) -> int | None:
    """Return what this process may still take, of the machine or of its control group; None where unknown."""
    known = [each for each in (_of_machine(machine), _of_group(group)) if each is not None]
    return min(known, default=None)


def _of_machine(path: Path) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def _of_group(folder: Path) -> int | None:
    try:
        most, now = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
    except OSError:
        return None
    return int(most) - int(now) if most.isdigit() else None
