"""A file that a command writes: whole, or not touched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stream_ml.errors import ConfigError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """
    Yield where to write what *path* is to hold; it gets it once all of it is written.

    So an output may be the file that is read, and what an error ends leaves the file that was there before.

    Raises:
        ConfigError: it cannot be written, or the disk is full.
    """
    # What is no file, as /dev/stdout, is written to as it is; a link stays one.
    target = path.resolve() if path.is_file() or not path.exists() else None
    partial = path if target is None else target.with_name(f".{target.name}.partial")
    try:
        yield partial
        if target is not None:
            os.replace(partial, target)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written: {error.strerror or error}\n  hint: name another file as OUTPUT"
        ) from error
    finally:
        if target is not None and partial.is_file():
            partial.unlink()
