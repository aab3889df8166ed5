"""The parts around the rules: Faust brings evaluations and keeps states, the log takes alarms."""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import gettempdir
from typing import Any
from uuid import uuid4

import faust
from faust.auth import Credentials

from services.drift_monitor.asking import Asking
from services.drift_monitor.following import Following, Record
from services.drift_monitor.monitors import Monitors
from services.drift_monitor.states import States
from services.drift_monitor.variants import Variants
from stream_ml.drift.alarms import Alarm, Stream
from stream_ml.drift.ignoring import ignored
from stream_ml.drift.monitor import Rules
from stream_ml.errors import RecoverableError
from stream_ml.learning.outputs import evaluations_topic
from stream_ml.learning.topics import drifts_topic
from stream_ml.retraining.jobs import ensure_jobs
from stream_ml.runtime.clock import SystemClock
from stream_ml.runtime.drift_settings import DriftMonitorSettings
from stream_ml.runtime.lifecycle import Stop
from stream_ml.streams.log import Log, LogTruncated, Writer

log = logging.getLogger("drift_monitor")

_TABLE = "states"
_JOINING = "no evaluations are assigned to it yet"
_MAX_STATE_BYTES = 8 << 20
_POLL_SECONDS = 0.1
# Brokers allow no shorter session unless told to.
_SESSION_SECONDS, _REBALANCE_SECONDS = 6.0, 10.0
_AGAIN_RECORDS = 100
# How long Faust may take to stop.
_STOP_SECONDS = 10.0


