"""The commands that go on where the protocol stops; every stop's message names one of them, whole."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stream_ml.errors import StreamMlError

# Begins a new variant with the newest snapshot that verifies; what is lost by it is counted in the journal.
ACCEPT_LOSS = "`stream-ml learn SETTINGS --accept-loss`"


def skip_to(places: Mapping[int, int]) -> str:
    """Return the command by which the same variant goes on at *places*, offsets by partition."""
    to = " ".join(f"--to {partition}:{offset}" for partition, offset in sorted(places.items()))
    return f"`stream-ml skip SETTINGS {to} --accept-loss`"


@contextmanager
def naming(settings: Path | None) -> Iterator[None]:
    """Let the commands in the message of an error name the file *settings*, where it is known."""
    try:
        yield
    except StreamMlError as error:
        if settings is not None:
            named = shlex.quote(str(settings))
            said = re.sub(
                r"(?<=`stream-ml )(\w+) SETTINGS\b", lambda found: f"{found[1]} {named}", str(error)
            )
            error.args = (said, *error.args[1:])
        raise
