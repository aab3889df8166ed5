"""Random schedules: processes act, records arrive, faults happen; then calm, and all must come right."""

from __future__ import annotations

from random import Random

from stream_ml.weights.lines import Decision
from tests.property.protocol.batches import PARTITIONS
from tests.property.protocol.learner import Learner
from tests.property.protocol.predictor import Predictor
from tests.property.protocol.rules import Rules
from tests.property.protocol.world import EVENTS, FEED_PARTITIONS, OTHER, VARIANT, Broken, Sent, World

ACTIONS = 45
FAULTS = 12
CALM_ROUNDS = 60


class Schedule:
    """Two learners, a predictor and an operator in one world; all that happens is drawn from *seed*."""

    def __init__(self, seed: int, rules: Rules) -> None:
        self.dice = Random(seed)
        self.world = World(rules, self.dice)
        self.learners = [Learner(self.world, "a"), Learner(self.world, "b")]
        self.predictor = Predictor(self.world)
        self.operator = self.world.connect()
        self.operator_saw: int | None = None
        # A few kinds of fault each time: many of one kind go deeper than one of each.
        self.faults = [self.world.pick(FAULTS) for _ in range(3)]

    def run(self) -> None:
        """Raises Broken."""
        for _ in range(ACTIONS // 2 + self.world.pick(ACTIONS)):
            self.act()
            if self.world.stopped:
                return
        self.calm()

    def act(self) -> None:
        chance = self.dice.random()
        if chance < 0.42:
            self.learners[chance < 0.14].act()
        elif chance < 0.72:
            self.deliver()
        elif chance < 0.88:
            self.predictor.act()
        else:
            self.fault(self.faults[self.world.pick(len(self.faults))])

    def deliver(self) -> None:
        sockets = [socket for socket in self.world.sockets if socket.queues()]
        if sockets:
            socket = sockets[self.world.pick(len(sockets))]
            queues = socket.queues()
            queue = queues[self.world.pick(len(queues))]
            for _ in range(1 + self.world.pick(len(queue))):
                self.world.deliver(socket, queue)

    def fault(self, which: int) -> None:
        learner = self.learners[self.world.pick(2)]
        match which:
            case 0 | 1:
                learner.kill()
            case 2 | 3:
                self.freeze_or_wake(learner)
            case 4:
                self.predictor.start()
            case 5:
                self.world.lose_a_feed_record()
            case 6:
                self.world.corrupt_a_snapshot()
            case 7:
                self.world.repeat_a_line()
            case 8:
                self.world.stray_line()
            case 9:
                self.lose_the_tail()
            case 10:
                self.decide()
            case 11 if self.dice.random() < 0.3:
                self.world.rewrite_an_event()

    def freeze_or_wake(self, learner: Learner) -> None:
        """Freeze, a writer with a line in the socket; one that wakes first goes on with what it was doing."""
        learner.frozen = not learner.frozen
        learner.learn_a_batch()
        for _ in range(self.world.pick(6)):
            learner.snapshot()

    def lose_the_tail(self) -> None:
        """An unclean election, of which the predictor has already served what is lost."""
        self.deliver()
        for partition in range(FEED_PARTITIONS):
            self.predictor.read_feed(partition, 5)
        if self.world.lose_the_tail():
            end = len(self.world.journal)
            self.predictor.truncated |= self.predictor.state.next_offset > end
            for learner in self.learners:
                # An acknowledged line of its own that is not at its offset tells a writer.
                learner.truncated |= learner.state.next_offset > end or learner.epoch is not None

    def decide(self) -> None:
        """An operator decides on what was true when they last looked."""
        if self.dice.random() < 0.5:
            serving = self.world.truth.serving
            self.operator_saw = serving[0] if serving else None
        variant = (VARIANT, OTHER)[self.world.pick(2)]
        line = Decision(kind="serve", variant=variant, who="op", why="", replaces=self.operator_saw)
        self.operator.journal.append(Sent(line, 0))

    def calm(self) -> None:
        """No more faults: one writer remains, everything is learned once, and everyone sees it."""
        world = self.world
        world.deliver_all()
        for learner in self.learners:
            learner.frozen, learner.silence = False, 0
            learner.nobody_writes &= not world.truth.writer
        lines = 1 + self.world.pick(3)
        for _ in range(CALM_ROUNDS):
            world.deliver_all()
            for learner in self.learners:
                self.calmly(learner, lines)
            world.deliver_all()
            if world.stopped:
                return
            if self.settled():
                break
        self.check_learned()
        self.check_served()

    def calmly(self, learner: Learner, lines: int) -> None:
        learner.read(lines)
        learner.learn_a_batch(at_most=EVENTS)
        if learner.epoch is not None:
            learner.cut()
            return
        waiting = not learner.claimed
        learner.wait()
        living = {learner.who for learner in self.learners}
        if waiting and learner.claimed and self.world.truth.writer in living:
            raise Broken(f"{learner.who} claims although {self.world.truth.writer} lives and can be heard")

    def settled(self) -> bool:
        """Whether all is learned and its delta sent."""
        done = all(offset == EVENTS for offset in self.world.truth.offsets)
        return done and any(
            learner.epoch == self.world.truth.epoch
            and learner.cut_from == self.world.truth.step
            and not learner.held
            for learner in self.learners
        )

    def check_learned(self) -> None:
        world, truth = self.world, self.world.truth
        if truth.offsets != [EVENTS] * PARTITIONS:
            raise Broken(f"only {truth.offsets} were learned")
        counts = truth.images[-1].counts
        produced = sum(event is not None for events in world.produced for event in events)
        if sum(counts) != produced:
            raise Broken(f"learned, duplicates, dead letters are {counts}, produced were {produced}")
        if world.outputs.keys() != truth.outputs.keys():
            raise Broken(f"outputs differ: {world.outputs.keys() ^ truth.outputs.keys()}")
        counted = len(world.outputs) if world.rules.a_repeat_under_a_key_counts_once else world.outputs_taken
        if counted != len(truth.outputs):
            raise Broken(f"{counted} outputs were counted, there are {len(truth.outputs)}")
        for learner in self.learners:
            if learner.state.next_offset == len(world.journal) and learner.state.serving != self.serving():
                raise Broken(
                    f"{learner.who}: {learner.state.serving} serves, by the journal {self.serving()}"
                )

    def check_served(self) -> None:
        """The predictor, and one that starts only now, serve the last step."""
        world = self.world
        excused = world.feed_lost or world.tail_lost or world.corrupted or self.predictor.rows is None
        if excused and not self.new_snapshot():
            return
        self.check_reaches_the_end(self.predictor)
        self.check_reaches_the_end(Predictor(world))

    def check_reaches_the_end(self, predictor: Predictor) -> None:
        world = self.world
        for _ in range(3):
            predictor.read_journal(len(world.journal))
            for partition in range(FEED_PARTITIONS):
                predictor.read_feed(partition, len(world.feed[partition]))
            if predictor.assembler.position == world.truth.step:
                break
        if predictor.rows is None or predictor.stale:
            raise Broken("the predictor found no snapshot")
        if predictor.assembler.position != world.truth.step:
            raise Broken(f"step {predictor.assembler.position} is served, the last is {world.truth.step}")
        if predictor.state.serving != self.serving():
            raise Broken(f"predictor: {predictor.state.serving} serves, by the journal {self.serving()}")

    def new_snapshot(self) -> bool:
        """See that there is one of the last step; False if it is damaged, and no other can have its name."""
        world = self.world
        writer = next(learner for learner in self.learners if learner.epoch == world.truth.epoch)
        for _ in range(20):
            newest = world.truth.announced[-1] if world.truth.announced else None
            if newest is not None and newest.step == world.truth.step:
                return world.load(newest.name, newest.checksum) is not None
            writer.snapshot()
            writer.read(5)
            writer.cut()
            world.deliver_all()
        raise Broken("no snapshot in calm")

    def serving(self) -> str | None:
        serving = self.world.truth.serving
        return serving[1] if serving else None


def run(seed: int, rules: Rules) -> str:
    """Run one schedule; return what broke, or ""."""
    try:
        Schedule(seed, rules).run()
    except Broken as broken:
        return str(broken)
    return ""
