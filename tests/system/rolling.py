"""Predictors that are replaced one by one as a Deployment does it, and applications that call meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from random import Random

from stream_ml.errors import StreamMlError
from stream_ml.serving.client import PredictorClient
from tests.clicks import event
from tests.servers.endpoints import Endpoints
from tests.servers.predictor import PredictorProcess
from tests.servers.processes import free_port

NAME = "predictors"
REPLICAS = 2
# Everyone hears of a change within the first, and a pod that goes is only told so after the second.
PROPAGATION_SECONDS = 0.2
PRE_STOP_SECONDS = 0.5
EVENTS_A_CALL = 5
# Between two calls of a thread, on average: the processor is left to those that start.
PAUSE_SECONDS = 0.003


class Deployment:
    """
    Two predictors behind a Service's address and behind a name; replaced with surge 1, unavailable 0.

    Each has an address of its own with the same port, as pods do.
    """

    def __init__(self, folder: Path, bootstrap: str, random: Random) -> None:
        self._folder, self._bootstrap, self._random = folder, bootstrap, random
        self._port, self._addresses = free_port(), (f"127.0.1.{last}" for last in count(1))
        self.pods: list[PredictorProcess] = []
        self.service = Endpoints(random)
        self.address = f"{NAME}:{self._port}"

    def start(self, environment: Mapping[str, str] | None = None) -> Deployment:
        for _ in range(REPLICAS):
            self._add(environment)
        self._publish()
        return self

    def replace(self, environment: Mapping[str, str] | None = None) -> None:
        """Replace the pod that is there for longest by a new one."""
        self._add(environment)
        self._publish()
        old = self.pods.pop(0)
        time.sleep(self._random.uniform(0.0, PROPAGATION_SECONDS))
        self._publish()
        time.sleep(PRE_STOP_SECONDS)
        assert answered(old) > 0, "nobody called it, so its end proves nothing"
        assert old.process.terminate() == 0, old.process.tail()
        assert '"in_time":true' in old.process.output(), "its calls were cut"

    def resolve(self, name: str) -> Sequence[str]:
        """Answer as the cluster's DNS does for a Service without an address."""
        assert name == NAME
        return self._hosts

    def close(self) -> None:
        self.service.close()
        for pod in self.pods:
            pod.process.kill()

    def _add(self, environment: Mapping[str, str] | None = None) -> None:
        pod = PredictorProcess(self._folder, self._bootstrap, next(self._addresses), self._port, environment)
        self.pods.append(pod)
        pod.start()
        pod.wait_until_ready()

    def _publish(self) -> None:
        self._hosts = [pod.host for pod in self.pods]
        self.service.become([(host, self._port) for host in self._hosts])


def answered(pod: PredictorProcess) -> float:
    """Return how many calls it has answered."""
    sample = 'stream_ml_predictor_calls_total{outcome="answered"} '
    lines = pod.get("/metrics")[1].splitlines()
    return sum(float(line.removeprefix(sample)) for line in lines if line.startswith(sample))


class Calls:
    """What the applications saw."""

    def __init__(self) -> None:
        self.answered = 0
        self.slowest_seconds = 0.0
        self.failures: list[str] = []
        self._lock = threading.Lock()

    def count(self, seconds: float) -> None:
        with self._lock:
            self.answered += 1
            self.slowest_seconds = max(self.slowest_seconds, seconds)

    def fail(self, error: Exception) -> None:
        with self._lock:
            self.failures.append(f"{type(error).__name__}: {error}")


@contextmanager
def calling(clients: Sequence[PredictorClient], threads_each: int) -> Iterator[list[Calls]]:
    """Call with each client from several threads all the while; what each client saw."""
    ended, seen = threading.Event(), [Calls() for _ in clients]

    def call(client: PredictorClient, calls: Calls) -> None:
        dice = Random(str(threading.get_ident()))
        while not ended.wait(dice.expovariate(1 / PAUSE_SECONDS)):
            began = time.monotonic()
            try:
                scores = client.score([event(3)] * EVENTS_A_CALL).scores
                assert all(score.prediction is not None for score in scores)
            except (StreamMlError, AssertionError) as error:
                calls.fail(error)
            else:
                calls.count(time.monotonic() - began)

    pairs = list(zip(clients, seen, strict=True)) * threads_each
    threads = [threading.Thread(target=call, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        for client in clients:
            client.close()


def has_called(seen: Sequence[Calls], more: int) -> Callable[[], bool]:
    """Return what tells whether each application has had so many more answers."""
    wanted = [calls.answered + more for calls in seen]
    return lambda: all(calls.answered >= least for calls, least in zip(seen, wanted, strict=True))
