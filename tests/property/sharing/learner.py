"""The learner of the model: takes partitions, learns ranges, pushes; publishes, and does chores beside."""

from __future__ import annotations

from collections.abc import Callable

from tests.property.sharing.chores import Chore, Restoring, Snapshotting
from tests.property.sharing.events import EVENTS, PARTITIONS, Blob, Output, learn, window_before
from tests.property.sharing.functions import (
    Adopt,
    Answer,
    Changes,
    Fence,
    Identity,
    Look,
    Place,
    Push,
    Request,
    Rows,
    Take,
)
from tests.property.sharing.reading import Read, Reading
from tests.property.sharing.world import GROUPS, Delta, Sent, World, split

IN_FLIGHT = 2
FINE = {"applied", "duplicate"}


class Batch:
    """One range; pushed once its dead letters are acknowledged."""

    def __init__(self, first: int, end: int, rows: list[Rows], blob: Blob, letters: int) -> None:
        self.first, self.next, self.rows, self.blob = first, end, rows, blob
        self.letters = letters
        self.unanswered: set[int] = set()
        self.pushed = False


class Owned:
    """A partition from the first look at its fences on; any trouble ends it, and it is taken anew."""

    def __init__(self, partition: int, layout: int, shards: int) -> None:
        self.partition, self.layout, self.shards = partition, layout, shards
        self.home = partition % shards
        self.looks: dict[int, int] = {}
        self.fences: dict[int, int] = {}
        self.epoch = 0
        self.ready = False
        self.next = 0
        self.blob = Blob()
        self.began = 0
        self.batches: list[Batch] = []

    @property
    def idle(self) -> bool:
        return self.ready and not self.batches


