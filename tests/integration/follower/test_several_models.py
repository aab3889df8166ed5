"""Several models in one predictor: whatever befalls one, the others are answered as if nothing had."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from services.predictor.__main__ import _not_ready
from stream_ml import _native
from stream_ml.runtime.lifecycle import Stop
from stream_ml.serving.client import PredictorClient
from stream_ml.serving.follower import Follower
from stream_ml.serving.results import NoModelYet, PredictorError
from stream_ml.weights.feed import feed_topic
from stream_ml.weights.journal import journal_topic
from tests.clicks import MODEL, event
from tests.scripted import NAME, InterruptedLog, ScriptedWriter, begun
from tests.servers.processes import wait_until

EVENT = event(3)
OTHER = "visits"
CALLS = 50


class TwoModels:
    """A front with a follower's thread for each of two models, as the predictor service has them."""

    def __init__(self, folder: Path) -> None:
        self.log = InterruptedLog()
        text = MODEL.replace(f'"{NAME}"', f'"{OTHER}"')
        self.good = ScriptedWriter(folder, log=self.log)
        self.bad = ScriptedWriter(folder, log=self.log, text=text, name=OTHER)
        self.front, self.stop = _native.Front("127.0.0.1", 0), Stop()
        writers = (self.good, self.bad)
        self.followers = [Follower(each.name, self.log, each.store, self.front) for each in writers]
        self.client = PredictorClient([f"127.0.0.1:{self.front.port}"], timeout_seconds=0.5)
        self._threads = [
            threading.Thread(target=follower.run, args=(self.stop,)) for follower in self.followers
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()
        wait_until(lambda: self.followers[0].ready)

    def answers(self, model: str) -> bool:
        with suppress(NoModelYet):
            return self.client.score([EVENT], model=model).scores[0].prediction is not None
        return False

    def check_the_good_one(self) -> None:
        """Its weights move on, and no call fails meanwhile: first answers are counted, no retries."""
        before = self.front.stats()["calls"]["answered"]
        for _ in range(CALLS):
            self.client.score([EVENT], model=NAME)
        assert self.front.stats()["calls"]["answered"] == before + CALLS
        self.good.learn()
        self.good.publish()
        wait_until(lambda: self.client.score([EVENT], model=NAME).step == self.good.step)
        answer = self.client.score([EVENT], model=NAME)
        assert answer.scores[0].prediction == self.good.prediction(EVENT)
        assert not answer.stale

    def not_ready(self) -> str | None:
        return _not_ready(self.followers, self.stop)

    def close(self) -> None:
        self.stop.request()
        for thread in self._threads:
            thread.join()
        self.client.close()
        self.front.drain(1.0)


@pytest.fixture
def two(tmp_path: Path) -> Iterator[TwoModels]:
    with closing(TwoModels(tmp_path)) as two:
        yield two


def test_a_model_whose_only_snapshot_is_damaged_waits_for_a_sound_one_while_the_other_serves(
    two: TwoModels,
) -> None:
    begun(two.good)
    begun(two.bad)
    name = two.bad.store.names(OTHER)[0]
    two.bad.damage(name)
    two.start()
    wait_until(lambda: two.followers[1].stuck)
    two.check_the_good_one()
    assert not two.answers(OTHER)
    assert two.not_ready() is None, "the good one must be asked"
    two.bad.learn()
    two.bad.publish()
    two.bad.snapshot()
    wait_until(lambda: two.answers(OTHER))
    two.check_the_good_one()


def _forget_topics(two: TwoModels) -> None:
    for topic in (journal_topic(OTHER), feed_topic(OTHER)):
        del two.log._topics[topic]


def _fill_with_garbage(two: TwoModels) -> None:
    with closing(two.log.writer()) as writer:
        for topic in (journal_topic(OTHER), feed_topic(OTHER)):
            writer.send(topic, b"\xff" * 100, partition=0)
        writer.flush(10)


@pytest.mark.parametrize("befalls", [_forget_topics, _fill_with_garbage])
def test_a_model_whose_topics_are_gone_or_full_of_garbage_keeps_its_last_weights_and_the_other_goes_on(
    two: TwoModels, befalls: Callable[[TwoModels], None]
) -> None:
    begun(two.good)
    begun(two.bad)
    two.start()
    wait_until(lambda: two.followers[1].ready)
    befalls(two)
    two.check_the_good_one()
    assert two.client.score([EVENT], model=OTHER).scores[0].prediction == two.bad.prediction(EVENT)
    assert two.not_ready() is None


def test_a_predictor_is_not_ready_while_a_model_is_on_its_way_or_none_serves(two: TwoModels) -> None:
    for follower in two.followers:
        follower.turn(0.0)
    assert two.not_ready() == f"no model yet: {NAME}, {OTHER}", "nobody has begun a journal"
    begun(two.good)
    begun(two.bad)
    two.bad.store.gate.clear()
    try:
        two.start()
        wait_until(lambda: bool(two.bad.store.opened))
        assert two.not_ready() == f"no model yet: {OTHER}"
        assert not two.answers(OTHER)
    finally:
        two.bad.store.gate.set()
    wait_until(lambda: two.answers(OTHER))
    assert two.not_ready() is None


def test_a_call_that_names_neither_of_two_models_is_told_so(two: TwoModels) -> None:
    begun(two.good)
    begun(two.bad)
    two.start()
    with pytest.raises(PredictorError, match="model"):
        two.client.score([EVENT])
