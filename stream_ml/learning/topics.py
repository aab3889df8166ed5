"""The topics of a model: which they are, and that they are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_ml.errors import ConfigError
from stream_ml.learning.outputs import dead_letters_topic, evaluations_topic
from stream_ml.streams.log import Log, Topic
from stream_ml.weights.feed import feed_topic
from stream_ml.weights.journal import journal_topic


def drifts_topic(model: str) -> str:
    """Return the name of the topic of the warnings and drifts of *model*."""
    return f"{model}.drift"


@dataclass(frozen=True, slots=True)
class Topics:
    """Where a model's learner reads and writes."""

    events: Topic
    journal: Topic
    feed: Topic


def ensure_topics(
    log: Log, model: str, events_topic: str, feed_partitions: int, feed_retention_seconds: float
) -> Topics:
    """
    Create what is missing of the topics of *model*, but for the events, which are the user's.

    Raises:
        ConfigError: there are no events, or their topic is compacted or one of the model's own.
    """
    events = _events(log, model, events_topic)
    keep = {"cleanup.policy": "delete"}
    log.ensure_topic(dead_letters_topic(model), 1, settings=keep)
    log.ensure_topic(evaluations_topic(model), 1, settings=keep)
    return Topics(
        events=events,
        journal=_only_partition(log.ensure_topic(journal_topic(model), 1, settings=keep)),
        feed=log.ensure_topic(
            feed_topic(model), feed_partitions, retention_seconds=feed_retention_seconds, settings=keep
        ),
    )


def find_topics(log: Log, model: str, events_topic: str) -> Topics:
    """
    Return the topics of *model*, and make none: for commands, which are told a wrong name easily.

    Raises:
        ConfigError: as `ensure_topics`; or one of them is not there.
    """
    events = _events(log, model, events_topic)
    journal, feed = (_found(log, model, name) for name in (journal_topic(model), feed_topic(model)))
    return Topics(events, _only_partition(journal), feed)


def _found(log: Log, model: str, name: str) -> Topic:
    topic = log.topic(name)
    if topic is None:
        raise ConfigError(
            f"there is no topic {name}: no learner of {model} has run on this Kafka\n"
            "  hint: is it the Kafka, and `name` in the model file the name, that it was learned with?"
        )
    return topic


def _events(log: Log, model: str, events_topic: str) -> Topic:
    own = (dead_letters_topic(model), evaluations_topic(model), journal_topic(model), feed_topic(model))
    if events_topic in own:
        # What is refused would come again as an event, for ever.
        raise ConfigError(
            f"events_topic is {events_topic}, which the learner of {model} writes itself\n"
            "  hint: set events_topic to the topic that your producers send to"
        )
    events = log.topic(events_topic)
    if events is None:
        raise ConfigError(f"there is no topic {events_topic}; create it, or set events_topic")
    if events.compacted:
        raise ConfigError(
            f"{events_topic} is compacted: it forgets events, so nothing could be replayed; "
            "use cleanup.policy=delete"
        )
    return events


def first_offsets(log: Log, topic: Topic) -> dict[int, int]:
    """Return where each partition begins now."""
    return {partition: log.bounds(topic.name, partition).first for partition in range(topic.partitions)}


def going_on(
    log: Log, topic: Topic, wanted: Mapping[int, int], *, learned: str | None = None
) -> dict[int, int]:
    """
    Return where each partition goes on: where *wanted*, or where it begins if that place is not in it.

    Args:
        learned: id of the topic that *wanted* is of; None where nobody knows.
    """
    places = {}
    for partition in range(topic.partitions):
        bounds, place = log.bounds(topic.name, partition), wanted.get(partition, 0)
        if place > bounds.next and topic.id and learned == topic.id:
            # The same topic, whose end was lost: all that it has was learned.
            place = bounds.next
        # A place beyond the end is else one of a topic that was deleted and made anew.
        places[partition] = place if bounds.first <= place <= bounds.next else bounds.first
    return places


def lost(log: Log, topic: Topic, wanted: Mapping[int, int]) -> dict[int, int]:
    """Return how many offsets are gone from where *wanted* would go on, of each partition with a loss."""
    gaps = {p: first - wanted.get(p, 0) for p, first in first_offsets(log, topic).items()}
    return {partition: gap for partition, gap in gaps.items() if gap > 0}


def _only_partition(topic: Topic) -> Topic:
    if topic.partitions != 1:
        raise ConfigError(
            f"{topic.name} has {topic.partitions} partitions; a journal has one, or there is no order"
        )
    return topic
