"""What the processes of the model share: servers that fail over, journal, feed, sockets; and the truth."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from tests.property.sharing.events import EVENTS, PARTITIONS, Blob, Event, Output, random_events, truth
from tests.property.sharing.functions import (
    EMPTY,
    Answer,
    Data,
    Fence,
    Functions,
    Identity,
    Place,
    Request,
    Rows,
    Shard,
)
from tests.property.sharing.rules import Rules

GROUPS = 2
KEPT = 3


class Broken(AssertionError):
    """A promise of the protocol does not hold."""


class Image(NamedTuple):
    """One shard as a snapshot holds it."""

    incarnation: int
    version: int
    rows: Rows
    fences: tuple[Fence, ...]
    blobs: dict[int, Blob]


class Snapshot(NamedTuple):
    """The journal's line, with what it names. *feed_from*: where a reader of it goes on in the feed."""

    epoch: int
    layout: int
    images: tuple[Image, ...]
    feed_from: int


class Delta(NamedTuple):
    """What the feed says of the shard at *place*: absolute rows, as of *to_version*."""

    place: Place
    incarnation: int
    from_version: int
    to_version: int
    image: bool
    rows: Rows


class Server(NamedTuple):
    """One process; *reign* is new whenever it becomes a master, and survives a restart from its disk."""

    process: int
    reign: int
    data: Data

    @property
    def identity(self) -> Identity:
        return self.process, self.reign


@dataclass(slots=True)
class Group:
    """A master, its replica, and what that has yet to receive; a master that was replaced may live on."""

    master: Server
    replica: Server
    backlog: list[Data] = field(default_factory=list)
    zombie: Server | None = None


class Sent(NamedTuple):
    """A request in a socket. *answered* is called with what the server says, unless its process is gone."""

    place: Place
    request: Request
    answered: Callable[[Answer], None]


@dataclass(slots=True, eq=False)
class Socket:
    """One life's connections: requests by group, and what goes to Kafka; *dead*: the process is gone."""

    requests: list[deque[Sent]]
    kafka: deque[tuple[Output | Delta, Callable[[], None]]]
    inbox: deque[Callable[[], None]]
    dead: bool = False

    def queues(self) -> int:
        return sum(map(bool, self.requests)) + bool(self.kafka)


