"""The parts that the settings of a learner name, for the service and for the commands that read its file."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable

from stream_ml import _native
from stream_ml.features import CompiledModel, compile_model
from stream_ml.learning.parties import Parties
from stream_ml.learning.points import Reached, go_on
from stream_ml.learning.topics import ensure_topics, find_topics
from stream_ml.runtime.settings import LearnerSettings
from stream_ml.sharing.wiring import layout_of
from stream_ml.streams.kafka import KafkaLog
from stream_ml.streams.log import Log
from stream_ml.weights.snapshots import SnapshotStore


def parties_of(
    settings: LearnerSettings,
    log: Log,
    accept_loss: bool = False,
    reached: Reached = go_on,
    *,
    make_topics: bool = False,
) -> Parties:
    """Return what *settings* name, the model compiled and its topics there, made or to be there before."""
    model = compile_model(settings.model_file)
    name = model.model_file.name
    return Parties(
        log=log,
        store=SnapshotStore(settings.snapshot_store),
        topics=ensure_topics(
            log, name, settings.events_topic, settings.feed_partitions, settings.feed_retention_seconds
        )
        if make_topics
        else find_topics(log, name, settings.events_topic),
        model=model,
        who=f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}",
        # An embedded broker forgets with its process: there a loss is normal.
        accept_loss=accept_loss or log.retained_bytes is not None,
        reached=reached,
        layout=layout_of(settings),
    )


def native_learner(
    model: CompiledModel, settings: LearnerSettings, waiting_labels: int | None = None
) -> _native.Learner:
    """Return an empty learner for *model*; *waiting_labels* as it says."""
    return _native.Learner(
        _native.Plan(model.plan_bytes),
        scan_threads=settings.scan_threads,
        expected_rows=settings.expected_rows,
        waiting_labels=waiting_labels,
    )


def kafka_log(settings: LearnerSettings, stopping: Callable[[], bool] = lambda: False) -> KafkaLog:
    """Return the log that *settings* name; *stopping* as it wants it."""
    return KafkaLog(
        {name: str(value) for name, value in settings.kafka.items()},
        unavailable_after_seconds=settings.broker_timeout_seconds,
        stopping=stopping,
    )
