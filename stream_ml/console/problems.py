"""What is wrong, in words, with what to do: as far as one look at the services tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from stream_ml.console.scrape import Scrape

Figures = Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Problem:
    """
    One thing that is not as it should be.

    Attributes:
        level: "bad" wants somebody; "note" explains what is seen.
        runbook: page of docs/runbooks that says what to do; "" where *hint* does.
    """

    level: Literal["bad", "note"]
    what: str
    hint: str = ""
    runbook: str = ""


# What each figure above 0 means.
_SAID = {
    "stale": Problem(
        "bad",
        "A predictor has lost touch with the feed. It serves the last good weights.",
        runbook="PredictorWeightsStale",
    ),
    "breaker_open": Problem(
        "bad", "Learning is stopped, because labels broke. Scores go on.", runbook="LearnerBreakerOpen"
    ),
    "stopped": Problem(
        "bad", "A decision stops learning; the history says whose. Scores go on.", runbook="LearnerStopped"
    ),
    "shards_unavailable": Problem(
        "bad", "Shards in Redis do not answer. Learning waits for them.", runbook="LearnerShardUnavailable"
    ),
    "snapshot_store_fails": Problem(
        "bad", "The snapshot store is full, forbidden or away. Nothing is lost yet.", runbook="SnapshotFails"
    ),
    "no_labels": Problem("bad", "Events come, and none with a label.", runbook="LearnerSilence"),
    "no_events": Problem("note", "No events come.", runbook="LearnerSilence"),
}
_NOTHING_LEARNED = Problem(
    "note", "Nothing is learned yet, so there are no scores.", "push events: stream-ml send FILE"
)
_NO_MODEL = Problem("bad", "A predictor has no model to serve.", runbook="PredictorHasNoModel")
_NO_WRITER = Problem("bad", "No learner writes: nobody learns.", runbook="LearnerWriterNotOne")
_WRITERS = Problem("bad", "More than one learner says that it writes.", runbook="LearnerWriterNotOne")


def problems(figures: Figures, services: Sequence[Scrape], unread: str | None) -> list[Problem]:
    """
    Return what is wrong, worst first.

    Args:
        figures: of `live.figures`.
        unread: why a topic cannot be read; None if all can.
    """
    found = [*_of_services(services), *_of_model(figures, services)]
    if unread is not None:
        found.append(Problem("bad", f"Not all topics can be read: {unread}", "are the brokers up?"))
    return sorted(found, key=lambda each: each.level)


def _of_services(services: Sequence[Scrape]) -> Iterator[Problem]:
    for each in services:
        if not each.answers:
            yield Problem("bad", f"{each.address} {each.problem}.", runbook="TargetDown")


def _of_model(figures: Figures, services: Sequence[Scrape]) -> Iterator[Problem]:
    if figures["predictors_ready"] == 0:
        # Where no learner is looked at, nobody says how much is learned.
        yield _NOTHING_LEARNED if figures["learned"] == 0 else _NO_MODEL
    # A breaker that is open stops learning, too: one of them says it.
    silent = {"stopped"} if figures["breaker_open"] else set()
    for name, problem in _SAID.items():
        if figures[name] and name not in silent:
            yield problem
    # With rows in Redis nobody is the writer, and the learners do not say it.
    if figures["writers"] == 0 and any(each.answers for each in services):
        yield _NO_WRITER
    if (figures["writers"] or 0) > 1:
        yield _WRITERS