class World:
    """
    The servers of Redis, the brokers, and Kafka's group.

    Attributes:
        assignment: partition → name of the learner that the group gives it to.
        claims: chore → offset of its newest claim.
    """

    def __init__(self, rules: Rules, dice: Random) -> None:
        self.rules, self.dice = rules, dice
        self.functions = Functions(rules)
        self.events: list[list[Event]] = [random_events(dice) for _ in range(PARTITIONS)]
        self.events_first = [0] * PARTITIONS
        self.processes = 0
        self.groups = [self._group() for _ in range(GROUPS)]
        self.next_offset = 0
        self.claims: dict[str, int] = {}
        self.snapshots: list[Snapshot] = []
        self.feed: list[Delta | None] = []
        self.outputs: dict[tuple[str, int, int], int] = {}
        self.sockets: list[Socket] = []
        self.assignment = [""] * PARTITIONS
        self.shards_of = {0: 2}
        self.feed_lost = False
        image = Image(0, 0, {}, (Fence(),) * PARTITIONS, {})
        self.announce(Snapshot(self.claim("snapshot"), 0, (image, image), 0))

    @property
    def layout(self) -> int:
        return self.snapshots[-1].layout

    @property
    def shards(self) -> int:
        return self.shards_of[self.layout]

    def pick(self, count: int) -> int:
        return int(self.dice.random() * count)

    def places(self) -> list[Place]:
        return [(self.layout, shard) for shard in range(self.shards)]

    def master_of(self, place: Place) -> Shard | None:
        return self.groups[place[1] % GROUPS].master.data.shards.get(place)

    # The journal.

    def claim(self, chore: str) -> int:
        self.claims[chore] = self.line()
        return self.claims[chore]

    def line(self) -> int:
        """Append a line of which only the offset matters; return that."""
        self.next_offset += 1
        return self.next_offset

    def announce(self, snapshot: Snapshot) -> bool:
        """Append the line; return whether it is valid."""
        self.line()
        newest = snapshot.epoch == self.claims["snapshot"] or not self.rules.a_snapshot_has_the_newest_claim
        if not newest:
            return False
        self.shards_of[snapshot.layout] = len(snapshot.images)
        for shard, image in enumerate(snapshot.images):
            self.check(
                f"snapshot of {shard}", (snapshot.layout, shard), image.rows, image.fences, image.blobs
            )
        self.snapshots.append(snapshot)
        self._trim()
        return True

    def records(self, partition: int, first: int, end: int) -> list[Event]:
        if first < self.events_first[partition]:
            raise Broken(f"events of partition {partition} from {first} on were trimmed and are needed")
        return self.events[partition][first:end]

    def _trim(self) -> None:
        """Of the events, keep what the kept snapshots need, and what any server is behind."""
        if len(self.snapshots) < KEPT:
            return
        fences = [image.fences for kept in self.snapshots[-KEPT:] for image in kept.images]
        for group in self.groups:
            for data in (group.master.data, group.replica.data):
                fences += [shard.fences for place, shard in data.shards.items() if place[0] == self.layout]
        self.events_first = [
            max(self.events_first[p], min(row[p].next for row in fences)) for p in range(PARTITIONS)
        ]

    # Sockets.

    def connect(self) -> Socket:
        self.sockets = [socket for socket in self.sockets if not socket.dead or socket.queues()]
        self.sockets.append(Socket([deque() for _ in range(GROUPS)], deque(), deque()))
        return self.sockets[-1]

    def cut_off(self, socket: Socket) -> None:
        """The process behind *socket* died: of each queue only the first requests still arrive."""
        socket.dead = True
        queues: list[deque[Any]] = [*socket.requests, socket.kafka]
        for queue in queues:
            for _ in range(self.pick(len(queue) + 1)):
                queue.pop()

    def deliver(self, socket: Socket, group: int, again: bool = False) -> None:
        """Let a server take a queue's first request; *again*: its answer is lost, the client will resend."""
        queue = socket.requests[group]
        place, request, answered = queue[0] if again else queue.popleft()
        answer = self.execute(group, place, request)
        if not again and not socket.dead:
            socket.inbox.append(lambda: answered(answer))

    def deliver_to_kafka(self, socket: Socket) -> None:
        what, acknowledged = socket.kafka.popleft()
        if isinstance(what, Delta):
            self.feed.append(what)
        else:
            self._check_output(what)
            self.outputs[what.key] = what.content
        if not socket.dead:
            socket.inbox.append(acknowledged)

    def execute(self, number: int, place: Place, request: Request) -> Answer:
        group = self.groups[number]
        if group.zombie is not None and self.dice.random() < 0.3:
            steps, answer = self.functions.call(group.zombie.data, group.zombie.identity, place, request)
            group.zombie = group.zombie._replace(data=steps[-1] if steps else group.zombie.data)
            return answer
        steps, answer = self.functions.call(group.master.data, group.master.identity, place, request)
        if steps:
            group.backlog += steps
            group.master = group.master._replace(data=steps[-1])
            shard = steps[-1].shards.get(place)
            if shard is not None:
                self.check(f"{request}", place, shard.rows, shard.fences, shard.blobs)
        return answer

    def replicate(self, number: int, steps: int) -> None:
        group = self.groups[number]
        for _ in range(min(steps, len(group.backlog))):
            group.replica = group.replica._replace(data=group.backlog.pop(0))

    # Faults of the servers.

    def fail_over(self, number: int, survives: bool) -> None:
        """The replica is promoted with what it has. The old master may live on, and be the new replica."""
        group = self.groups[number]
        promoted = Server(group.replica.process, self._process(), group.replica.data)
        old = group.master.process if survives else self._process()
        group.zombie = group.master if survives else None
        group.master, group.replica, group.backlog = promoted, Server(old, 0, promoted.data), []
        for place, shard in promoted.data.shards.items():
            self.check("promotion", place, shard.rows, shard.fences, shard.blobs)

    def restart_from_disk(self, number: int) -> None:
        """The master comes back with what its disk had: its replica's data, or more; its reign goes on."""
        group = self.groups[number]
        self.replicate(number, self.pick(len(group.backlog) + 1))
        group.master = Server(self._process(), group.master.reign, group.replica.data)
        group.replica, group.backlog = Server(self._process(), 0, group.replica.data), []

    def restart_empty(self, number: int) -> None:
        self.groups[number] = self._group()

    def lose_a_feed_record(self) -> None:
        if self.feed:
            self.feed[self.pick(len(self.feed))] = None
            self.feed_lost = True

    def _group(self) -> Group:
        return Group(Server(self._process(), self._process(), EMPTY), Server(self._process(), 0, EMPTY))

    def _process(self) -> int:
        self.processes += 1
        return self.processes

    # The truth: whatever a server holds is what its own fences say, every occurrence once.

    def check(
        self, what: str, place: Place, rows: Rows, fences: tuple[Fence, ...], blobs: dict[int, Blob]
    ) -> None:
        shards = self.shards_of[place[0]]
        expected: Counter[int] = Counter()
        for partition, fence in enumerate(fences):
            prefix = truth(partition, tuple(self.events[partition]))[0][fence.next]
            expected.update(prefix.rows)
            blob = blobs.get(partition, Blob())
            if partition % shards == place[1] and blob.counts != prefix.blob.counts:
                raise Broken(f"{what}: {place} counts {blob.counts}, at {fence} it is {prefix.blob.counts}")
        said = {key: count for key, count in expected.items() if key % shards == place[1]}
        if said != {key: count for key, count in rows.items() if count}:
            raise Broken(f"{what}: {place} holds {rows}, its fences {fences} say {said}")

    def expected_outputs(self) -> dict[tuple[str, int, int], int]:
        return {
            key: content
            for partition in range(PARTITIONS)
            for key, content in truth(partition, tuple(self.events[partition]))[1].items()
        }

    def _check_output(self, output: Output) -> None:
        if self.expected_outputs().get(output.key) != output.content:
            raise Broken(f"{output} left, there is no such thing")


def all_learned(shard: Shard | None) -> bool:
    return shard is not None and all(fence.next == EVENTS for fence in shard.fences)


def split(rows: Rows, shards: int) -> list[Rows]:
    """Deal rows to shards."""
    return [{key: rows[key] for key in rows if key % shards == shard} for shard in range(shards)]
