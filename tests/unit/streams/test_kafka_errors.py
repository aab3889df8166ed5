import logging

import pytest

from stream_ml.streams import kafka_errors
from stream_ml.streams.kafka_errors import Repeats


def line(text: str) -> logging.LogRecord:
    return logging.LogRecord("stream_ml.kafka", logging.ERROR, __file__, 1, text, None, None)


def test_of_lines_that_differ_in_numbers_only_one_is_written_and_the_next_says_how_many_were_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1_000.0
    monkeypatch.setattr(kafka_errors.time, "monotonic", lambda: now)
    repeats = Repeats()
    assert repeats.filter(line("consumer-8: connection refused after 1 ms"))
    assert not repeats.filter(line("consumer-9: connection refused after 0 ms"))
    assert not repeats.filter(line("consumer-8: connection refused after 2 ms"))
    assert repeats.filter(line("consumer-8: timed out after 2 ms"))
    now += 11
    later = line("consumer-8: connection refused after 1 ms")
    assert repeats.filter(later)
    assert later.getMessage().endswith("after 1 ms (and 2 lines like it since the last)")
    assert not repeats.filter(line("consumer-8: connection refused after 1 ms"))
