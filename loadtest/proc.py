"""What Linux says of a process, in /proc/PID/status."""

from __future__ import annotations

from pathlib import Path

KIBIBYTE, MEBIBYTE = 1 << 10, 1 << 20


def status(process: int | str = "self") -> dict[str, str]:
    """Return the lines by their names."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return {name: said.strip() for name, _, said in (line.partition(":") for line in lines)}


def resident_bytes(process: int | str = "self", name: str = "VmRSS") -> int:
    """Return the memory that a process holds; *name* VmHWM: the most that it held."""
    return KIBIBYTE * int(status(process)[name].split()[0])
