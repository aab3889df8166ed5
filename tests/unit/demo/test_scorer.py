"""The demo's application: its figures, and its end. Nothing is asked here: no basket comes."""

from __future__ import annotations

import math
import threading

import pytest

from stream_ml.demo.scorer import KEPT, Scorer

NOWHERE = "127.0.0.1:1"


def is_running() -> bool:
    return any(thread.name == "scorer" for thread in threading.enumerate())


def test_its_thread_ends_with_the_block_even_if_that_fails() -> None:
    def fail() -> None:
        with Scorer(NOWHERE):
            assert is_running()
            raise ValueError("out of the middle")

    with pytest.raises(ValueError, match="out of the middle"):
        fail()
    assert not is_running()


def test_it_may_be_stopped_before_the_block_ends() -> None:
    with Scorer(NOWHERE) as scorer:
        scorer.stop()
        assert not is_running()


def test_there_are_no_figures_before_the_first_answer() -> None:
    scorer = Scorer(NOWHERE)
    assert math.isnan(scorer.freshness_p99_ms())
    assert math.isnan(scorer.latency_ms(50))


def test_figures_are_percentiles_in_milliseconds_of_the_newest_calls() -> None:
    scorer = Scorer(NOWHERE)
    scorer.latencies_seconds.extend([1.0] * 10 + [0.002] * KEPT)
    scorer.freshness_seconds += [0.01 * number for number in range(101)]
    assert scorer.latency_ms(99) == pytest.approx(2.0)
    assert scorer.freshness_p99_ms() == pytest.approx(990.0)
