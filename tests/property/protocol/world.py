"""What the processes of the model share: topics, store, sockets; and the truth they are held against."""

from __future__ import annotations

from collections import deque
from functools import cache
from random import Random
from typing import NamedTuple

from stream_ml.weights.feed import Chunk
from stream_ml.weights.lines import Begin, Claim, Decision, Line, Range, Release, Snapshot, Step, Variant
from stream_ml.weights.state import JournalState
from tests.property.protocol.batches import PARTITIONS, Batches, Image, Output
from tests.property.protocol.rules import Rules

VARIANT, OTHER = "v", "w"
FINGERPRINT = "f"
FEED_PARTITIONS = 2
EVENTS = 10


class Broken(AssertionError):
    """A promise of the protocol does not hold."""


class Sent(NamedTuple):
    """One record in a socket: a line, a chunk or an output; and the last step that it tells of."""

    what: Line | Chunk | Output
    step: int


class Socket:
    """What one life of a process has sent and no broker has taken yet, in order by partition."""

    def __init__(self) -> None:
        self.journal: deque[Sent] = deque()
        self.feed: list[deque[Sent]] = [deque() for _ in range(FEED_PARTITIONS)]
        self.outputs: deque[Sent] = deque()
        self._all = (self.journal, *self.feed, self.outputs)
        self.claimed_at: int | None = None
        self.dead = False

    def queues(self) -> list[deque[Sent]]:
        return [queue for queue in self._all if queue]


class Stored(NamedTuple):
    """A file of the store; *checksum* was right when it was written."""

    image: Image
    checksum: int


class Truth:
    """What the journal says, by the words of the protocol page and nothing cleverer."""

    def __init__(self) -> None:
        self.epoch = -1
        self.writer = ""
        self.offsets = [0] * PARTITIONS
        self.batches = Batches()
        self.images: list[Image] = [self.batches.image()]
        self.outputs: dict[tuple[str, int, int], tuple[int, int]] = {}
        self.ends: list[tuple[int, int]] = []
        self.serving: tuple[int, str] | None = None
        self.announced: list[Snapshot] = []

    @property
    def step(self) -> int:
        return self.batches.step

    def apply(self, offset: int, line: Line, events: list[list[int | None]]) -> bool:
        """Take a line in; return whether it is a snapshot that counts."""
        match line:
            case Step() if line.epoch == self.epoch and line.step == self.step + 1 and self._continues(line):
                self._learn(line, events)
            case Claim():
                self.ends.append((offset, self.step))
                self.epoch, self.writer = offset, line.who
            case Release() if line.epoch == self.epoch:
                self.epoch, self.writer = -1, ""
            case Decision() if line.replaces == (self.serving[0] if self.serving else None):
                self.serving = (offset, line.variant)
            case Snapshot() if line.epoch == self.epoch and line.step <= self.step:
                self.announced.append(line)
                return True
        return False

    def end_of(self, epoch: int) -> int | None:
        """The step after which the claim that followed *epoch* went on."""
        return next((step for offset, step in self.ends if offset > epoch), None)

    def _continues(self, line: Step) -> bool:
        offsets = list(self.offsets)
        for part in line.ranges:
            if part.first != offsets[part.partition] or part.next <= part.first:
                return False
            offsets[part.partition] = part.next
        return True

    def _learn(self, line: Step, events: list[list[int | None]]) -> None:
        self.batches.step += 1
        for part in line.ranges:
            records = events[part.partition][part.first : part.next]
            _, outputs = self.batches.learn(part.partition, part.first, records)
            for output in outputs:
                self.outputs[output.key] = (output.content, self.step)
        self.offsets = list(self.batches.offsets)
        self.images.append(self.batches.image())


