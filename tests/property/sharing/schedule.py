"""Random schedules: learners act, requests arrive, servers fail; then calm, and every count must be right."""

from __future__ import annotations

from random import Random

from tests.property.sharing.events import EVENTS, PARTITIONS, truth
from tests.property.sharing.learner import Learner
from tests.property.sharing.predictor import Predictor
from tests.property.sharing.rules import Rules
from tests.property.sharing.world import GROUPS, Broken, World, all_learned

ACTIONS = 150
FAULTS = 14
CALM_ROUNDS = 80


class Schedule:
    """Two learners and a predictor in one world; all that happens is drawn from *seed*."""

    def __init__(self, seed: int, rules: Rules) -> None:
        self.dice = Random(seed)
        self.world = World(rules, self.dice)
        self.learners = [Learner(self.world, "a"), Learner(self.world, "b")]
        self.predictor = Predictor(self.world)
        # A few kinds of fault each time: many of one kind go deeper than one of each.
        self.faults = [self.world.pick(FAULTS) for _ in range(3)]

    def run(self) -> None:
        """Raises Broken."""
        self.rebalance()
        for _ in range(4):
            for learner in self.learners:
                learner.follow()
            self.settle()
        for _ in range(ACTIONS // 3 + self.world.pick(ACTIONS)):
            self.act()
        self.calm()

    def act(self) -> None:
        chance = self.dice.random()
        if chance < 0.48:
            self.learners[chance < 0.24].act()
        elif chance < 0.84:
            self.deliver()
        elif chance < 0.9:
            self.predictor.act()
        elif chance < 0.96:
            self.world.replicate(self.world.pick(GROUPS), 1 + self.world.pick(4))
        else:
            self.fault(self.faults[self.world.pick(len(self.faults))])

    def deliver(self) -> None:
        sockets = [socket for socket in self.world.sockets if socket.queues()]
        if not sockets:
            return
        socket = sockets[self.world.pick(len(sockets))]
        for _ in range(1 + self.world.pick(8)):
            group = self.world.pick(GROUPS + 1)
            if group < GROUPS and socket.requests[group]:
                self.world.deliver(socket, group)
            elif group == GROUPS and socket.kafka:
                self.world.deliver_to_kafka(socket)

    def fault(self, which: int) -> None:
        world, learner = self.world, self.learners[self.world.pick(2)]
        group = world.pick(GROUPS)
        match which:
            case 0:
                learner.kill()
            case 1 | 2:
                learner.frozen = not learner.frozen
            case 3 | 4:
                self.rebalance()
            case 5 | 6 | 7:
                world.fail_over(group, survives=self.dice.random() < 0.5)
            case 8:
                world.fail_over(group, survives=True)
                world.fail_over(group, survives=True)
            case 9:
                world.restart_from_disk(group)
            case 10 if self.dice.random() < 0.5:
                world.restart_empty(group)
            case 11:
                self.resend(group)
            case 12:
                world.lose_a_feed_record()
            case 13 if learner.chore is None and not learner.frozen and self.dice.random() < 0.5:
                learner.take_snapshot(shards=2 + world.pick(3))

    def resend(self, group: int) -> None:
        """A server takes a request, its answer is lost: the client will send the same again."""
        waiting = [socket for socket in self.world.sockets if socket.requests[group] and not socket.dead]
        if waiting:
            self.world.deliver(waiting[self.world.pick(len(waiting))], group, again=True)

    def rebalance(self) -> None:
        names = [learner.name for learner in self.learners]
        self.world.assignment = [names[self.world.pick(2)] for _ in range(PARTITIONS)]

    # Calm.

    def calm(self) -> None:
        """No more faults: everything is learned once, put out once, and served."""
        world = self.world
        for group in world.groups:
            group.zombie = None
        for learner in self.learners:
            learner.frozen = False
        for _ in range(CALM_ROUNDS):
            self.quiet_round()
            if self.learned() and self.world.outputs == self.world.expected_outputs():
                break
        self.check_learned()
        self.check_served()

    def quiet_round(self) -> None:
        for learner in self.learners:
            learner.assigned = {p for p, name in enumerate(self.world.assignment) if name == learner.name}
            learner.follow()
            for owned in [owned for owned in learner.owned.values() if owned.ready]:
                if learner.owned.get(owned.partition) is owned:
                    learner.learn(owned, EVENTS)
            for shard in range(self.world.shards_of[learner.layout]):
                learner.publish(shard)
            if learner.chore is not None:
                learner.chore.act()
        self.settle()

    def settle(self, *only: Learner) -> None:
        """All that was sent arrives, and all answers are heard."""
        for _ in range(12):
            for socket in self.world.sockets:
                for group, queue in enumerate(socket.requests):
                    while queue:
                        self.world.deliver(socket, group)
                while socket.kafka:
                    self.world.deliver_to_kafka(socket)
            for learner in only or self.learners:
                if not learner.frozen:
                    learner.hear(1000)

    def learned(self) -> bool:
        world = self.world
        return all(all_learned(world.master_of(place)) for place in world.places())

    def check_learned(self) -> None:
        world = self.world
        for place in world.places():
            shard = world.master_of(place)
            if shard is None or not all_learned(shard):
                raise Broken(f"{place} is not learned to the end: {shard}")
            world.check("the end", place, shard.rows, shard.fences, shard.blobs)
        if world.outputs != world.expected_outputs():
            raise Broken(f"outputs differ: {world.outputs.items() ^ world.expected_outputs().items()}")
        for partition in range(PARTITIONS):
            home = world.master_of((world.layout, partition % world.shards))
            blob = truth(partition, tuple(world.events[partition]))[0][EVENTS].blob
            if home is None or home.blobs.get(partition, blob._replace(learned=-1)).counts != blob.counts:
                raise Broken(f"partition {partition} counts {home and home.blobs}, it is {blob}")

    def check_served(self) -> None:
        """The predictor, and one that starts only now, serve what the servers hold."""
        for _ in range(3):
            for shard in range(self.world.shards):
                self.learners[0].publish(shard)
            self.settle()
        if not self.serves(self.predictor) or not self.serves(Predictor(self.world)):
            # A lost record, or a snapshot that a replaced master gave: the next snapshot closes the gap.
            self.snapshot_in_calm()
        for predictor in (self.predictor, Predictor(self.world)):
            self.serves(predictor)
            for place in self.world.places():
                held = self.world.master_of(place)
                if held is None or predictor.served(place) != held.rows:
                    raise Broken(f"{place}: {predictor.streams[place]} is served, it is {held}")

    def serves(self, predictor: Predictor) -> bool:
        """Read all there is; return whether nothing is known to be missing."""
        for _ in range(3):
            predictor.read(10_000)
        return not any(stream.stale for stream in predictor.streams.values())

    def snapshot_in_calm(self) -> None:
        learner = self.learners[0]
        known = len(self.world.snapshots)
        for _ in range(20):
            if learner.chore is None:
                learner.take_snapshot()
            self.settle()
            if learner.chore is not None:
                learner.chore.act()
            if len(self.world.snapshots) > known:
                return
        raise Broken("no snapshot in calm")


def run(seed: int, rules: Rules) -> str:
    """Run one schedule; return what broke, or ""."""
    try:
        Schedule(seed, rules).run()
    except Broken as broken:
        return str(broken)
    return ""
