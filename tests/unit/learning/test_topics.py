"""The topics of a model: events are the user's, the others the model's own."""

import pytest

from stream_ml.errors import ConfigError
from stream_ml.learning.topics import ensure_topics, find_topics
from stream_ml.streams.memory import MemoryLog


@pytest.mark.parametrize("own", ["dead-letters", "evaluations", "journal", "weights"])
def test_a_learner_does_not_learn_what_it_writes(own: str) -> None:
    log = MemoryLog()
    log.ensure_topic(f"clicks.{own}", 1)
    with pytest.raises(ConfigError, match=rf"events_topic is clicks\.{own}, .* itself\n  hint: "):
        ensure_topics(log, "clicks", f"clicks.{own}", 1, 60.0)
    assert ensure_topics(log, "views", f"clicks.{own}", 1, 60.0).events.name == f"clicks.{own}"


def test_a_command_finds_the_topics_that_the_learner_made() -> None:
    log = MemoryLog()
    log.ensure_topic("events", 2)
    made = ensure_topics(log, "clicks", "events", 3, 60.0)
    assert find_topics(log, "clicks", "events") == made


@pytest.mark.parametrize("gone", ["journal", "weights"])
def test_a_command_makes_no_topics_and_says_which_is_not_there(gone: str) -> None:
    log = MemoryLog()
    log.ensure_topic("events", 1)
    ensure_topics(log, "clicks", "events", 1, 60.0)
    log.delete_topic(f"clicks.{gone}")
    with pytest.raises(ConfigError, match=rf"no topic clicks\.{gone}: no learner of clicks.*\n  hint: "):
        find_topics(log, "clicks", "events")
    assert log.topic(f"clicks.{gone}") is None
    with pytest.raises(ConfigError, match="there is no topic event; create it"):
        find_topics(log, "clicks", "event")
