"""What may still be taken: of the machine or, where that is less, of the control group."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_ml.runtime.memory import available_bytes


@pytest.mark.parametrize(
    ("most", "now", "available"),
    [("5000000", "1000000", 4_000_000), ("max", "1", 8 << 20), (None, None, 8 << 20)],
)
def test_the_smaller_of_both_counts(
    tmp_path: Path, most: str | None, now: str | None, available: int
) -> None:
    machine = tmp_path / "meminfo"
    machine.write_text("MemTotal: 16384 kB\nMemAvailable:       8192 kB\n")
    for name, value in (("memory.max", most), ("memory.current", now)):
        if value is not None:
            (tmp_path / name).write_text(value + "\n")
    assert available_bytes(machine, tmp_path) == available


def test_where_nothing_is_told_nothing_is_known(tmp_path: Path) -> None:
    assert available_bytes(tmp_path / "none", tmp_path) is None


def test_here_something_is_known() -> None:
    assert (available_bytes() or 0) > 1 << 20
