"""The topics of a model: events are the user's, the others the model's own."""

import pytest

from stream_ml.errors import ConfigError
from stream_ml.learning.topics import ensure_topics
from stream_ml.streams.memory import MemoryLog


@pytest.mark.parametrize("own", ["dead-letters", "evaluations", "journal", "weights"])
def test_a_learner_does_not_learn_what_it_writes(own: str) -> None:
    log = MemoryLog()
    log.ensure_topic(f"clicks.{own}", 1)
    with pytest.raises(ConfigError, match=rf"events_topic is clicks\.{own}, .* itself\n  hint: "):
        ensure_topics(log, "clicks", f"clicks.{own}", 1, 60.0)
    assert ensure_topics(log, "views", f"clicks.{own}", 1, 60.0).events.name == f"clicks.{own}"
