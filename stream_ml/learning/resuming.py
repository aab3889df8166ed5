"""Learning goes on after a stop: with the backlog, behind a skip, or with the rows of an earlier step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from stream_ml._native import Learner
from stream_ml.errors import ConfigError
from stream_ml.features import CompiledModel
from stream_ml.learning.beginnings import next_id
from stream_ml.learning.deciding import decide, decision
from stream_ml.learning.parties import Parties, with_model_of
from stream_ml.learning.rebuilding import Rebuilt, rebuild
from stream_ml.learning.skipping import skips
from stream_ml.weights.journal import JournalReader, JournalWriter
from stream_ml.weights.lines import Challenge, Decision, Seed, Variant
from stream_ml.weights.snapshots import SnapshotName
from stream_ml.weights.state import JournalState

_FLUSH_SECONDS = 30.0


def stop(parties: Parties, why: str, variant: str | None = None) -> list[Decision]:
    """
    Stop the learning of what serves, or of *variant*; what serves serves on, as it is.

    Raises:
        ConfigError: nothing serves, there is no such variant, or it is stopped already.
    """

    def decisions(state: JournalState) -> list[Decision]:
        stopped = variant or _serving(parties, state)
        if stopped not in state.variants:
            raise ConfigError(f"there is no variant {stopped}\n  hint: stream-ml status lists them")
        if not state.learns(stopped):
            raise ConfigError(f"{stopped} does not learn already: {_stopped(state, stopped)}")
        return [decision(state, "stop", stopped, parties.who, why)]

    return decide(parties, decisions)


def learn_backlog(parties: Parties, why: str) -> list[Decision]:
    """
    Let what serves learn on where it was stopped.

    Raises:
        ConfigError: it is not stopped.
    """
    return decide(parties, lambda state: [_resume(parties, state, why)])


def skip_to(
    parties: Parties, to: Mapping[int, int], why: str, stands: Mapping[int, int] | None = None
) -> list[Decision]:
    """
    Let what serves learn on behind events that it gives up; they are counted.

    Args:
        to: by partition, where learning goes on. stands: as `skips` takes it.

    Raises:
        ConfigError: it is not stopped, or `skips` says why.
    """
    return decide(parties, lambda state: [*skips(parties, state, to, stands), _resume(parties, state, why)])


def restore_step(
    parties: Parties, step: int, why: str, new_learner: Callable[[CompiledModel], Learner], created_at: float
) -> tuple[Variant, list[Decision]]:
    """
    Let a new variant serve that begins with the rows that what serves had at *step*.

    It goes on where learning was stopped: what was learned after *step* is given up, and counted.

    Args:
        created_at: unix seconds, now.

    Raises:
        ConfigError: what serves is not stopped, its rows are in Redis, or it has no such step.
        ReplayImpossible: the step cannot be rebuilt.
    """
    with JournalReader.open(parties.log, parties.topics.journal.name) as journal:
        journal.read_to_end()
        state = journal.state
    serving = _serving(parties, state)
    _check_stopped(state, serving)
    if state.variants[serving].layout is not None:
        raise ConfigError(
            f"the rows of {serving} are in Redis, whose steps cannot be rebuilt\n"
            "  hint: --learn-backlog or --skip-to"
        )
    own = with_model_of(serving, state, parties)
    rebuilt = rebuild(own, partial(new_learner, own.model), serving, step, from_snapshot=True)
    name = rebuilt.store_in(own.store, own.model, created_at)
    line = _restored(own, state, serving, rebuilt, name, why)
    writer = JournalWriter(parties.log, parties.topics.journal.name)
    writer.append(line)
    writer.flush(_FLUSH_SECONDS)
    writer.close()
    return line, decide(parties, lambda state: [decision(state, "serve", line.variant, parties.who, why)])


def _restored(
    parties: Parties, state: JournalState, serving: str, rebuilt: Rebuilt, name: SnapshotName, why: str
) -> Variant:
    known = state.variants[serving]
    given_up = {
        p: end - rebuilt.events.get(p, (0, 0))[1]
        for p, end in known.events.items()
        if end > rebuilt.events.get(p, (0, 0))[1]
    }
    return Variant(
        variant=next_id(parties, state),
        fingerprint=known.fingerprint,
        seed=Seed(
            variant=serving, epoch=rebuilt.epoch, step=rebuilt.step, name=str(name), checksum=name.checksum
        ),
        topic_id=known.topic_id or parties.topics.events.id,
        events=dict(known.events),
        why=f"step {rebuilt.step} of {serving} again: {why}",
        lost=given_up or None,
        challenge=None if known.challenge is None else Challenge(serving, known.file, f"restore {name}"),
    )


def _resume(parties: Parties, state: JournalState, why: str) -> Decision:
    serving = _serving(parties, state)
    _check_stopped(state, serving)
    return decision(state, "resume", serving, parties.who, why)


def _check_stopped(state: JournalState, serving: str) -> None:
    if state.learns(serving):
        raise ConfigError(f"{serving}, which serves, learns: there is nothing to resume")


def _serving(parties: Parties, state: JournalState) -> str:
    if state.serving is None:
        raise ConfigError(f"no variant of {parties.name} serves yet; start a learner")
    return state.serving


def _stopped(state: JournalState, serving: str) -> str:
    decided = state.decisions[f"learn {serving}"].decision
    return f"{decided.who} stopped it: {decided.why}"