class World:
    """
    The brokers and the store.

    Attributes:
        events: as they are now; *produced* is as they were sent.
        journal: lines by offset; those below *journal_first* are trimmed.
        feed: chunks by offset; None where one was removed.
    """

    def __init__(self, rules: Rules, dice: Random) -> None:
        self.rules, self.dice = rules, dice
        self.produced = [_events(dice) for _ in range(PARTITIONS)]
        self.events = [list(events) for events in self.produced]
        self.events_first = [0] * PARTITIONS
        self.journal: list[Line] = []
        self.journal_first = 0
        self.feed: list[list[Chunk | None]] = [[] for _ in range(FEED_PARTITIONS)]
        self.outputs: dict[tuple[str, int, int], int] = {}
        self.outputs_taken = 0
        self.store: dict[str, Stored] = {}
        self.lines_of: dict[str, Snapshot] = {}
        self.sockets: list[Socket] = []
        self.truth = Truth()
        self.corrupted = 0
        # Faults that excuse something: a lost record a resync, a lost tail an output that differs.
        self.feed_lost = self.tail_lost = self.rewritten = self.stopped = False
        # Of snapshots: how many pieces of one are taken at a time.
        self.eagerness = 2 + self.pick(7)
        self._set_up()

    def pick(self, count: int) -> int:
        return int(self.dice.random() * count)

    def connect(self) -> Socket:
        self.sockets = [socket for socket in self.sockets if not socket.dead or socket.queues()]
        self.sockets.append(Socket())
        return self.sockets[-1]

    def append(self, line: Line) -> int:
        """Put a line into the journal; return its offset."""
        offset = len(self.journal)
        self.journal.append(line)
        if self.truth.apply(offset, line, self.produced):
            assert isinstance(line, Snapshot)
            self.lines_of[line.name] = line
            self._check_announced(line)
        return offset

    def deliver(self, socket: Socket, queue: deque[Sent]) -> None:
        """Let the broker take the first record of a queue."""
        what, _ = queue.popleft()
        if isinstance(what, Chunk):
            self.feed[what.chunk % FEED_PARTITIONS].append(what)
        elif isinstance(what, Output):
            self._check_output(what)
            self.outputs[what.key] = what.content
            self.outputs_taken += 1
        else:
            offset = self.append(what)
            if isinstance(what, Claim):
                socket.claimed_at = offset

    def deliver_all(self) -> None:
        for socket in self.sockets:
            for queue in socket.queues():
                while queue:
                    self.deliver(socket, queue)

    def cut_off(self, socket: Socket) -> None:
        """The process behind *socket* died: of each partition only the first records still arrive."""
        socket.dead = True
        for queue in socket.queues():
            for _ in range(self.pick(len(queue) + 1)):
                queue.pop()

    def records(self, partition: int, first: int, end: int) -> list[int | None]:
        if first < self.events_first[partition]:
            raise Broken(f"events of partition {partition} from {first} on were trimmed and are needed")
        return self.events[partition][first:end]

    def load(self, name: str, checksum: str) -> Image | None:
        """Return what the store has under *name*, if it is what *checksum* says (where that rule holds)."""
        stored = self.store.get(name)
        if stored is None:
            return None
        if self.rules.a_snapshot_is_verified and hash(stored.image) != stored.checksum:
            return None
        if self.rules.a_name_says_who_wrote_it and str(stored.checksum) != checksum:
            return None
        return stored.image

    # Faults.

    def lose_a_feed_record(self) -> None:
        records = self.feed[self.pick(FEED_PARTITIONS)]
        if records:
            records[self.pick(len(records))] = None
            self.feed_lost = True

    def corrupt_a_snapshot(self) -> None:
        """Damage one of the newest; at most two in a schedule, for three are kept."""
        names = [line.name for line in self.truth.announced[-2:] if line.name in self.store]
        if names and self.corrupted < 2:
            stored = self.store[names[self.pick(len(names))]]
            name = names[self.pick(len(names))]
            stored = self.store[name]
            damaged = stored.image._replace(bias=stored.image.bias ^ 1)
            self.store[name] = stored._replace(image=damaged)
            self.corrupted += 1

    def rewrite_an_event(self) -> None:
        """The topic was recreated: another record under an offset that was learned."""
        partition = self.pick(PARTITIONS)
        at = self.pick(EVENTS)
        event = self.events[partition][at]
        if event is not None and at < self.truth.offsets[partition] and not self.tail_lost:
            self.events[partition][at] = event + 1
            self.rewritten = True

    def lose_the_tail(self) -> bool:
        """An unclean election: the last step and snapshot lines were acknowledged and are gone."""
        keep = len(self.journal)
        while keep > self.journal_first and isinstance(self.journal[keep - 1], Step | Snapshot):
            keep -= 1
        lost = self.pick(min(3, len(self.journal) - keep + 1))
        if (
            self.rewritten
            or lost == 0
            or any(line.as_of > len(self.journal) - lost for line in self.truth.announced)
        ):
            return False
        del self.journal[-lost:]
        self.tail_lost = True
        self.truth = Truth()
        for offset, line in enumerate(self.journal):
            self.truth.apply(offset, line, self.produced)
        return True

    def stray_line(self) -> None:
        """A line of the newest epoch that breaks one rule: its step is not next, or its records are not."""
        truth, partition = self.truth, self.pick(PARTITIONS)
        first = truth.offsets[partition]
        step, shift = ((truth.step + 2, 0), (truth.step, 0), (truth.step + 1, 1), (truth.step + 1, -1))[
            self.pick(4)
        ]
        first += shift
        if 0 <= first < EVENTS:
            self.append(step_line(self, truth.epoch, step, ((partition, first, first + 1),)))

    def repeat_a_line(self) -> None:
        """A producer without idempotence sends its last line again."""
        if isinstance(self.journal[-1], Step):
            self.append(self.journal[-1])

    def _set_up(self) -> None:
        """The first writer has announced its snapshot of step 0, and has stopped or died."""
        image = self.truth.images[0]
        *lines, snapshot, release = first_lines()
        assert isinstance(snapshot, Snapshot)
        self.store[snapshot.name] = Stored(image, hash(image))
        for line in (*lines, snapshot):
            self.append(line)
        if self.dice.random() < 0.5:
            self.append(release)

    def _check_output(self, output: Output) -> None:
        said = self.truth.outputs.get(output.key)
        if not self.tail_lost and (said is None or said[0] != output.content):
            raise Broken(f"{output} left, but the journal says {said}")

    def _check_announced(self, line: Snapshot) -> None:
        stored = self.store.get(line.name)
        if stored is None or hash(stored.image) != stored.checksum:
            return
        if stored.image != self.truth.images[line.step]:
            raise Broken(
                f"{line.name} holds {stored.image}, but step {line.step} is {self.truth.images[line.step]}"
            )
        missing = [
            key
            for key, (_, step) in self.truth.outputs.items()
            if step <= line.step and key not in self.outputs
        ]
        if missing:
            raise Broken(f"{line.name} was announced before {missing} were acknowledged")


