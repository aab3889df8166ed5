"""Lines of one variant, short to write in tests."""

from __future__ import annotations

from dataclasses import replace

from stream_ml.weights.lines import (
    Begin,
    Challenge,
    Claim,
    Decision,
    Line,
    Range,
    Release,
    Snapshot,
    Step,
    Variant,
    journal_and_offset,
)
from stream_ml.weights.state import JournalState
from stream_ml.weights.verdicts import Verdict

FINGERPRINT = "f" * 32


def variant(name: str = "v", events: dict[int, int] | None = None, fingerprint: str = FINGERPRINT) -> Variant:
    return Variant(
        variant=name,
        fingerprint=fingerprint,
        seed=None,
        topic_id="t",
        events=events or {0: 0},
        why="test",
    )


def challenger(name: str, of: str) -> Variant:
    return replace(variant(name), challenge=Challenge(of, FINGERPRINT, f"job of {name}"))


def stop(name: str, replaces: int | None = None) -> Decision:
    return Decision(kind="stop", variant=name, who="me", why="test", replaces=replaces)


def claim(who: str = "a", step: int = 0, name: str = "v") -> Claim:
    return Claim(variant=name, who=who, step=step)


def release(epoch: int, step: int = 0, name: str = "v") -> Release:
    return Release(variant=name, who="a", epoch=epoch, step=step)


def step(
    epoch: int, number: int, *ranges: tuple[int, int, int], name: str = "v", decisions: tuple[int, ...] = ()
) -> Step:
    parts = tuple(Range(partition, first, end, end - first, 7) for partition, first, end in ranges)
    return Step(variant=name, epoch=epoch, step=number, topic_id="t", ranges=parts, decisions=decisions)


def snapshot(
    state: JournalState, epoch: int, number: int, name: str = "v", as_of: int | None = None, feed: int = 0
) -> Snapshot:
    place = state.place if as_of is None else as_of
    return Snapshot(
        variant=name,
        epoch=epoch,
        step=number,
        name=f"m/{name}/{epoch}-{number}-{journal_and_offset(place)[1]}.safetensors",
        checksum="c",
        events=dict(state.variants[name].events),
        feed={0: feed},
        as_of=place,
        in_force=state.in_force(),
    )


def serve(name: str = "v", replaces: int | None = None) -> Decision:
    return Decision(kind="serve", variant=name, who="me", why="test", replaces=replaces)


def fold(*lines: Line | None) -> tuple[JournalState, list[Verdict]]:
    """Apply *lines* as a journal from its begin; the begin has offset 0."""
    state = JournalState()
    verdicts = [state.apply(offset, line) for offset, line in enumerate((Begin(journal=0), *lines))]
    return state, verdicts[1:]
