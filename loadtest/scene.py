"""What `loadtest scenarios` plays on: the whole system at work, and generators that call it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from time import sleep
from typing import Any

from loadtest.calls import score_frames
from loadtest.generating import Calls, Generators, Phase
from loadtest.ingest import LEARNED
from loadtest.model import model_file
from loadtest.neighbours import Neighbours
from loadtest.pushing import Tap, pushing
from loadtest.stack import MODEL, Service, Stack
from loadtest.stream import Stream
from tests.servers.processes import wait_until

SERVER_CORE = (1,)
# Everything but the server: broker, learner, producer and generators.
OTHER_CORE = (0,)
ALL_CORES = (0, 1)
GENERATORS, CONNECTIONS_EACH = 2, 4
EVENTS_A_CALL = 50
WAIT_SECONDS = 60.0
# A model's events come a while before anybody calls.
BEGINNING_SECONDS = 2.0
# Calls before and after what happens; and what may happen takes no longer.
SETTLING_SECONDS, LONGEST_SECONDS = 1.0, 150.0
Value = str | int | float | bool | None


@dataclass(slots=True)
class Scene:
    """A model that is learned and served, and who calls it; `learner` changes as scenarios restart it."""

    stack: Stack
    model: str
    topic: str
    learner: Service
    predictor: Service
    port: int
    generators: Generators
    tap: Tap
    learner_cores: Collection[int] = OTHER_CORE
    settings: dict[str, Any] = field(default_factory=dict)

    def calls(self, *phases: Phase) -> Calls:
        """Make calls, and wait for all answers."""
        neighbours = Neighbours(*SERVER_CORE, self.predictor.process.pid)
        made = self.generators.run(self.port, phases)
        # Where learners may have the server's core too, they are no strangers there.
        mixed = bool(set(self.learner_cores) & set(SERVER_CORE))
        return made if mixed else replace(made, neighbours=neighbours.share())

    @contextmanager
    def calling(self, calls_per_second: float) -> Iterator[Future[Calls]]:
        """Make calls at this rate meanwhile; the result is there afterwards."""
        with ThreadPoolExecutor(1) as pool:
            calls = pool.submit(self.calls, Phase(calls_per_second, LONGEST_SECONDS))
            sleep(SETTLING_SECONDS)
            yield calls
            if calls.done():
                calls.result()
                raise RuntimeError("the calls were through before the scenario was: it says nothing")
            sleep(SETTLING_SECONDS)
            self.generators.stop()
            calls.result()

    def start_learner(self, text: str = "") -> Service:
        """Start another learner of the model, of a changed model file where *text* is given."""
        return self.stack.start_learner(self.learner_cores, self.topic, self.model, text, **self.settings)


@contextmanager
def scene(
    stack: Stack,
    generators: Generators,
    stream: Stream,
    events_per_second: float,
    *,
    model: str = MODEL,
    partitions: int = 1,
    learner_cores: Collection[int] = OTHER_CORE,
    text: str = "",
    **settings: Any,
) -> Iterator[Scene]:
    """Let *model* be learned from *stream*, again and again, and served; ended with the ``with`` block."""
    topic, tap = f"{model}-events", Tap(events_per_second)
    stack.create_topic(topic, partitions)
    with ExitStack() as closing:
        learner = stack.start_learner(learner_cores, topic, model, text, **settings)
        closing.enter_context(pushing(OTHER_CORE, stack.kafka.bootstrap, topic, stream.path(), tap))
        wait_until(lambda: learner.metric(LEARNED) > 0, WAIT_SECONDS, learner.process.tail)
        predictor, port = stack.start_predictor(SERVER_CORE, model)
        sleep(BEGINNING_SECONDS)
        others = (generators, tap, learner_cores, settings)
        yield Scene(stack, model, topic, learner, predictor, port, *others)
        for service in (predictor, learner):
            service.process.kill()


@contextmanager
def callers(stream: Stream, seed: int) -> Iterator[Generators]:
    """Start the generators of calls for scores of the stream's events."""
    frames = score_frames(stream.path().read_bytes().splitlines(), EVENTS_A_CALL)
    with Generators(OTHER_CORE, GENERATORS, frames, CONNECTIONS_EACH, seed) as generators:
        yield generators


def changed_model(scene: Scene, number: int) -> str:
    """Return the model's file with another learning rate: a new variant, which begins with all rows."""
    text = model_file(identified=True).replace(f'"{MODEL}"', f'"{scene.model}"')
    return text.replace("alpha = 0.1", f"alpha = 0.1{number}")


def row(name: str, load: float | None, asked: float, calls: Calls) -> dict[str, Value]:
    """Return the line of the table: *load* is the share of the knee that was asked for, if it was steady."""
    p50, p99, p999, most = map(_shown, calls.waited_ms(50, 99, 99.9, 100))
    return {
        "scenario": name,
        "% of the knee": None if load is None else round(100 * load),
        "calls/s": round(asked),
        "calls": len(calls.waited),
        "p50 ms": p50,
        "p99 ms": p99,
        "p99.9 ms": p999,
        "max ms": most,
        "shed": calls.shed,
        "late p99 ms": round(calls.late_ms(99), 3),
        "busy": round(calls.busy, 2),
        "run": f"void: {calls.void}" if calls.void else "valid",
    }


def _shown(milliseconds: float) -> float | str:
    """A call that was shed counts as the slowest there is, and has no latency."""
    return "shed" if milliseconds >= 59_000 else round(milliseconds, 3)


def voids(rows: Sequence[dict[str, Value]]) -> int:
    """Return how many runs are void."""
    return sum(each["run"] != "valid" for each in rows)
