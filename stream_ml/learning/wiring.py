"""The parts of a writer's loop, each built of what the process that has claimed knows."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from stream_ml.learning.fetching import BatchLimits, Fetcher
from stream_ml.learning.inbox import Inbox
from stream_ml.learning.keeping import Keeper
from stream_ml.learning.margins import RetentionMargins
from stream_ml.learning.parties import Parties
from stream_ml.learning.publishing import FeedLimits, Publisher, Writership
from stream_ml.learning.reporting import Report
from stream_ml.learning.snapshotting import AsOf, Snapshots
from stream_ml.learning.starting import Started
from stream_ml.runtime.clock import Clock
from stream_ml.runtime.settings import LearnerSettings
from stream_ml.streams.log import Writer

# A feed that keeps so many bytes a partition must hold this many seconds of it.
_FEED_SECONDS_RETAINED = 10.0


def new_fetcher(
    parties: Parties, starts: Mapping[int, int], inbox: Inbox, settings: LearnerSettings, clock: Clock
) -> Fetcher:
    """Return what reads the events from *starts* into *inbox*."""
    limits = BatchLimits(
        settings.batch_max_records,
        settings.batch_max_bytes,
        settings.step_interval_seconds,
        settings.poll_wait_seconds,
    )
    return Fetcher(parties.log, parties.topics.events, starts, inbox, limits, clock)


def new_publisher(
    parties: Parties, started: Started, writer: Writer, settings: LearnerSettings, clock: Clock
) -> Publisher:
    """Return what cuts and sends deltas, within what the feed may cost."""
    feed, limits = parties.topics.feed, feed_limits(parties, settings)
    bounds = {p: parties.log.bounds(feed.name, p).next for p in range(feed.partitions)}
    return Publisher(
        writer,
        feed.name,
        bounds,
        writership(parties, started),
        started.loaded.snapshot_step,
        limits,
        clock,
        parties.reached,
    )


def feed_limits(parties: Parties, settings: LearnerSettings) -> FeedLimits:
    """Return what the feed may cost, by the settings and by what its broker keeps."""
    feed, retained = parties.topics.feed, parties.log.retained_bytes
    budget = float(settings.feed_bytes_per_second)
    if retained is not None:
        budget = min(budget, retained * feed.partitions / _FEED_SECONDS_RETAINED)
    return FeedLimits(
        settings.publish_interval_seconds,
        settings.heartbeat_interval_seconds,
        budget,
        settings.message_max_bytes,
    )


def new_keeper(
    parties: Parties,
    started: Started,
    writing: ThreadPoolExecutor,
    margins: RetentionMargins,
    report: Report,
    settings: LearnerSettings,
    clock: Clock,
) -> Keeper:
    """Return what takes the snapshots; *writing* has one thread."""
    snapshots = Snapshots(
        parties.store,
        parties.model,
        writership(parties, started),
        started.loaded,
        clock,
        parties.reached,
        writing,
        settings.snapshot_rows_per_batch,
    )
    state = started.loaded.journal.state
    as_of = AsOf(state.place, state.in_force())
    return Keeper(started.variant, snapshots, margins, as_of, settings, report, clock, parties.reached)


def writership(parties: Parties, started: Started) -> Writership:
    """Return whose deltas and snapshots those of this process are."""
    return Writership(
        parties.name, started.variant, parties.model.fingerprint, started.epoch, parties.topics.events.id
    )
