"""How much services grew between two looks."""

from __future__ import annotations

import socket
import threading
from contextlib import closing, suppress

import pytest

from stream_ml.console import scrape as module
from stream_ml.console.scrape import scrape
from tests.unit.console.looks import look, seen

TOTAL = "stream_ml_learner_learned_total"


def test_growth_is_that_of_all_services_together() -> None:
    before = (seen("a", 10, "learner", learned_total=100), seen("b", 10, "learner", learned_total=0))
    now = (seen("a", 12, "learner", learned_total=300), seen("b", 12, "learner", learned_total=50))
    assert look(*now, before=before).growth(TOTAL, model="m") == pytest.approx(125)


def test_the_growth_of_what_was_not_there_is_unknown() -> None:
    now = seen("a", 12, "learner", learned_total=300)
    assert look(now).growth(TOTAL, model="m") is None
    assert look(now, before=(seen("b", 10, "learner", learned_total=1),)).growth(TOTAL, model="m") is None
    assert look(now, before=(seen("a", 10, "learner", learned_total=1),)).growth(TOTAL, model="other") is None


def test_a_process_that_began_again_has_not_shrunk() -> None:
    before = (seen("a", 10, "learner", learned_total=1_000), seen("b", 10, "learner", learned_total=0))
    again, on = seen("a", 12, "learner", learned_total=5), seen("b", 12, "learner", learned_total=50)
    assert look(again, before=before).growth(TOTAL, model="m") is None
    assert look(again, on, before=before).growth(TOTAL, model="m") == pytest.approx(25)


def test_who_says_a_little_now_and_then_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening, closing(Dripping(listening)):
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        assert "and not all" in str(scrape(address, lambda: 1.0).problem)


class Dripping(threading.Thread):
    """Answers the first who asks with a line ten times a second, until it is closed."""

    def __init__(self, listening: socket.socket) -> None:
        super().__init__(daemon=True)
        self._listening, self._closed = listening, threading.Event()
        self.start()

    def run(self) -> None:
        """Answer."""
        client, _ = self._listening.accept()
        with client, suppress(OSError):
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not self._closed.wait(0.1):
                client.sendall(b"# more\n")

    def close(self) -> None:
        """Say no more."""
        self._closed.set()
        self.join()


def test_a_mean_is_of_what_was_observed_meanwhile() -> None:
    name = "stream_ml_learner_publish_delay_seconds"
    before = seen("a", 10, "learner", publish_delay_seconds_sum=5, publish_delay_seconds_count=100)
    now = seen("a", 12, "learner", publish_delay_seconds_sum=5.5, publish_delay_seconds_count=110)
    assert look(now, before=(before,)).mean(name, model="m") == pytest.approx(0.05)
    assert look(before, before=(before,)).mean(name, model="m") is None


def test_values_are_told_apart_by_their_labels() -> None:
    events = [({"outcome": "scored"}, 7.0), ({"outcome": "refused"}, 1.0)]
    now = seen("a", 12, "predictor", events_total=events)
    assert look(now).values("stream_ml_predictor_events_total", outcome="scored") == [7.0]
    assert look(now).values("stream_ml_predictor_events_total") == [7.0, 1.0]