class Learner:
    """
    One learner process, restarted whenever it dies.

    Attributes:
        owned: partition → what it does with it; it may have lost it long ago.
        published: shard's place → (incarnation, version) up to which it has published.
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
        self.owned: dict[int, Owned] = {}
        self.assigned: set[int] = set()
        self.published: dict[Place, tuple[int, int]] = {}
        self.publishing: set[Place] = set()
        self.chore: Chore | None = None
        self.layout = self.world.layout
        self.adopting: set[tuple[Place, Identity]] = set()
        self.remembered: dict[int, Blob] = {}

    def kill(self) -> None:
        self.world.cut_off(self.socket)
        self.frozen = False
        self.start()

    def ask(self, place: Place, request: Request, answered: Callable[[Answer], None]) -> None:
        self.socket.requests[place[1] % GROUPS].append(Sent(place, request, answered))

    def act(self) -> None:
        """Do one of the things that this process may do now."""
        if self.frozen:
            return
        chance = self.world.dice.random()
        if chance < 0.4 and self.socket.inbox:
            self.hear(1 + self.world.pick(12))
        elif chance < 0.5:
            self.follow()
        elif chance < 0.75:
            self.learn_somewhere()
        elif chance < 0.88:
            self.publish(self.world.pick(self.world.shards_of[self.layout]))
        elif self.chore is None:
            self.take_snapshot()
        else:
            self.chore.act()

    def hear(self, answers: int) -> None:
        for _ in range(min(answers, len(self.socket.inbox))):
            self.socket.inbox.popleft()()

    # Owning.

    def follow(self) -> None:
        """Look at the group and at the journal."""
        world = self.world
        if world.dice.random() < 0.7:
            self.assigned = {p for p in range(PARTITIONS) if world.assignment[p] == self.name}
        if self.layout != world.layout and world.rules.a_learner_follows_the_layout:
            self.layout = world.layout
            self.owned.clear()
            self.publishing.clear()
        for partition in range(PARTITIONS):
            if partition not in self.assigned:
                self.owned.pop(partition, None)
            elif partition not in self.owned:
                self.take(partition)
            elif self.owned[partition].idle and world.rules.an_idle_owner_looks_again:
                self.look_again(self.owned[partition])

    def look_again(self, owned: Owned) -> None:
        """An owner with nothing to push would not hear that a failover took a fence back: it looks."""
        for shard, fence in owned.fences.items():
            expected = Fence(fence, owned.epoch, self.who)
            self.ask(
                (owned.layout, shard),
                Look(),
                lambda answer, s=shard, e=expected: self.looked_again(owned, s, e, answer),  # type: ignore[misc]
            )

    def looked_again(self, owned: Owned, shard: int, expected: Fence, answer: Answer) -> None:
        if not self.trouble(owned, shard, answer, {"fences"}) and answer.fences[owned.partition] != expected:
            del self.owned[owned.partition]

    def take(self, partition: int) -> None:
        """Look at the epochs of all shards, then be the owner on all of them."""
        owned = Owned(partition, self.layout, self.world.shards_of[self.layout])
        self.owned[partition] = owned
        for shard in range(owned.shards):
            self.ask((owned.layout, shard), Look(), lambda answer, s=shard: self.looked(owned, s, answer))  # type: ignore[misc]

    def looked(self, owned: Owned, shard: int, answer: Answer) -> None:
        if self.trouble(owned, shard, answer, {"fences"}):
            return
        owned.looks[shard] = answer.fences[owned.partition].epoch
        if len(owned.looks) < owned.shards:
            return
        owned.epoch = 1 + max(owned.looks.values())
        take = Take(owned.partition, owned.epoch, self.who)
        for each in range(owned.shards):
            self.ask((owned.layout, each), take, lambda answer, s=each: self.taken(owned, s, answer))  # type: ignore[misc]

    def taken(self, owned: Owned, shard: int, answer: Answer) -> None:
        if self.trouble(owned, shard, answer, {"taken"}):
            return
        owned.fences[shard] = answer.fences[owned.partition].next
        if shard == owned.home:
            owned.blob = answer.blobs.get(owned.partition, Blob())
            if not self.world.rules.a_take_brings_the_blob:
                owned.blob = self.remembered.get(owned.partition, owned.blob)
        if len(owned.fences) == owned.shards:
            owned.ready, owned.next = True, min(owned.fences.values())
            owned.began = owned.next
            self.send_pending(owned, owned.blob)

    def trouble(self, owned: Owned, shard: int, answer: Answer, fine: set[str]) -> bool:
        """Return whether an answer ends this ownership, or comes after its end."""
        if self.owned.get(owned.partition) is not owned:
            return True
        if answer.kind in fine:
            return False
        del self.owned[owned.partition]
        self.mend((owned.layout, shard), answer)
        return True

    def mend(self, place: Place, answer: Answer) -> None:
        """Do what a shard's answer asks for before anything else can be done with it."""
        if answer.kind == "moved" and (place, answer.identity) not in self.adopting:
            one = (place, answer.identity)
            self.adopting.add(one)
            adopt = Adopt(answer.identity, self.world.line())
            # It may have come to yet another server.
            self.ask(place, adopt, lambda _: self.adopting.discard(one))
        elif answer.kind == "empty" and place[0] == self.world.layout and self.chore is None:
            self.chore = Restoring(self, place)

    # Learning.

    def learn_somewhere(self) -> None:
        ready = [owned for owned in self.owned.values() if owned.ready]
        if ready:
            self.learn(ready[self.world.pick(len(ready))], self.world.pick(3))

    def learn(self, owned: Owned, more: int) -> None:
        """Learn a batch from where this partition is; it ends at the next distinct fence at the latest."""
        world, first = self.world, owned.next
        if first == EVENTS or len(owned.batches) == IN_FLIGHT:
            return
        fences = [fence for fence in owned.fences.values() if fence > first]
        end = min([first + 1 + more, EVENTS, *(fences if world.rules.a_batch_is_cut_at_every_fence else [])])
        learned = learn(
            owned.partition,
            first,
            world.records(owned.partition, first, end),
            self.window(owned, first),
            owned.blob,
            world.rules.what_was_refused_is_in_no_window,
        )
        counts = owned.fences[owned.home] <= first or not world.rules.only_what_the_home_shard_applies_counts
        if counts:
            owned.blob = learned.blob
        batch = Batch(first, end, split(dict(learned.rows), owned.shards), owned.blob, len(learned.letters))
        owned.next = end
        owned.batches.append(batch)
        if not world.rules.dead_letters_are_acknowledged_before_the_push:
            batch.letters = 0
            self.push_what_may(owned)
        for letter in learned.letters:
            self.socket.kafka.append((letter, lambda: self.acknowledged(owned, batch)))
        self.push_what_may(owned)

    def window(self, owned: Owned, first: int) -> list[int]:
        """Read back what may be repeated; retention spares it as it spares the events."""
        rules, events = self.world.rules, self.world.events[owned.partition][:first]
        if not rules.a_window_is_read_back:
            events = events[owned.began :]
        return window_before(events, len(events), rules.what_was_refused_is_in_no_window)

    def acknowledged(self, owned: Owned, batch: Batch) -> None:
        batch.letters -= 1
        if self.owned.get(owned.partition) is owned:
            self.push_what_may(owned)

    def push_what_may(self, owned: Owned) -> None:
        for batch in owned.batches:
            if batch.letters > 0:
                return
            if not batch.pushed:
                self.push(owned, batch)

    def push(self, owned: Owned, batch: Batch) -> None:
        """One call a shard, rows or none; the home shard's call brings the blob if it is to be applied."""
        batch.pushed = True
        for shard in range(owned.shards):
            rows, home = batch.rows[shard], shard == owned.home
            if not rows and not home and not self.world.rules.a_shard_without_rows_is_pushed_to:
                continue
            ahead = owned.fences[shard] >= batch.next
            brings = home and (not ahead or not self.world.rules.only_what_the_home_shard_applies_counts)
            owned.fences[shard] = max(owned.fences[shard], batch.next)
            blob = batch.blob
            if not self.world.rules.a_closed_evaluation_waits_in_the_blob:
                blob = blob._replace(pending=())
            push = Push(
                owned.partition, owned.epoch, self.who, batch.first, batch.next, rows, home,
                blob if brings else None,
            )  # fmt: skip
            batch.unanswered.add(shard)
            self.ask(
                (owned.layout, shard),
                push,
                lambda answer, s=shard: self.answered(owned, batch, s, answer),  # type: ignore[misc]
            )

    def answered(self, owned: Owned, batch: Batch, shard: int, answer: Answer) -> None:
        if self.trouble(owned, shard, answer, FINE):
            return
        batch.unanswered.discard(shard)
        if shard == owned.home:
            self.remembered[owned.partition] = batch.blob
            self.send_pending(owned, batch.blob)
        if not batch.unanswered and batch in owned.batches:
            owned.batches.remove(batch)

    def send_pending(self, owned: Owned, blob: Blob) -> None:
        for output in blob.pending:
            self.socket.kafka.append((output, lambda o=output: self.evaluated(owned, o)))  # type: ignore[misc]

    def evaluated(self, owned: Owned, output: Output) -> None:
        """What is acknowledged need not wait in the blobs of later batches."""
        left = tuple(pending for pending in owned.blob.pending if pending != output)
        owned.blob = owned.blob._replace(pending=left)

    # Publishing.

    def publish(self, shard: int) -> None:
        """Say what changed in a shard since the last time; in a new incarnation, all of it."""
        place = (self.layout, shard)
        if place in self.publishing:
            return
        self.publishing.add(place)
        if place not in self.published:
            Reading(self, place, lambda read: self.publish_image(place, read))
            return
        since = self.published[place][1]
        self.ask(place, Changes(since), lambda answer: self.changed(place, since, answer))

    def publish_image(self, place: Place, read: Read | None) -> None:
        self.publishing.discard(place)
        if read is not None:
            self.published[place] = (read.incarnation, read.version)
            self.send(Delta(place, read.incarnation, 0, read.version, True, read.rows))

    def changed(self, place: Place, since: int, answer: Answer) -> None:
        self.publishing.discard(place)
        known = self.published.get(place)
        if answer.kind != "changes" or known is None:
            self.published.pop(place, None)
            self.mend(place, answer)
            return
        if answer.incarnation != known[0] and self.world.rules.an_incarnation_begins_with_an_image:
            del self.published[place]
            return
        delta = Delta(place, answer.incarnation, since, answer.version, False, answer.rows)
        if self.world.rules.rows_and_version_come_in_one_call:
            self.send_changes(delta)
        else:
            later = lambda look: self.send_changes(delta._replace(to_version=look.version))  # noqa: E731
            self.ask(place, Look(), later)

    def send_changes(self, delta: Delta) -> None:
        if delta.to_version >= delta.from_version:
            self.published[delta.place] = (delta.incarnation, delta.to_version)
            self.send(delta)

    def send(self, delta: Delta) -> None:
        self.socket.kafka.append((delta, lambda: None))

    # Chores.

    def take_snapshot(self, shards: int | None = None) -> None:
        """Begin a snapshot; with *shards*, one that deals the rows to so many."""
        self.chore = Snapshotting(self, shards)
