"""Several learners share a model in Redis; one is killed, and the counts come out exact."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from stream_ml._native import Plan
from stream_ml.demo.events import baskets
from stream_ml.errors import RecoverableError
from stream_ml.features import compile_model
from stream_ml.local.redis import LocalRedis
from stream_ml.local.stack import Stack
from stream_ml.local.watching import figures_at
from stream_ml.serving.client import PredictorClient
from stream_ml.sharing.standing import Standing, standing
from stream_ml.streams.log import Log
from stream_ml.streams.paced import PacedSender
from stream_ml.weights.redis.access import Access, connect
from stream_ml.weights.redis.shards import RedisShards
from stream_ml.weights.shards import Shards

LEARNERS, SHARDS, PARTITIONS = 3, 4, 6
# The one that is killed at half of the stream, and started again at three quarters.
KILLED = 2
CATCH_UP_SECONDS = 120.0
# A member that is killed is missed after this; Kafka's own default is 45 s.
SESSION_SECONDS = 6


@dataclass(frozen=True, slots=True)
class SharingReport:
    """What `stream-ml demo-redis --json` prints."""

    learners: int
    shards: int
    partitions: int
    pushed: int
    learned: int
    duplicates: int
    dead_letters: int
    logloss: float
    rows: int
    redis_bytes: int
    prediction: float
    seconds: float

    @property
    def exact(self) -> bool:
        """Whether every event that was pushed counts once."""
        return self.pushed == self.learned + self.duplicates + self.dead_letters


class SharingDemo:
    """One run; *say* is told of each thing that happens."""

    def __init__(self, events: int, directory: Path, say: Callable[[str], None]) -> None:
        self._events, self._directory, self._say = events, directory, say

    def run(self) -> SharingReport:
        """
        Push the stream, kill a learner on the way, and wait until all is learned.

        Raises:
            StreamMlError: a service ended, or learning does not come to its end.
        """
        started = time.monotonic()
        self._directory.mkdir(parents=True, exist_ok=True)
        with (
            as_file(files("stream_ml.demo") / "coupon.toml") as model_file,
            LocalRedis(self._directory) as redis,
            Stack(
                model_file,
                self._directory,
                create=PARTITIONS,
                learners=LEARNERS,
                learner={"weights": redis.url, "redis_shards": SHARDS, "kafka_file": str(self._session())},
            ) as stack,
            closing(stack.log()) as log,
        ):
            model = compile_model(model_file)
            client = connect(Access(redis.url))
            shards = RedisShards(client, f"{model.model_file.name}/v1", 0, SHARDS)
            self._say(f"{LEARNERS} learners, {PARTITIONS} partitions, {SHARDS} shards in Redis")
            pushed, last = self._push(stack, log)
            stands = self._wait(stack, log, shards, Plan(model.plan_bytes))
            prediction = self._score(stack, last)
            return self._report(
                pushed, stands, client.info("memory"), stack, prediction, time.monotonic() - started
            )

    def _session(self) -> Path:
        path = self._directory / "kafka.properties"
        path.write_text(f"session.timeout.ms={SESSION_SECONDS * 1000}\n")
        return path

    def _push(self, stack: Stack, log: Log) -> tuple[int, bytes]:
        """Push the baskets; return how many events they had, and the last one's first line."""
        pushed, line = 0, b"{}"
        # What happens once so many events were pushed, in order.
        events = [
            (self._events // 2, self._kill),
            (self._events * 3 // 4, self._start_again),
        ]
        with PacedSender(log, stack.running.topic, follow_group=stack.running.group) as sender:
            for basket in baskets(self._events):
                sender.send(basket.record, key=basket.key, events=len(basket.lines))
                pushed, line = pushed + len(basket.lines), basket.lines[0]
                if events and pushed > events[0][0]:
                    events.pop(0)[1](stack, pushed)
        return pushed, line

    def _kill(self, stack: Stack, pushed: int) -> None:
        stack.kill_learner(KILLED)
        self._say(f"learner {KILLED} is killed after {pushed:,} events; the others take over")

    def _start_again(self, stack: Stack, pushed: int) -> None:
        stack.start_learner(KILLED)
        self._say(f"learner {KILLED} is started again after {pushed:,} events")

    def _wait(self, stack: Stack, log: Log, shards: Shards, plan: Plan) -> Standing:
        topic = stack.running.topic
        ends = {partition: log.bounds(topic, partition).next for partition in range(PARTITIONS)}
        give_up_at = time.monotonic() + CATCH_UP_SECONDS
        while True:
            stack.check()
            stands = standing(shards, plan)
            if all(stands.next(partition) == end for partition, end in ends.items()):
                return stands
            if time.monotonic() > give_up_at:
                behind = {partition: end - (stands.next(partition) or 0) for partition, end in ends.items()}
                raise RecoverableError(f"not learned {CATCH_UP_SECONDS:.0f} s later, by partition: {behind}")
            time.sleep(0.2)

    def _score(self, stack: Stack, event: bytes) -> float:
        with closing(PredictorClient([stack.running.predictor], timeout_seconds=5)) as client:
            prediction = client.score([event]).scores[0].prediction
        assert prediction is not None, "an event that was learned can be scored"
        return prediction

    def _report(
        self,
        pushed: int,
        stands: Standing,
        memory: dict[str, int],
        stack: Stack,
        prediction: float,
        seconds: float,
    ) -> SharingReport:
        totals = stands.totals
        return SharingReport(
            learners=LEARNERS,
            shards=SHARDS,
            partitions=PARTITIONS,
            pushed=pushed,
            learned=int(totals["learned"]),
            duplicates=int(totals["duplicates"]),
            dead_letters=int(totals["refused"]),
            logloss=totals["loss_sum"] / totals["importance_sum"],
            rows=int(figures_at(stack.running.predictor_http)["stream_ml_predictor_rows"]),
            redis_bytes=memory["used_memory_dataset"],
            prediction=prediction,
            seconds=seconds,
        )
