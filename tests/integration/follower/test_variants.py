"""The follower: variants, decisions and claims that change while it loads, silence, and a trimmed journal."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from stream_ml.errors import ConfigError
from stream_ml.runtime.lifecycle import Stop
from stream_ml.serving.follower import WAIT_SECONDS
from stream_ml.streams.log import Fetch
from stream_ml.streams.memory import MemoryReader
from stream_ml.weights.feed import feed_topic
from stream_ml.weights.journal import journal_topic
from stream_ml.weights.lines import Claim
from tests.clicks import event
from tests.scripted import NAME, InterruptedLog, Predictor, ScriptedWriter, begun

EVENT = event(3)


def count(metric: object, *labels: str) -> float:
    return float(metric.labels(NAME, *labels)._value.get())  # type: ignore[attr-defined]


def test_another_variant_serves_once_it_has_caught_up_and_the_old_one_until_then(
    writer: ScriptedWriter, predictor: Predictor, other: ScriptedWriter
) -> None:
    predictor.start()
    other.decide()
    writer.learn()
    writer.publish()
    predictor.turn(5)
    answer = predictor.answer(EVENT)
    assert (answer.variant, answer.step) == ("v1", 2), "the old one is kept up to date meanwhile"
    other.learn()
    other.publish()
    other.snapshot()
    other.learn()
    other.publish()
    predictor.turn_until(lambda: predictor.answer(EVENT).variant == "v2")
    answer = predictor.answer(EVENT)
    assert answer.step == 2, "never before it has caught up"
    assert answer.fingerprint == other.plan.fingerprint
    assert answer.scores[0].prediction == other.prediction(EVENT)


def test_a_variant_whose_snapshot_is_loaded_waits_for_all_of_the_feed(
    writer: ScriptedWriter, predictor: Predictor, other: ScriptedWriter
) -> None:
    predictor.start()
    other.snapshot()
    for _ in range(100):
        other.learn(10)
        other.publish()
    assert sum(other.feed_ends().values()) >= 200, "more than two polls take"
    writer.store.gate.clear()
    other.decide()
    predictor.turn()
    predictor.load()
    assert predictor.answer(EVENT).variant == "v1"
    predictor.turn_until(lambda: predictor.answer(EVENT).variant == "v2")
    assert predictor.answer(EVENT).step == 100


def test_a_decision_taken_back_while_its_variant_is_loading_changes_nothing(
    writer: ScriptedWriter, predictor: Predictor, other: ScriptedWriter
) -> None:
    predictor.start()
    other.snapshot()
    writer.store.gate.clear()
    other.decide()
    predictor.turn()
    writer.decide()
    predictor.load()
    predictor.turn(3)
    assert predictor.answer(EVENT).variant == "v1"
    writer.learn()
    writer.delta()  # lost
    writer.learn()
    writer.publish()
    writer.snapshot()
    predictor.turn_until(lambda: predictor.answer(EVENT).step == 3)
    assert predictor.answer(EVENT).variant == "v1", "and what was loading is in nobody's way"


def test_a_decision_taken_back_at_the_last_moment_is_still_heeded(
    writer: ScriptedWriter, predictor: Predictor, other: ScriptedWriter
) -> None:
    predictor.start()
    other.snapshot()
    writer.store.gate.clear()
    other.decide()
    predictor.turn()
    predictor.load(nothing, writer.decide)  # the old variant's poll, then the new one's
    assert predictor.answer(EVENT).variant == "v1"


def test_a_claim_at_the_last_moment_keeps_a_zombies_rows_from_being_served(
    writer: ScriptedWriter, predictor: Predictor
) -> None:
    zombie = ScriptedWriter(writer.folder, log=writer.log)
    zombie.epoch, zombie.step, zombie.cut_at = writer.epoch, 2, 1
    zombie.learn_unsaid(5_000, 300)
    writer.send(zombie.delta())
    writer.store.gate.clear()
    predictor.turn(2)
    predictor.load(writer.claim)
    assert not predictor.follower.ready
    predictor.start()
    assert predictor.answer(EVENT).step == 1
    assert predictor.score(EVENT).prediction == writer.prediction(EVENT)


def nothing() -> None:
    """Let a poll pass."""


def test_rows_of_a_writer_that_was_none_any_more_are_thrown_away(
    writer: ScriptedWriter, predictor: Predictor
) -> None:
    predictor.start()
    # A frozen writer's delta for a step that was never valid, then the claim that it did not know of.
    zombie = ScriptedWriter(writer.folder, log=writer.log)
    zombie.epoch, zombie.step, zombie.cut_at = writer.epoch, 2, 1
    zombie.learn_unsaid(5_000, 300)
    writer.send(zombie.delta())
    predictor.turn(2)
    assert predictor.answer(EVENT).step == 2
    writer.store.gate.clear()
    writer.claim()
    for _ in range(2):
        writer.learn()
        writer.publish()
    predictor.turn(3)
    answer = predictor.answer(EVENT)
    assert (answer.step, answer.stale) == (2, True), "true deltas do not mend false rows"
    writer.store.gate.set()
    predictor.turn_until(lambda: not predictor.answer(EVENT).stale)
    assert predictor.answer(EVENT).step == 3
    assert predictor.score(EVENT).prediction == writer.prediction(EVENT)


def test_a_heartbeat_keeps_the_weights_young_and_silence_makes_them_stale(
    writer: ScriptedWriter, predictor: Predictor
) -> None:
    predictor.start()
    writer.send(writer.delta(learned_at=predictor.clock.now() - 1_000))
    predictor.turn(2)
    age = predictor.answer(EVENT).weights_age_seconds
    writer.send(writer.delta(learned_at=predictor.clock.now() + 3_000))
    predictor.turn(2)
    assert age >= 0
    assert predictor.answer(EVENT).weights_age_seconds == 0, "younger, and never from the future"
    predictor.clock.advance(11.0)
    predictor.turn()
    assert predictor.answer(EVENT).stale
    writer.publish()
    predictor.turn(2)
    assert not predictor.answer(EVENT).stale


def test_a_heartbeat_of_a_writer_that_was_superseded_is_none(
    writer: ScriptedWriter, predictor: Predictor
) -> None:
    predictor.start()
    frozen = writer.epoch
    writer.say(Claim(variant="v1", who="other", step=1))
    predictor.turn()
    predictor.clock.advance(11.0)
    writer.epoch = frozen
    writer.publish()
    predictor.turn(2)
    assert predictor.answer(EVENT).stale


def test_a_journal_that_was_trimmed_under_the_reader_is_opened_again(
    writer: ScriptedWriter, predictor: Predictor
) -> None:
    predictor.start()
    for _ in range(3):
        writer.learn()
        writer.publish()
    writer.snapshot()
    end = writer.log.bounds(journal_topic(NAME), 0).next
    writer.log.delete_records(journal_topic(NAME), 0, end - 1)
    writer.learn()
    writer.publish()
    stop = StopAfter(3)
    predictor.follower.run(stop)
    assert predictor.answer(EVENT).step == 5
    assert stop.waits == 1, "said once, then well"


class StopAfter:
    """Asks for the end after so many turns of the loop; waits of the loop take no time."""

    def __init__(self, turns: int) -> None:
        self.turns, self.waits = turns, 0

    def requested(self) -> bool:
        self.turns -= 1
        return self.turns < 0

    def wait(self, timeout_seconds: float) -> bool:
        self.waits += 1
        return False


def test_an_error_that_waiting_does_not_cure_leaves_the_last_good_serving(tmp_path: Path) -> None:
    writer = ScriptedWriter(tmp_path, log=InterruptedLog())
    begun(writer)
    stop = Stop()

    def somebody_deletes_the_topic() -> None:
        stop.request()
        raise ConfigError("there is no clicks.weights[0]; create the topic first")

    with closing(Predictor(writer)) as predictor:
        predictor.start()
        before = predictor.answer(EVENT).scores
        writer.log.at_polls(feed_topic(NAME), somebody_deletes_the_topic)
        predictor.follower.run(stop)
        assert predictor.answer(EVENT).scores == before


class BusyLog(InterruptedLog):
    """A log whose journal gets another line whenever somebody waits for one."""

    def __init__(self) -> None:
        super().__init__()
        self.write = lambda: None
        self.waited = 0

    def reader(
        self, topic: str, starts: Mapping[int, int], *, keys: bool = False, headers: bool = False
    ) -> MemoryReader:
        return _BusyReader(self, topic, starts, keys=keys, headers=headers)


class _BusyReader(MemoryReader):
    def poll(self, max_records: int, timeout_seconds: float) -> list[Fetch]:
        assert isinstance(self._log, BusyLog)
        if timeout_seconds == WAIT_SECONDS and self._topic == journal_topic(NAME):
            self._log.waited += 1
            assert self._log.waited < 100, "it waits for the end of a journal that has none"
            self._log.write()
        return super().poll(max_records, timeout_seconds)


def test_a_journal_that_is_written_all_the_while_keeps_nobody_from_loading(tmp_path: Path) -> None:
    log = BusyLog()
    writer = begun(ScriptedWriter(tmp_path, log=log))
    predictor = Predictor(writer)
    log.waited, log.write = 0, writer.claim
    with closing(predictor):
        predictor.start()
        assert predictor.score(EVENT).prediction == writer.prediction(EVENT)
