"""Places in the journal for what may only rise: incarnations of shards, leases of chores."""

from __future__ import annotations

import threading

from stream_ml.errors import RecoverableError
from stream_ml.weights.journal import JournalWriter
from stream_ml.weights.lines import Chore, Incarnation, Layout, Line, place_of
from stream_ml.weights.shards import Identity

_ACKNOWLEDGED_SECONDS = 30.0


class JournalPlaces:
    """Appends lines of a variant and returns where they came to lie. Thread-safe."""

    def __init__(self, journal: JournalWriter, number: int, variant: str, layout: Layout, who: str) -> None:
        """*number*: of the journal."""
        self._journal, self._number = journal, number
        self._variant, self._layout, self._who = variant, layout.number, who

    def incarnation(self, shard: int, identity: Identity, why: str) -> int:
        """Return the place of a new ``incarnation`` line."""
        return self._append(
            Incarnation(
                variant=self._variant,
                layout=self._layout,
                shard=shard,
                process=identity.process,
                reign=identity.reign,
                why=why,
            )
        )

    def chore(self, chore: str, shard: int | None) -> int:
        """Return the place of a new ``chore`` line: the lease."""
        return self._append(
            Chore(variant=self._variant, layout=self._layout, shard=shard, chore=chore, who=self._who)
        )

    def _append(self, line: Line) -> int:
        offsets: list[int] = []
        known = threading.Event()

        def delivered(offset: int) -> None:
            offsets.append(offset)
            known.set()

        self._journal.append(line, delivered)
        if not known.wait(_ACKNOWLEDGED_SECONDS):
            raise RecoverableError(f"the journal took no line for {_ACKNOWLEDGED_SECONDS:.0f} s")
        return place_of(self._number, offsets[0])
