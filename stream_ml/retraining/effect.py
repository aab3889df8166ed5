"""What follows from a report that proves a challenger: its variant begins, once, however often tried."""

from __future__ import annotations

import logging
from collections.abc import Callable

from stream_ml.errors import CannotContinue, RecoverableError
from stream_ml.learning.orders import Order
from stream_ml.learning.parties import Parties, with_model_of
from stream_ml.retraining.children import Children
from stream_ml.retraining.jobs import Job, Setting
from stream_ml.retraining.modelling import challenger_model
from stream_ml.retraining.promoting import give_up
from stream_ml.retraining.report import Report
from stream_ml.runtime.clock import Clock
from stream_ml.runtime.memory import available_bytes
from stream_ml.weights.journal import JournalReader
from stream_ml.weights.state import JournalState

log = logging.getLogger(__name__)

_LEARNER_KEYS = ("alpha", "beta", "l1", "l2", "decay")
_LOOK_SECONDS = 0.2
# A table's bytes a row, at its fullest (docs/rows.md).
_BYTES_A_ROW = 24
# The challenger's own learner; champion and challenger once more, to be compared.
_TABLES = 3
_MOST_CHALLENGERS = 4


class BeginChallenger:
    """Begins the variant of a job's winner, and returns once it has a snapshot of its own."""

    def __init__(
        self,
        parties: Parties,
        children: Children,
        clock: Clock,
        wait: Callable[[float], object],
        patience_seconds: float = 300.0,
        memory_bytes: Callable[[], int | None] = available_bytes,
    ) -> None:
        """
        Do nothing yet.

        Args:
            wait: sleeps so many seconds, or raises where the process is to end.
            patience_seconds: for the first snapshot of the challenger.
            memory_bytes: how much may be taken; None where that is not known.
        """
        self._parties, self._children, self._clock, self._wait = parties, children, clock, wait
        self._patience_seconds, self._memory_bytes = patience_seconds, memory_bytes

    def __call__(self, job: Job, report: Report, tell: Callable[[float, str], None]) -> None:
        """
        Begin it, or wait for the one that was begun; whatever ends this early, an order is withdrawn.

        Args:
            tell: called all the while; raises where the job is this retrainer's no more.

        Raises:
            RecoverableError: its learner does not come to a snapshot.
            CannotContinue: what it was compared with serves no more, there is no room for it, or its learner
                cannot go on.
        """
        if report.verdict.says != "promote":
            return
        winner = report.verdict.challenger
        assert winner is not None, "somebody is promoted"
        # Not of the job, which may leave the grid to the retrainer.
        setting = Setting(name=winner, **report.settings[winner])
        try:
            self._begin(job, setting, report, tell)
        except BaseException:
            self._children.withdraw(job.job)
            raise

    def abandon(self, job: Job, why: str) -> None:
        """
        End what was begun for *job*, unless it serves.

        Raises:
            RecoverableError: the journal cannot be read or written.
        """
        self._children.withdraw(job.job)
        with JournalReader.open(self._parties.log, self._parties.topics.journal.name) as journal:
            journal.read_to_end()
            begun = journal.state.variants.items()
        for variant, known in begun:
            if known.challenge is not None and known.challenge.job == job.job:
                give_up(self._parties, variant, why)

    def _begin(self, job: Job, setting: Setting, report: Report, tell: Callable[[float, str], None]) -> None:
        with JournalReader.open(self._parties.log, self._parties.topics.journal.name) as journal:
            journal.read_to_end()
            if not _is_safe(journal.state, job.job):
                self._order(job, setting, report, journal.state)
            end = self._clock.monotonic() + self._patience_seconds
            while not _is_safe(journal.state, job.job):
                tell(1.0, f"its challenger, {setting.name}, begins")
                self._check(job.job, end)
                self._wait(_LOOK_SECONDS)
                journal.poll(0.0)

    def _order(self, job: Job, setting: Setting, report: Report, state: JournalState) -> None:
        if state.serving != report.champion:
            raise CannotContinue(
                f"{report.champion}, with which {setting.name} was compared, serves no more: "
                f"{state.serving} does"
            )
        _check_number(state)
        self._check_room(state, report.champion)
        champion = with_model_of(report.champion, state, self._parties).model
        why = f"{setting.name} of retraining {job.job}: {report.verdict.why}"
        model = challenger_model(champion, _learner_of(setting), setting.slots, why)
        order = Order(
            job=job.job,
            champion=report.champion,
            why=why,
            warm=setting.warm,
            base=job.base,
            events=None if setting.warm else starts_of(job, setting),
            proof=report.verdict.why,
        )
        self._children.order(order, model.model_file.text)

    def _check_room(self, state: JournalState, champion: str) -> None:
        rows = self._rows_of(state, champion)
        wanted, there = rows * _BYTES_A_ROW * _TABLES, self._memory_bytes()
        log.info("room for a challenger", extra={"rows": rows, "bytes_wanted": wanted, "bytes_there": there})
        if there is not None and wanted > there:
            raise CannotContinue(
                f"{champion} has {rows:,} rows: a challenger and its comparison want {wanted:,} bytes, "
                f"there are {there:,}\n  hint: a retrainer with more memory"
            )

    def _rows_of(self, state: JournalState, champion: str) -> int:
        newest = state.variants[champion].snapshots[-1:]
        return max((self._parties.store.verify(each.name).total_rows for each in newest), default=0)

    def _check(self, job: str, end: float) -> None:
        if (why := self._children.failed.get(job)) is not None:
            raise CannotContinue(f"the challenger cannot learn: {why}")
        if self._clock.monotonic() > end:
            raise RecoverableError(f"the challenger has no snapshot after {self._patience_seconds:g} s")


def _check_number(state: JournalState) -> None:
    """The journal knows each of them, and each has a table."""
    if len(there := state.challengers()) >= _MOST_CHALLENGERS:
        raise CannotContinue(
            f"{', '.join(there)} challenge {state.serving} already, {_MOST_CHALLENGERS} may\n"
            "  hint: stream-ml stop LEARNER.toml VARIANT ends one"
        )


def starts_of(job: Job, setting: Setting) -> dict[int, int] | None:
    """Return where a challenger that begins cold begins, by partition; None: where the log does."""
    if job.window.events is None:
        return None
    ranges = job.window.events
    count = sum(next - first for first, next in ranges.values())
    share = 1.0 if setting.window is None or not count else min(1.0, setting.window / count)
    return {p: next - round((next - first) * share) for p, (first, next) in ranges.items()}


def _learner_of(setting: Setting) -> dict[str, float]:
    given = {key: getattr(setting, key) for key in _LEARNER_KEYS}
    return {key: value for key, value in given.items() if value is not None}


def _is_safe(state: JournalState, job: str) -> bool:
    """Whether the job's variant has what another retrainer needs to go on: its model file, stored."""
    return any(
        known.challenge is not None and known.challenge.job == job and known.snapshots
        for known in state.variants.values()
    )
