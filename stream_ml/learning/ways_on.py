"""The commands that go on where the protocol stops; every stop's message names one of them, whole."""

from __future__ import annotations

from collections.abc import Mapping

# Begins a new variant with the newest snapshot that verifies; what is lost by it is counted in the journal.
ACCEPT_LOSS = "`stream-ml learn SETTINGS --accept-loss`"


def skip_to(places: Mapping[int, int]) -> str:
    """Return the command by which the same variant goes on at *places*, offsets by partition."""
    to = " ".join(f"--to {partition}:{offset}" for partition, offset in sorted(places.items()))
    return f"`stream-ml skip SETTINGS {to} --accept-loss`"
