"""A service as an operator has it, in small: two models, servers, callers, and a Prometheus that watches."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from stream_ml.local.stack import _toml as toml
from tests.alerts import FILES, scaled
from tests.servers.kafka import KafkaServer
from tests.servers.processes import Process, answers, free_port, wait_until
from tests.servers.prometheus import PrometheusServer
from tests.servers.proxy import Proxy
from tests.servers.redis import RedisServer
from tests.system.alerts.traffic import MODEL, Caller, Producer

# The model whose rows are in a learner's memory, and the one whose rows are in Redis.
ALONE, SHARED = "clicks", "shared"
# Times that hours pass faster than they do: a minute is a second, `for: 5m` five.
FACTOR = 60
# A snapshot each minute; a damaged one is told of until it is older than those that are kept. The silence is
# longer than a broker is away here.
OURS = {"snapshots_kept": 6, "silence_after_seconds": 24.0}
# Who lost a broker looks for it every half second.
PATIENCE = {"reconnect.backoff.max.ms": "500"}
# What a process is called that replaces one.
_NEXT = "-next"
_SERVICES = {"learner": "learner", "monitor": "drift_monitor", "retrainer": "retrainer"}
KEPT = ("--appendonly", "yes", "--appendfsync", "always")


class Plant:
    """
    Everything runs, and what ends is started again, as by a supervisor, but for what `hold_down` names.

    Attributes:
        processes: by name: learner, shared (the learner with Redis), predictor-1, …
        producers: by model.
    """

    def __init__(
        self, directory: Path, predictors: int = 1, keepers: bool = False, factor: float = FACTOR
    ) -> None:
        self.directory, self.factor, self.keepers = directory, factor, keepers
        self._stack = ExitStack()
        self.processes: dict[str, Process] = {}
        self.ports: dict[str, int] = {}
        self.down: set[str] = set()
        self.restarts: list[str] = []
        self._ended = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)
        self._predictors = predictors

    def start(self) -> Plant:
        self._start_servers()
        self.producers = {
            ALONE: self._producer("events"),
            SHARED: self._producer("shared-events"),
        }
        self._start_services()
        for producer in self.producers.values():
            producer.start()
        for name in self.processes:
            self.wait_ready(name)
        for name in (name for name in self.processes if name.startswith("predictor")):
            wait_until(lambda name=name: self.processes[name].output().count('"serving"') > 1, 60)
        addresses = [f"127.0.0.1:{port}" for name, port in self.ports.items() if name.endswith("thrift")]
        self.caller = Caller(addresses, [ALONE, SHARED])
        self._stack.callback(self.caller.close)
        self.caller.start()
        self._supervisor.start()
        self._start_prometheus()
        return self

    def close(self) -> None:
        self._ended.set()
        if self._supervisor.is_alive():
            self._supervisor.join()
        for process in self.processes.values():
            process.thaw()
            process.kill()
        self._stack.close()

    # -- who runs ----------------------------------------------------------------------------------------

    def hold_down(self, name: str) -> None:
        """SIGKILL, and nobody starts it again until `let_up`."""
        self.down.add(name)
        self.processes[name].kill()

    def let_up(self, name: str) -> None:
        """Start it again."""
        self.down.discard(name)

    def settings(self, name: str) -> Path:
        return self.directory / f"{name}.toml"

    def wait_ready(self, name: str, timeout_seconds: float = 60) -> None:
        process, port = self.processes[name], self.ports[name]
        wait_until(lambda: answers(port), timeout_seconds, process.tail)

    def add(
        self, name: str, service: str, settings: Mapping[str, object], limits: Sequence[str] = ()
    ) -> None:
        """Let a service run from now on, under *limits* of prlimit's; Prometheus is told with `watch`."""
        self.ports[name] = free_port()
        self.settings(name).write_text(toml({**settings, "http_port": self.ports[name]}))
        command = [sys.executable, "-u", "-m", f"services.{service}", "--settings", str(self.settings(name))]
        limited = ["prlimit", *limits, "--", *command] if limits else command
        self.processes[name] = Process(limited, self.directory / f"{name}.log").start()

    def named(self, role: str) -> str:
        """Return the name of the process that has *role* now: learner, monitor, retrainer, predictor-1, …"""
        return next(name for name in self.processes if name.removesuffix(_NEXT) == role)

    def replace(self, role: str, meanwhile: Callable[[], None] = lambda: None, **changed: object) -> None:
        """
        Replace a process by one whose settings are *changed*; the old one ends when the new one is there.

        Args:
            meanwhile: done when both are there.
        """
        old = self.named(role)
        new = role if old != role else role + _NEXT
        self.add(new, _SERVICES[role], {**self.given(old), **changed})
        if role == "learner":
            self.processes[new].wait_for_output("standing by", 60)
        self.wait_ready(new)
        self.watch()
        self.prometheus.wait_until_scraped()
        self._end(old, meanwhile)

    def remove(self, name: str) -> None:
        """End a process for good: Prometheus does not look for it any more."""
        self._end(name)

    def _end(self, name: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        process, instance = self.processes.pop(name), f"127.0.0.1:{self.ports[name]}"
        self.watch()
        # Prometheus takes its time to look at the file with its targets.
        wait_until(lambda: instance not in self._scraped(), 60)
        self.prometheus.wait_until_scraped()
        meanwhile()
        process.terminate()

    def _scraped(self) -> set[str]:
        return {labels["instance"] for labels, _ in self.prometheus.query("up")}

    def given(self, name: str) -> dict[str, object]:
        """Return the settings of a process."""
        return tomllib.loads(self.settings(name).read_text())

    def command(self, *arguments: str) -> None:
        """Run a command of `stream-ml` on the model in memory, as a person does."""
        name, *others = arguments
        settings = str(self.settings(self.named("learner")))
        command = [sys.executable, "-m", "stream_ml", name, settings, *others]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr

    def watch(self) -> None:
        """Let Prometheus scrape what runs now."""
        self.prometheus.follow({name: [f"127.0.0.1:{self.ports[name]}"] for name in self.processes})

    def _supervise(self) -> None:
        while not self._ended.wait(0.1):
            for name, process in list(self.processes.items()):
                if name not in self.down and not process.running:
                    self.restarts.append(name)
                    process.start()

    # -- how it starts -----------------------------------------------------------------------------------

    def _start_servers(self) -> None:
        self.redis = RedisServer(self.directory / "redis", KEPT)
        kafka_port = free_port()
        # Predictors come to the brokers through a proxy that can hold what they ask.
        self.kafka = KafkaServer(self.directory / "kafka", {"group.min.session.timeout.ms": 300}, kafka_port)
        self.proxy = Proxy(self.kafka.proxied_port, kafka_port)
        self._stack.callback(self.proxy.close)
        for server in (self.redis, self.kafka):
            self._stack.callback(server.stop)
            server.start()

    def _producer(self, topic: str) -> Producer:
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap, **PATIENCE}, topic)
        self._stack.callback(producer.close)
        return producer

    def _start_services(self) -> None:
        kafka = {"kafka": {"bootstrap.servers": self.kafka.bootstrap, **PATIENCE}}
        common = {"snapshot_store": str(self.directory / "snapshots"), **kafka}
        few = "max_rows = 60"
        often = {**OURS, "snapshot_interval_seconds": 60 / self.factor}
        self.add("learner", "learner", {**common, **self._model(ALONE, "events", few), **often})
        shared = {"weights": self.redis.url, "redis_shards": 2, "redis_timeout_seconds": 1.0}
        groups = {"session.timeout.ms": "1500", "heartbeat.interval.ms": "300"}
        settings = {**common, **self._model(SHARED, "shared-events"), **often, **shared}
        self.add("shared", "learner", {**settings, "kafka": {**kafka["kafka"], **groups}})
        for number in range(1, self._predictors + 1):
            self.add_predictor(number)
        if self.keepers:
            self._start_keepers(common)

    def add_predictor(self, number: int, limits: Sequence[str] = (), **settings: object) -> None:
        name = f"predictor-{number}"
        self.ports[f"{name}-thrift"] = free_port()
        own = {
            "models": [ALONE, SHARED],
            "snapshot_store": str(self.directory / "snapshots"),
            "thrift_port": self.ports[f"{name}-thrift"],
            "kafka": {"bootstrap.servers": f"127.0.0.1:{self.proxy.port}", **PATIENCE},
        }
        self.add(name, "predictor", {**own, **settings}, limits)

    def _model(self, name: str, topic: str, more: str = "") -> dict[str, object]:
        path = self.directory / f"{name}.model.toml"
        path.write_text(MODEL.format(name=name, more=more))
        return {"model_file": str(path), "events_topic": topic}

    def _start_keepers(self, common: Mapping[str, object]) -> None:
        asked = {"retrain_events": 2_000, "retrain_after_events": 1_000, "cooldown_evaluations": 10}
        self.add("monitor", "drift_monitor", {**common, "model": ALONE, "events_topic": "events", **asked})
        folders = {"reports": str(self.directory / "reports"), "scratch": str(self.directory / "scratch")}
        learners = {"learner_settings": [str(self.settings("learner"))]}
        self.add("retrainer", "retrainer", {**common, **learners, **folders, "look_interval_seconds": 0.5})

    def _start_prometheus(self) -> None:
        folder = self.directory / "rules"
        folder.mkdir()
        for path in FILES:
            (folder / path.name).write_text(scaled(path.read_text(), self.factor))
        self.prometheus = PrometheusServer(self.directory / "prometheus", {}, sorted(folder.iterdir()))
        self._stack.callback(self.prometheus.stop)
        self.prometheus.start()
        self.watch()
        self.prometheus.wait_until_scraped()

    # -- what rings --------------------------------------------------------------------------------------

    def ringing(self) -> set[str]:
        """Return the names of the alerts that fire now."""
        return {alert["labels"]["alertname"] for alert in self.prometheus.alerts()}

    def told(self) -> str:
        """Return what rings and what is about to, for whoever waits in vain."""
        found = [*self.prometheus.alerts(), *self.prometheus.alerts("pending")]
        return "\n".join(f"{alert['state']} {alert['labels']} {alert['value']}" for alert in found)

    def rang_since(self, began_at: float) -> set[str]:
        """Return the names of the alerts that fired at any time since *began_at* (unix seconds)."""
        window = f"{max(1000, round(1000 * (time.time() - began_at)))}ms"
        found = self.prometheus.query(f'max_over_time(ALERTS{{alertstate="firing"}}[{window}])')
        return {labels["alertname"] for labels, _ in found}

    def evaluations_seen(self) -> float:
        """How many evaluations the drift monitor has looked at; NaN until Prometheus knows."""
        return self.prometheus.value(f'stream_ml_drift_monitor_index{{job="{self.named("monitor")}"}}')