@cache
def first_lines() -> tuple[Line, ...]:
    """Return the lines of two variants and of a writer that takes a snapshot of step 0 and stops."""
    offsets, image = dict.fromkeys(range(PARTITIONS), 0), Batches().image()
    state = JournalState()
    lines: list[Line] = [Begin(journal=0)]
    for name in (VARIANT, OTHER):
        lines.append(
            Variant(variant=name, fingerprint=FINGERPRINT, seed=None, topic_id="", events=offsets, why="")
        )
    lines.append(Claim(variant=VARIANT, who="first", step=0))
    for offset, line in enumerate(lines):
        state.apply(offset, line)
    epoch = state.variants[VARIANT].epoch
    snapshot = Snapshot(
        variant=VARIANT,
        epoch=epoch,
        step=0,
        name=f"{epoch}-0-{hash(image)}",
        checksum=str(hash(image)),
        events=offsets,
        feed=dict.fromkeys(range(FEED_PARTITIONS), 0),
        as_of=state.place,
        in_force=state.in_force(),
    )
    return (*lines, snapshot, Release(variant=VARIANT, who="first", epoch=epoch, step=0))


def step_line(world: World, epoch: int, step: int, ranges: tuple[tuple[int, int, int], ...]) -> Step:
    parts = tuple(
        Range(partition, first, end, end - first, checksum(world.events[partition][first:end]))
        for partition, first, end in ranges
    )
    return Step(variant=VARIANT, epoch=epoch, step=step, topic_id="", ranges=parts)


def checksum(events: list[int | None]) -> int:
    return hash(tuple(-1 if event is None else event for event in events))


def _events(dice: Random) -> list[int | None]:
    """Good, bad, removing and repeated events, and holes; the last offset is always a record."""
    events: list[int | None] = []
    for at in range(EVENTS):
        chance = dice.random()
        if chance < 0.15 and at < EVENTS - 1:
            events.append(None)
        elif chance < 0.35 and events and events[-1] is not None:
            events.append(events[-1])
        else:
            events.append(1 + int(dice.random() * 40))
    return events
