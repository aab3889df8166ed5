"""A writer that has begun, and a predictor that follows it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clicks import MODEL
from tests.scripted import Predictor, ScriptedWriter, begun


@pytest.fixture
def writer(tmp_path: Path) -> ScriptedWriter:
    """A writer that has begun, learned, published, and taken a first snapshot."""
    return begun(ScriptedWriter(tmp_path))


@pytest.fixture
def predictor(writer: ScriptedWriter) -> Iterator[Predictor]:
    predictor = Predictor(writer)
    yield predictor
    predictor.close()


@pytest.fixture
def other(writer: ScriptedWriter, tmp_path: Path) -> ScriptedWriter:
    """A second variant of the model, begun and not decided on."""
    other = ScriptedWriter(tmp_path, "v2", writer.log, MODEL.replace("alpha = 0.3", "alpha = 0.9"))
    other.store = writer.store
    other.begin()
    return other
