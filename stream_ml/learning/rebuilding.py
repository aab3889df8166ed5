"""The weights of any step, from journal and events alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from stream_ml._native import Learner
from stream_ml.errors import ConfigError
from stream_ml.learning.beginnings import Parties
from stream_ml.learning.loading import Loader
from stream_ml.weights.journal import Entry, JournalReader


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """
    A learner as of *step*, brought there from the variant's beginning.

    Attributes:
        events: per partition, the ``[first, next)`` that was learned, without gap or overlap.
    """

    variant: str
    step: int
    events: dict[int, tuple[int, int]]
    learner: Learner

    def described(self) -> dict[str, Any]:
        """Return what scripts read."""
        totals = self.learner.metrics()
        counts = {
            name: int(totals[name]) for name in ("learned", "duplicates", "refused", "skipped", "empty")
        }
        ranges = {str(partition): list(both) for partition, both in self.events.items()}
        return {
            "variant": self.variant,
            "step": self.step,
            "events": ranges,
            **counts,
            **self.learner.digest(),
        }


def rebuild(
    parties: Parties,
    new_learner: Callable[[], Learner],
    variant: str | None = None,
    to_step: int | None = None,
    *,
    watched: Callable[[list[Entry]], Iterable[Entry]] = iter,
) -> Rebuilt:
    """
    Replay *variant* (or the one that serves) from its beginning up to *to_step* (or the journal's end).

    Args:
        watched: hands on the journal's lines, one by one as they are followed.

    Raises:
        ConfigError: there is no such variant or step, or the model file is not its own.
        ReplayImpossible: says what differs.
    """
    with JournalReader.open(parties.log, parties.topics.journal.name) as known:
        known.read_to_end()
        variant = variant or known.state.serving
        state = known.state.variants.get(variant or "")
    if variant is None or state is None:
        raise ConfigError(f"{parties.name} has no variant {variant or 'that serves'}")
    if state.fingerprint != parties.model.fingerprint:
        raise ConfigError(
            f"variant {variant} was learned with fingerprint {state.fingerprint}, the model file compiles to "
            f"{parties.model.fingerprint}; use the file that lies in the variant's snapshots"
        )
    if to_step is not None and to_step > state.step:
        raise ConfigError(f"variant {variant} has {state.step} steps, there is no step {to_step} yet")
    loaded = Loader(parties, new_learner).beginning(variant)
    first = dict(loaded.replay.events)
    with loaded.journal as journal:
        loaded.replay.follow(watched(journal.read_to_end()), to_step)
    loaded.replay.close()
    events = {partition: (first.get(partition, 0), end) for partition, end in loaded.replay.events.items()}
    return Rebuilt(variant, loaded.replay.step, events, loaded.replay.learner)
