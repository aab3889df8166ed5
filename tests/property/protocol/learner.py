"""The learner of the model: standby, writer, zombie."""

from __future__ import annotations

from typing import NamedTuple

from stream_ml.weights.feed import Chunk, Interval
from stream_ml.weights.line_bytes import line_checksum
from stream_ml.weights.lines import Claim, Line, Release, Snapshot, Step
from stream_ml.weights.state import JournalState
from stream_ml.weights.verdicts import REPEAT, Validity, Verdict
from tests.property.protocol.batches import KEYS, PARTITIONS, Batches, Image, Output
from tests.property.protocol.broken import journal_state
from tests.property.protocol.world import (
    EVENTS,
    FEED_PARTITIONS,
    FINGERPRINT,
    VARIANT,
    Broken,
    Sent,
    Stored,
    World,
    checksum,
    step_line,
)

IN_FLIGHT = 2
TAKEOVER_POLLS = 3
KEEP = 3


class Learned(NamedTuple):
    """What a step did."""

    step: int
    touched: set[int]
    outputs: list[Output]


class Fuzzy:
    """A snapshot that is being taken while learning goes on."""

    def __init__(self, state: JournalState) -> None:
        self.as_of, self.in_force = state.place, state.in_force()
        self.rows: dict[int, int] = {}
        self.next_key = 0
        self.touched: set[int] = set()
        self.line: Snapshot | None = None


class Recovered(NamedTuple):
    """
    What a life begins with.

    Attributes:
        state: of the journal, to read on from.
        image: None is an empty table.
        nobody_writes: by the end of the journal.
    """

    state: JournalState
    image: Image | None
    nobody_writes: bool


def recovered(world: World) -> Recovered:
    """Return the newest announced snapshot that verifies, or the beginning."""
    state = opened(world)
    known = list(reversed(state.variants[VARIANT].snapshots))
    free = state.variants[VARIANT].writer is None
    if not world.rules.what_is_not_announced_does_not_exist:
        stored = sorted(world.store.values(), key=lambda stored: -stored.image.step)
        if stored and (not known or stored[0].image.step > known[0].step):
            return Recovered(state, stored[0].image, free)
    for announced in known:
        image = world.load(announced.name, announced.checksum)
        if image is not None:
            return Recovered(journal_state(world.rules, world.lines_of[announced.name]), image, free)
    if world.journal_first or any(world.events_first):
        raise Broken("no snapshot verifies, and what came before was trimmed")
    return Recovered(journal_state(world.rules), None, free)


def opened(world: World) -> JournalState:
    """Return the state at the end of the journal, read from the newest snapshot line on."""
    state = at_newest_snapshot(world)
    for offset in range(state.next_offset, len(world.journal)):
        state.apply(offset, world.journal[offset])
    return state


def at_newest_snapshot(world: World) -> JournalState:
    """Return the state after the newest snapshot line that is valid by its own statement; else the first."""
    for offset in range(len(world.journal) - 1, world.journal_first - 1, -1):
        line = world.journal[offset]
        if isinstance(line, Snapshot) and world.journal_first <= line.as_of <= offset:
            if line_checksum(world.journal[line.as_of - 1]) != line.in_force.last_line:
                continue
            state = journal_state(world.rules, line)
            for at in range(line.as_of, offset):
                state.apply(at, world.journal[at])
            if state.apply(offset, line).validity is not Validity.VOID:
                return state
    return journal_state(world.rules)


