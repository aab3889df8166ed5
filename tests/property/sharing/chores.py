"""What a learner does beside learning, under a lease: snapshots, reshards, an empty shard restored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tests.property.sharing.events import PARTITIONS, Blob
from tests.property.sharing.functions import PAGE, Answer, Close, Place, Request, Restore, Rows, Stage
from tests.property.sharing.reading import Read, Reading
from tests.property.sharing.world import Image, Snapshot, World, split


class Chore(Protocol):
    """Advances by the answers it hears, and where it holds something ready, by *act*."""

    def act(self) -> None:
        """Do what is ready to be done."""


class Worker(Protocol):
    """The learner, as its chore sees it."""

    world: World
    chore: Chore | None

    def ask(self, place: Place, request: Request, answered: Callable[[Answer], None]) -> None:
        """Send a request to a shard."""

    def mend(self, place: Place, answer: Answer) -> None:
        """Do what an answer other than the hoped one asks for."""


class Snapshotting:
    """Reads every shard, then announces; *shards* deals the rows anew, to a new layout."""

    def __init__(self, worker: Worker, shards: int | None) -> None:
        self.worker, self.shards = worker, shards
        world = worker.world
        self.epoch = world.claim("snapshot")
        self.layout, self.feed_from = world.layout, len(world.feed)
        self.reads: dict[int, Read] = {}
        for place in world.places():
            Reading(worker, place, lambda read, s=place[1]: self.read(s, read))  # type: ignore[misc]

    def read(self, shard: int, read: Read | None) -> None:
        if self.worker.chore is not self:
            return
        if read is None:
            self.worker.chore = None
        else:
            self.reads[shard] = read

    def act(self) -> None:
        world = self.worker.world
        if len(self.reads) < world.shards_of[self.layout]:
            return
        self.worker.chore = None
        reads = [self.reads[shard] for shard in sorted(self.reads)]
        images = tuple(Image(*read) for read in reads)
        if self.shards is None:
            world.announce(Snapshot(self.epoch, self.layout, images, self.feed_from))
        elif agree(images) or not world.rules.fences_agree_before_a_reshard:
            dealt = resharded(images, self.shards)
            world.shards_of[self.epoch] = self.shards
            if world.announce(Snapshot(self.epoch, self.epoch, dealt, self.feed_from)):
                for shard in range(len(images)):
                    self.worker.ask((self.layout, shard), Close(), lambda _: None)


class Restoring:
    """Brings one empty shard back from the newest snapshot, under a lease of its own."""

    def __init__(self, worker: Worker, place: Place) -> None:
        self.worker, self.place = worker, place
        world = worker.world
        self.lease = world.claim(f"restore {place}")
        self.image = world.snapshots[-1].images[place[1]]
        rows = sorted(self.image.rows.items())
        self.pages = [dict(rows[at : at + PAGE]) for at in range(0, len(rows), PAGE)] or [{}]
        self.stage()

    def act(self) -> None:
        """Nothing waits for it."""

    def stage(self) -> None:
        page = self.pages.pop(0)
        self.worker.ask(self.place, Stage(self.lease, page), self.staged)

    def staged(self, answer: Answer) -> None:
        if self.pages:
            self.stage()
            return
        image = self.image
        incarnation = self.worker.world.line()
        last = Restore(
            self.lease,
            len(image.rows),
            answer.identity,
            incarnation,
            image.version,
            image.fences,
            image.blobs,
        )
        self.worker.ask(self.place, last, self.restored)

    def restored(self, _: Answer) -> None:
        """However it ended: who still finds the shard empty begins anew."""
        self.worker.chore = None


def agree(images: tuple[Image, ...]) -> bool:
    """Whether each partition's fences are the same on all shards."""
    return all(len({image.fences[p].next for image in images}) == 1 for p in range(PARTITIONS))


def resharded(images: tuple[Image, ...], shards: int) -> tuple[Image, ...]:
    rows: Rows = {}
    blobs: dict[int, Blob] = {}
    for number, image in enumerate(images):
        rows.update(image.rows)
        blobs.update({p: blob for p, blob in image.blobs.items() if p % len(images) == number})
    fences = images[0].fences
    return tuple(
        Image(0, 0, dealt, fences, {p: blob for p, blob in blobs.items() if p % shards == number})
        for number, dealt in enumerate(split(rows, shards))
    )