class DriftMonitor:
    """
    The service around the rules.

    Attributes:
        failed: what ended it, if something did.
        waits: why it watches nothing yet, or no more; None while it watches.
    """

    def __init__(
        self,
        settings: DriftMonitorSettings,
        rules: Rules,
        log: Log,
        writer: Writer,
        access: Credentials | None,
    ) -> None:
        """*access*: what Faust, which has a client of its own, lets itself in with."""
        self._settings, self._log, self._writer = settings, log, writer
        self._evaluations = evaluations_topic(settings.model)
        self._drifts = drifts_topic(settings.model)
        self.failed: Exception | None = None
        self.waits: str | None = _JOINING
        # Faust makes folders, though it keeps nothing in them; where it is started may be read-only.
        self._scratch = Path(gettempdir()) / f"drift-monitor-{uuid4().hex}"
        self._app = self._faust(access)
        table = self._app.Table(_TABLE, partitions=1, key_type=bytes, value_type=bytes)
        clock = SystemClock()
        variants = Variants(log, settings.model, clock)
        self._states = States(table)
        self._asking = Asking(settings, log, writer, clock, variants.serving)
        monitors = Monitors(rules, self._states, variants.over, self._end)
        self._following = Following(settings.model, monitors, self._tell, self._again)
        # One thread, so that nothing is done twice at a time where Faust begins its agent anew.
        self._worker = ThreadPoolExecutor(1, "watching")
        source = self._app.topic(self._evaluations, key_serializer="raw", value_serializer="raw")
        self._app.agent(source)(self._watch)

    def _faust(self, access: Credentials | None) -> Any:
        name = f"{self._settings.model}.drift-monitor"
        keep = {"cleanup.policy": "compact", "max.message.bytes": str(_MAX_STATE_BYTES)}
        self._log.ensure_topic(f"{name}-{_TABLE}-changelog", 1, settings=keep)
        self._log.ensure_topic(self._evaluations, 1, settings={"cleanup.policy": "delete"})
        self._log.ensure_topic(self._drifts, 1, settings={"cleanup.policy": "delete"})
        ensure_jobs(self._log)
        servers = str(self._settings.kafka["bootstrap.servers"]).split(",")
        return faust.App(
            name,
            broker=[f"kafka://{each.strip()}" for each in servers],
            broker_credentials=access,
            store="memory://",
            datadir=str(self._scratch),
            topic_partitions=1,
            # The topics are ours to make, and one process needs no leader.
            topic_allow_declare=False,
            topic_disable_leader=True,
            consumer_auto_offset_reset="earliest",
            producer_max_request_size=_MAX_STATE_BYTES,
            producer_acks=-1,
            # One that was killed is missed soon: until then brokers let no other take its place.
            broker_session_timeout=_SESSION_SECONDS,
            broker_heartbeat_interval=_SESSION_SECONDS / 4,
            broker_rebalance_timeout=_REBALANCE_SECONDS,
            web_enabled=False,
        )

    async def _watch(self, records: Any) -> None:
        """
        Take in what Faust brings.

        Not on Faust's loop: what waits for brokers or reads a topic takes longer than one may be silent in a
        group, and whoever is thrown out of it begins again.
        """
        loop = asyncio.get_running_loop()
        async for event in records.events():
            place = event.message.offset
            try:
                await loop.run_in_executor(self._worker, self._following.take, event.key, event.value, place)
                self._states.hand_over()
            # Faust would begin the agent anew, which meets the same again: the process is to end.
            except Exception as error:
                self.failed = error
                raise

    def run(self, stop: Stop) -> None:
        """
        Watch until *stop* is asked for.

        Faust has a thread of its own, which may be left behind: where brokers are away it waits for them
        without an end. What it has not done by then is repeated by the next process.

        Raises:
            Exception: what ended it.
        """
        thread = threading.Thread(target=self._run_faust, args=(stop,), name="faust", daemon=True)
        thread.start()
        while thread.is_alive() and not (stop.requested() or self.failed):
            thread.join(_POLL_SECONDS)
        thread.join(_STOP_SECONDS)
        self._end_work()
        shutil.rmtree(self._scratch, ignore_errors=True)
        if self.failed:
            raise self.failed

    def _end_work(self) -> None:
        """Let what is being taken in come to its end: it writes, and its writer is closed after this."""
        try:
            self._worker.submit(lambda: None).result(_STOP_SECONDS)
        except TimeoutError:
            log.warning("an evaluation is still being looked at; the next process repeats it")
        self._worker.shutdown(wait=False, cancel_futures=True)

    def _run_faust(self, stop: Stop) -> None:
        try:
            asyncio.run(self._run(stop))
        except Exception as error:
            self.failed = self.failed or error

    async def _run(self, stop: Stop) -> None:
        await self._app.start()
        try:
            while not (stop.requested() or self.failed or self._app.should_stop):
                joined = self._app.consumer.assignment() and not self._app.rebalancing
                self.waits = None if joined else _JOINING
                await asyncio.sleep(_POLL_SECONDS)
            if not (stop.requested() or self.failed):
                self.failed = RecoverableError("the Kafka client of Faust ended; its error is above")
        finally:
            self.waits = "it is stopping"
            await self._app.stop()

    def _tell(self, stream: Stream, alarms: list[Alarm]) -> None:
        for alarm in alarms:
            self._writer.send(self._drifts, alarm.record(stream), key=alarm.key(stream).encode(), partition=0)
        # First, whatever becomes of the asking: an alarm is never lost.
        self._writer.flush(self._settings.broker_timeout_seconds)
        for alarm in alarms:
            if alarm.kind == "drift" and self._settings.retrain_events:
                self._asking.drifted(stream, alarm, self._following.monitors.evaluations())

    def _end(self) -> int:
        return self._log.bounds(self._evaluations, 0).next

    def _again(self) -> Generator[Record, None, None]:
        """Read from the beginning: a gap is rare, and evaluations are few."""
        bounds = self._log.bounds(self._evaluations, 0)
        place, silent = bounds.first, 0
        with closing(self._log.reader(self._evaluations, {0: place}, keys=True)) as reader:
            while place < bounds.next:
                try:
                    fetches = reader.poll(_AGAIN_RECORDS, _POLL_SECONDS)
                except LogTruncated as gone:  # retention was quicker
                    place, fetches = gone.first, []
                    reader.seek(0, place)
                silent = 0 if fetches else silent + 1
                if silent * _POLL_SECONDS > self._settings.broker_timeout_seconds:
                    raise RecoverableError(f"{self._evaluations}: evaluations from {place} on do not arrive")
                for fetch in fetches:
                    place = fetch.next
                    yield from zip(fetch.keys or (), fetch.values, strict=True)


def rules_of(settings: DriftMonitorSettings) -> Rules:
    """
    Return the rules that *settings* say.

    Raises:
        ConfigError: there is no such statistic to ignore.
    """
    return Rules(
        false_alarm_every=settings.false_alarm_every,
        warnings_per_drift=settings.warnings_per_drift,
        warm_up=settings.warm_up_evaluations,
        cooldown=settings.cooldown_evaluations,
        ignore=ignored(settings.ignore),
    )