class Learner:
    """
    One learner process, restarted whenever it dies or stops.

    Attributes:
        epoch: of its claim, once it has read that; it is the writer until it reads a higher one.
        validated: the last step whose line it has read.
        base: step of the newest snapshot; what came since is sent again after a claim.
    """

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        self.lives = 0
        self.frozen = False
        self.start()

    def start(self) -> None:
        self.lives += 1
        self.who = f"{self.name}{self.lives}"
        self.socket = self.world.connect()
        self.state, image, self.nobody_writes = recovered(self.world)
        self.batches = Batches() if image is None else Batches.of(image)
        self.base = self.validated = self.batches.step
        self.log: list[Learned] = []
        self.sent_lines: dict[int, Step] = {}
        self.sent_step = self.cut_from = self.validated
        self.held: tuple[int, list[Chunk]] | None = None
        self.fuzzy: Fuzzy | None = None
        self.epoch: int | None = None
        self.claimed = self.truncated = False
        self.silence = 0
        self.beaten = -1
        self.feed_next = [len(records) for records in self.world.feed]

    def kill(self) -> None:
        self.world.cut_off(self.socket)
        self.frozen = False
        self.start()

    def act(self) -> None:
        """Do one of the things that this process may do now."""
        if self.frozen or self.world.stopped:
            return
        chance = self.world.dice.random()
        if chance < 0.4:
            self.read(1 + self.world.pick(4))
        elif self.epoch is None:
            self.wait()
        elif chance < 0.62:
            self.learn_a_batch()
        elif chance < 0.8:
            self.cut(image=chance > 0.76)
        elif chance < 0.98:
            for _ in range(1 + self.world.pick(self.world.eagerness)):
                self.snapshot()
        else:
            self.release()

    # Following the journal.

    def read(self, lines: int) -> None:
        """Read up to *lines* lines."""
        world = self.world
        if self.truncated or self.state.next_offset < world.journal_first:
            if self.truncated or world.rules.who_reads_behind_the_trimmed_starts_again:
                self.kill()
                return
            self.state.next_offset = world.journal_first
        life = self.lives
        for _ in range(lines):
            offset = self.state.next_offset
            if offset >= len(world.journal) or self.lives != life or world.stopped:
                return
            line = world.journal[offset]
            self.take(offset, line, self.state.apply(offset, line))

    def take(self, offset: int, line: Line, verdict: Verdict) -> None:
        if isinstance(line, Step):
            self.take_step(line, verdict)
        elif isinstance(line, Claim) and verdict.valid:
            self.take_claim(offset, line)
        elif isinstance(line, Snapshot) and verdict.valid:
            self.base = max(self.base, line.step)
            if line.epoch == self.epoch:
                self.retain()

    def take_step(self, line: Step, verdict: Verdict) -> None:
        again = verdict is REPEAT and not self.world.rules.an_identical_repeat_is_ignored
        if not verdict.valid and not again:
            mine = line.epoch == self.epoch and line == self.sent_lines.get(self.validated + 1)
            if mine and verdict is not REPEAT:
                raise Broken(f"{self.who}: my line is void without a higher claim: {verdict.reason}")
        elif self.epoch is not None and line.step <= self.batches.step and not again:
            self.validated = max(self.validated, line.step)
            self.let_leave()
        elif line.step > self.batches.step or again:
            self.replay(line)

    def take_claim(self, offset: int, line: Claim) -> None:
        self.silence, self.beaten = 0, -1
        if line.who == self.who:
            lost = self.state.variants[VARIANT].step < self.batches.step
            if lost and self.world.rules.a_new_writer_has_no_steps_that_the_journal_lost:
                self.kill()
                return
            self.begin_writing(offset)
        elif self.epoch is not None:
            if self.world.rules.a_higher_claim_throws_the_memory_away:
                self.kill()
            else:
                self.epoch, self.claimed = None, False
                self.validated = self.batches.step

    def replay(self, line: Step) -> None:
        """Learn what another writer, or an earlier life, has learned."""
        for part in line.ranges:
            records = self.world.records(part.partition, part.first, part.next)
            if self.world.rules.a_replay_checks_the_bytes and checksum(records) != part.checksum:
                self.world.stopped = True
                return
        self.learn(line)
        self.validated = self.batches.step
        self.check()

    def learn(self, line: Step) -> None:
        self.batches.step += 1
        touched: set[int] = set()
        outputs: list[Output] = []
        for part in line.ranges:
            records = self.world.records(part.partition, part.first, part.next)
            keys, put_out = self.batches.learn(part.partition, part.first, records)
            touched |= keys
            outputs += put_out
        self.log.append(Learned(self.batches.step, touched, outputs))
        if self.fuzzy is not None:
            self.fuzzy.touched |= touched

    # Becoming the writer.

    def wait(self) -> None:
        """As a standby: look for heartbeats, and claim when it is time."""
        if self.claimed:
            if self.socket.claimed_at is not None:
                self.beat(self.socket.claimed_at)
            return
        if self.nobody_writes:
            self.claim()
            return
        if self.state.next_offset < len(self.world.journal):
            return
        newest = self.state.variants[VARIANT]
        if newest.writer is not None and self.world.rules.a_claim_waits_for_silence:
            self.silence = 0 if self.heard(newest.epoch) else self.silence + 1
            if self.silence < TAKEOVER_POLLS:
                return
        self.claim()

    def claim(self) -> None:
        self.claimed = True
        self.socket.journal.append(Sent(Claim(variant=VARIANT, who=self.who, step=self.batches.step), 0))
        if not self.world.rules.a_new_writer_reads_the_journal_up_to_its_claim:
            self.begin_writing(len(self.world.journal))

    def heard(self, epoch: int) -> bool:
        """Read the feed to its end; was there anything of *epoch*?"""
        found = False
        for partition, records in enumerate(self.world.feed):
            fresh = records[self.feed_next[partition] :]
            found = found or any(chunk is not None and chunk.interval.epoch == epoch for chunk in fresh)
            self.feed_next[partition] = len(records)
        return found

    def begin_writing(self, epoch: int) -> None:
        rules = self.world.rules
        self.epoch, self.validated = epoch, self.batches.step
        first = self.base if rules.the_first_delta_begins_at_the_snapshot else self.validated
        self.cut_from = min(first, self.validated)
        self.sent_step = self.base if rules.a_new_writer_sends_the_outputs_again else self.validated
        self.let_leave()

    def release(self) -> None:
        """Stop cleanly: nothing is in flight but what the brokers still have to take."""
        if self.epoch is not None and self.validated == self.batches.step and not self.socket.outputs:
            line = Release(variant=VARIANT, who=self.who, epoch=self.epoch, step=self.validated)
            self.socket.journal.append(Sent(line, self.validated))
            self.socket.dead = True
            self.start()

    # Writing.

    def learn_a_batch(self, at_most: int = 3) -> None:
        """Append a line and learn it, before the line is read back."""
        if self.epoch is None or self.batches.step - self.validated >= IN_FLIGHT:
            return
        ranges = [chosen for partition in range(PARTITIONS) if (chosen := self.polled(partition, at_most))]
        if ranges:
            self.learn_ranges(*ranges)

    def learn_ranges(self, *ranges: tuple[int, int, int]) -> None:
        assert self.epoch is not None
        line = step_line(self.world, self.epoch, self.batches.step + 1, ranges)
        self.sent_lines[line.step] = line
        self.socket.journal.append(Sent(line, line.step))
        self.learn(line)
        self.let_leave()

    def polled(self, partition: int, at_most: int) -> tuple[int, int, int] | None:
        first = self.batches.offsets[partition]
        end = min(EVENTS, first + self.world.pick(at_most + 1))
        events = self.world.events[partition]
        while end < EVENTS and end > first and events[end - 1] is None:
            end += 1
        if not self.world.rules.a_range_spans_holes:
            while first < end and events[first] is None:
                first += 1
        return (partition, first, end) if end > first else None

    def let_leave(self) -> None:
        """Send the outputs and the delta of steps that are known to be valid."""
        known = self.validated
        if not self.world.rules.nothing_leaves_before_its_line_is_read_back:
            known = self.batches.step
        for step, _, outputs in self.log:
            if self.sent_step < step <= known:
                self.socket.outputs.extend(Sent(output, step) for output in outputs)
        self.sent_step = max(self.sent_step, known)
        if self.held is not None and self.held[0] <= known:
            self.send(self.held[1])
            self.held = None
        if self.batches.step == self.validated:
            self.check()

    def beat(self, epoch: int) -> None:
        """Say that a writer lives, though it has nothing yet to send: it replays, or waits for its line."""
        if self.world.rules.a_writer_beats_from_its_claim_on:
            self.send(self.chunks(self.interval(epoch, self.base, self.base), set()))

    def cut(self, image: bool = False) -> None:
        """Make a delta of all that was learned; it leaves when its last line was read back."""
        rules = self.world.rules
        if self.epoch is None:
            return
        if self.held is not None:
            self.beat(self.epoch)
            return
        to = self.batches.step if rules.rows_are_as_of_the_end_of_the_interval else self.validated
        if to == self.cut_from and not rules.an_empty_interval_is_sent_too:
            return
        interval = self.interval(self.epoch, self.cut_from, to, image)
        touched = {key for step, keys, _ in self.log if step > self.cut_from for key in keys}
        if image:
            touched = set(self.batches.rows)
        self.held = (to, self.chunks(interval, touched))
        self.cut_from = to
        self.let_leave()

    def interval(self, epoch: int, first: int, last: int, image: bool = False) -> Interval:
        return Interval(
            variant=VARIANT,
            fingerprint=FINGERPRINT,
            epoch=epoch,
            from_step=first,
            to_step=last,
            learned_at=0.0,
            image=image,
        )

    def chunks(self, interval: Interval, touched: set[int]) -> list[Chunk]:
        rules, rows = self.world.rules, self.batches.rows
        changed = [(key, rows[key]) for key in touched if key in rows]
        removed = bytes(key for key in touched if key not in rows) if rules.removed_rows_are_sent else b""
        bias = self.batches.bias.to_bytes(2) if rules.what_is_no_row_travels_too else b""
        of = FEED_PARTITIONS + (len(changed) > FEED_PARTITIONS)
        if not rules.every_partition_gets_every_delta and len(changed) < FEED_PARTITIONS:
            of = 1
        return [
            Chunk(
                interval,
                at,
                of,
                b"" if at else bias,
                b"".join(bytes((key, value >> 8, value & 255)) for key, value in changed[at::of]),
                b"" if at else removed,
            )
            for at in range(of)
        ]

    def send(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            self.socket.feed[chunk.chunk % FEED_PARTITIONS].append(Sent(chunk, chunk.interval.to_step))

    # Snapshots.

    def snapshot(self) -> None:
        """Go one piece further with a snapshot: begin, take rows, seal, announce."""
        if self.epoch is None:
            return
        if self.fuzzy is None:
            self.fuzzy = Fuzzy(self.state)
        elif self.fuzzy.line is not None:
            self.announce(self.fuzzy.line)
        elif self.fuzzy.next_key < KEYS:
            self.take_rows(self.fuzzy)
        else:
            self.fuzzy.line = self.seal(self.fuzzy)
            if self.fuzzy.line is None:
                self.fuzzy = None

    def take_rows(self, fuzzy: Fuzzy) -> None:
        for key in range(fuzzy.next_key, fuzzy.next_key + 2):
            if key in self.batches.rows:
                fuzzy.rows[key] = self.batches.rows[key]
        fuzzy.next_key += 2

    def seal(self, fuzzy: Fuzzy) -> Snapshot | None:
        """Complete the image as of now and store it; the store may show it earlier than the page asks."""
        assert self.epoch is not None
        image = self.batches.image()._replace(rows=tuple(sorted(self.completed(fuzzy).items())))
        if not self.world.rules.state_is_more_than_rows:
            image = image._replace(windows=((),) * PARTITIONS, evaluation=0)
        content = hash(image)
        name = (
            f"{self.epoch}-{image.step}-{content}"
            if self.world.rules.a_name_says_who_wrote_it
            else f"{image.step}"
        )
        if name in self.world.store and self.world.rules.a_name_says_who_wrote_it:
            return None
        self.world.store[name] = Stored(image, content)
        return Snapshot(
            variant=VARIANT,
            epoch=self.epoch,
            step=image.step,
            name=name,
            checksum=str(content),
            events=dict(enumerate(image.offsets)),
            feed={partition: len(records) for partition, records in enumerate(self.world.feed)},
            as_of=fuzzy.as_of,
            in_force=fuzzy.in_force,
        )

    def completed(self, fuzzy: Fuzzy) -> dict[int, int]:
        rules, rows = self.world.rules, dict(fuzzy.rows)
        for key in fuzzy.touched:
            if key in self.batches.rows and rules.an_image_is_completed_by_what_changed:
                rows[key] = self.batches.rows[key]
            if key not in self.batches.rows and rules.an_image_is_completed_by_what_was_removed:
                rows.pop(key, None)
        return rows

    def announce(self, line: Snapshot) -> None:
        acknowledged = all(sent.step > line.step for sent in self.socket.outputs)
        if not self.world.rules.outputs_are_acknowledged_before_the_announcement:
            acknowledged = True
        if self.validated < line.step or not acknowledged:
            return
        if not self.world.rules.the_feed_offset_is_before_the_next_delta:
            ends = {partition: len(records) for partition, records in enumerate(self.world.feed)}
            line = Snapshot(**{field: getattr(line, field) for field in line.__slots__} | {"feed": ends})
        self.socket.journal.append(Sent(line, line.step))
        self.fuzzy = None

    def retain(self) -> None:
        """Keep the newest three that verify; forget what none of them needs."""
        world, rules = self.world, self.world.rules
        announced = {line.name: line for line in world.truth.announced}
        known = [line for line in announced.values() if line.name in world.store]
        good = [line for line in known if world.load(line.name, line.checksum) is not None]
        keep = KEEP if rules.three_are_kept else 1
        if len(good) < keep:
            return
        oldest = good[-keep]
        for line in known:
            if line.step < oldest.step:
                del world.store[line.name]
        needed = oldest if rules.trimming_spares_the_oldest_kept else good[-1]
        world.events_first = [max(world.events_first[at], needed.events[at]) for at in range(PARTITIONS)]
        world.journal_first = max(world.journal_first, needed.as_of)

    def check(self) -> None:
        """The state as of a valid step is what the journal says."""
        truth = self.world.truth
        if self.world.tail_lost and (self.truncated or self.validated > truth.step):
            return
        if self.validated > truth.step or self.batches.image() != truth.images[self.validated]:
            raise Broken(f"{self.who}: at step {self.validated} another state than the journal's")
