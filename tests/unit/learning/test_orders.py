"""The order to begin a challenger: what is none is refused, with the file and the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_ml.errors import ConfigError
from stream_ml.learning.orders import Order, read_order

ORDER = Order(job="job-1", champion="v1", why="better", warm=True, events={0: 7})


def test_an_order_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "order.json"
    path.write_text(ORDER.model_dump_json())
    assert read_order(path) == ORDER


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ORDER.model_dump_json().replace('"warm"', '"worm"'), "worm"),
        (ORDER.model_dump_json().replace('"0":7', '"0":-7'), "events"),
        ("{", "no order to begin a challenger"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "order.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says) as refused:
        read_order(path)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.json: cannot be read"):
        read_order(tmp_path / "nothing.json")
