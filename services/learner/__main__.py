"""The learner: settings → parts → run."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from services.learner.parts import kafka_log, native_learner, parties_of
from stream_ml.features import compile_model
from stream_ml.learning.orders import Order, read_order
from stream_ml.learning.parties import Parties
from stream_ml.learning.points import Reached, go_on
from stream_ml.learning.starting import Start
from stream_ml.learning.ways_on import naming
from stream_ml.learning.writing import WriterLoop
from stream_ml.runtime import lifecycle, logging, metrics
from stream_ml.runtime.allocator import keep_freed_memory
from stream_ml.runtime.clock import SystemClock
from stream_ml.runtime.http import OperatorServer
from stream_ml.runtime.interpreter import suit_batches
from stream_ml.runtime.settings import LearnerSettings, load, log_effective
from stream_ml.sharing.starting import SharedStart
from stream_ml.sharing.variant import SharedVariant, redis_shards
from stream_ml.sharing.wiring import Sharing
from stream_ml.weights.journal import JournalWriter
from stream_ml.weights.redis.shards import RedisShards


@dataclass
class Learner:
    """
    The service.

    Attributes:
        accept_loss: go on from the newest snapshot where replay is impossible.
        order: learn this challenger, until it is over; else what serves.
        reached: called at every named point; tests end the process there.
        not_ready: what /readyz says is missing.
    """

    settings: LearnerSettings
    accept_loss: bool = False
    order: Order | None = None
    reached: Reached = go_on
    not_ready: str | None = field(default="starting", init=False)

    def run(self, stop: lifecycle.Stop) -> None:
        """Learn until *stop* is asked for."""
        settings = self.settings
        log_effective(settings)
        with ExitStack() as resources:
            http = OperatorServer(settings.http_host, settings.http_port, ready=lambda: self.not_ready)
            resources.callback(http.close)
            # Before any broker is there: who waits for brokers is not missing.
            metrics.begin("learner", [compile_model(settings.model_file).model_file.name])
            log = kafka_log(settings, stop.requested)
            resources.callback(log.close)
            if not log.connect():
                return
            parties = parties_of(settings, log, self.accept_loss, self.reached, make_topics=True)
            journal = JournalWriter(log, parties.topics.journal.name)
            alone = parties.layout is None
            (self._write if alone else self._share)(parties, journal, stop)
            journal.close()

    def _write(self, parties: Parties, journal: JournalWriter, stop: lifecycle.Stop) -> None:
        """Be the variant's one writer, with its rows in this process's memory."""
        settings, clock = self.settings, SystemClock()
        new_learner = partial(native_learner, settings=settings)
        # A standby says that it is none: where nobody says so, an alert on writers has nothing to count.
        metrics.LEARNER_WRITER.labels(parties.name).set(False)
        while not stop.requested():
            takeover_after = settings.takeover_after_seconds
            start = Start(
                parties, journal, new_learner, takeover_after, clock, self.order, self._become_ready
            )
            started = start.run(stop)
            if started is not None:
                with parties.log.writer() as writer:
                    WriterLoop(started, journal, writer, settings, clock).run(stop)
            elif self.order is not None:
                return

    def _become_ready(self) -> None:
        # A standby does its work, too: whoever replaces learners one by one may go on to the next.
        self.not_ready = None

    def _share(self, parties: Parties, journal: JournalWriter, stop: lifecycle.Stop) -> None:
        """Be one of several learners, with the rows in Redis."""
        settings, clock = self.settings, SystemClock()

        def shards_of(variant: SharedVariant) -> RedisShards:
            return redis_shards(variant, parties.name, settings.weights, settings)

        while not stop.requested():
            start = SharedStart(parties, journal, shards_of, settings, clock, self.order)
            own, variant, shards = start.run()
            self.not_ready = None
            with parties.log.writer() as writer:
                Sharing(own, variant, shards, journal, writer, settings, clock).run(stop)
            if self.order is not None:
                return


def main(arguments: Sequence[str], reached: Reached = go_on) -> int:
    """Run the service with command-line *arguments*; return the process's exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.learner", description=__doc__)
    parser.add_argument("--settings", type=Path, help="TOML file; STREAM_ML_… variables override it")
    parser.add_argument(
        "--accept-loss",
        action="store_true",
        help="where replay is impossible, begin a new variant from the newest snapshot; the loss is counted",
    )
    parser.add_argument(
        "--challenge",
        type=Path,
        metavar="ORDER",
        help="learn a challenger until it is over: a JSON file that says which; retrainers start this",
    )
    given = parser.parse_args(arguments)
    logging.configure("learner")
    keep_freed_memory()
    suit_batches()

    def service(stop: lifecycle.Stop) -> None:
        settings = load(LearnerSettings, given.settings, os.environ)
        logging.configure("learner", settings.log_level, settings.log_format)
        with naming(given.settings):
            order = None
            if given.challenge:
                order = read_order(given.challenge)
                lifecycle.stop_with_parent(stop)
            Learner(settings, given.accept_loss, order, reached).run(stop)

    return lifecycle.run(service)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
