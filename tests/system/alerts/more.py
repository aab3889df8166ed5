"""The further faults, for a run with full counts."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.servers.processes import wait_until
from tests.system.alerts.faults import Act, Fault, mend_events
from tests.system.alerts.plant import ALONE, Plant
from tests.system.alerts.traffic import RATES

# Of so many evaluations the drift monitor knows what is usual: an earlier change is no part of that any more.
KEPT = 96


def kill(*names: str) -> Act:
    """Return what kills processes for good."""

    def act(plant: Plant) -> None:
        for name in names:
            plant.hold_down(plant.named(name))

    return act


def start(*names: str) -> Act:
    """Return what lets them run again."""

    def act(plant: Plant) -> None:
        for name in names:
            plant.let_up(plant.named(name))

    return act


def freeze_predictor(plant: Plant) -> None:
    plant.processes["predictor-2"].freeze()


def thaw_predictor(plant: Plant) -> None:
    plant.processes["predictor-2"].thaw()


def kill_standby(plant: Plant) -> None:
    plant.add("standby", "learner", plant.given(plant.named("learner")))
    plant.processes["standby"].wait_for_output("standing by", 60)
    plant.watch()
    plant.prometheus.wait_until_scraped()
    plant.hold_down("standby")


def forbid_store(plant: Plant) -> None:
    """A file is where the folder was."""
    folder = plant.directory / "snapshots" / ALONE
    folder.rename(folder.with_suffix(".away"))
    folder.touch()


def allow_store(plant: Plant) -> None:
    folder = plant.directory / "snapshots" / ALONE
    folder.unlink()
    folder.with_suffix(".away").rename(folder)


def seldom_snapshots(plant: Plant) -> None:
    plant.replace("learner", snapshot_interval_seconds=3600.0)


def usual_snapshots(plant: Plant) -> None:
    plant.replace("learner", snapshot_interval_seconds=60 / plant.factor)


def push_nothing(plant: Plant) -> None:
    plant.producers[ALONE].paused = True


def flood_of_positives(plant: Plant) -> None:
    plant.producers[ALONE].rates = dict.fromkeys(RATES, 1.0)


def resume(plant: Plant) -> None:
    """Give up the broken labels."""
    mend_events(plant)
    end = plant.producers[ALONE].log.bounds("events", 0).next
    plant.command("resume", "--skip-to", f"0:{end}")


def stop_learning(plant: Plant) -> None:
    plant.command("stop", "--why", "a look")


def learn_backlog(plant: Plant) -> None:
    plant.command("resume", "--learn-backlog")


def many_pages(plant: Plant) -> None:
    plant.producers[ALONE].pages = 5_000


def tell_less(plant: Plant) -> None:
    """The application says that it served less than it did."""
    plant.producers[ALONE].served = lambda rate: 0.78 * rate


class Clients:
    """Connections that stay open and ask nothing."""

    def __init__(self) -> None:
        self._open: list[socket.socket] = []
        self._ended = threading.Event()
        self._insisting: threading.Thread | None = None

    def insist(self, plant: Plant) -> None:
        """Connect again and again, until `close`."""
        self._insisting = threading.Thread(target=self._insist, args=(plant,))
        self._insisting.start()

    def _insist(self, plant: Plant) -> None:
        while not self._ended.wait(0.2):
            self.connect(plant, 2)

    def connect(self, plant: Plant, count: int) -> None:
        port = plant.ports["predictor-3-thrift"]
        for _ in range(count):
            with suppress(OSError):
                self._open.append(socket.create_connection(("127.0.0.1", port), 5))

    def close(self) -> None:
        if self._insisting is not None:
            self._ended.set()
            self._insisting.join()
            self._ended.clear()
            self._insisting = None
        for client in self._open:
            client.close()
        self._open.clear()


CLIENTS = Clients()


def _third_predictor(plant: Plant, limits: tuple[str, ...] = (), **settings: object) -> None:
    plant.add_predictor(3, limits, **settings)
    plant.processes["predictor-3"].wait_for_output('"serving"', 60)
    plant.watch()
    plant.prometheus.wait_until_scraped()


def use_descriptors(plant: Plant) -> None:
    """A process may have 120 descriptors, and clients take most of them."""
    _third_predictor(plant, ("--nofile=120:120",))
    name = plant.ports["predictor-3"]
    used = plant.prometheus.value(f'process_open_fds{{instance="127.0.0.1:{name}"}}')
    CLIENTS.connect(plant, 104 - int(used))


def use_connections(plant: Plant) -> None:
    _third_predictor(plant, max_connections=20)
    CLIENTS.connect(plant, 18)


def want_more(plant: Plant) -> None:
    """All connections are taken, and further clients come all the while."""
    _third_predictor(plant, max_connections=20)
    CLIENTS.connect(plant, 25)
    CLIENTS.insist(plant)


def remove_third(plant: Plant) -> None:
    CLIENTS.close()
    plant.remove("predictor-3")


def change_taste(plant: Plant) -> None:
    """Labels follow other users than before, or the same again; the application serves what was so before."""
    producer = plant.producers[ALONE]
    producer.believe()
    wait_until(lambda: plant.evaluations_seen() >= 0, 60)
    enough = plant.evaluations_seen() + KEPT
    wait_until(lambda: plant.evaluations_seen() >= enough, 5 * KEPT)
    other = {"u0": RATES["u2"], "u1": RATES["u1"], "u2": RATES["u0"]}
    producer.rates = other if producer.rates is RATES else RATES


def serve_what_is_learned(plant: Plant) -> None:
    """Scores are of the learned labels again."""
    plant.producers[ALONE].believe()


def change_taste_unanswered(plant: Plant) -> None:
    """The monitor asks for no retraining."""
    plant.replace("monitor", retrain_events=0)
    change_taste(plant)


def ask_by_hand(plant: Plant) -> None:
    plant.command("jobs", "--ask", "2000", "--why", "nobody else does")


def answer_by_hand(plant: Plant) -> None:
    serve_what_is_learned(plant)
    ask_by_hand(plant)


def break_reports(plant: Plant) -> None:
    """A file is where the folder of reports is to be."""
    folder = plant.directory / "reports"
    if folder.exists():
        folder.rename(folder.with_suffix(".away"))
    folder.touch()
    ask_by_hand(plant)


def mend_reports(plant: Plant) -> None:
    (plant.directory / "reports").unlink()


# What changes the figures of the evaluations is a drift, too: an information.
DRIFT = frozenset({"DriftFound"})
PROCESSES = [
    Fault("the learner of a model is killed", "ServiceMissing", kill("learner"), start("learner"), 7),
    Fault("the drift monitor is killed", "ServiceMissing", kill("monitor"), start("monitor"), 3),
    Fault("the retrainer is killed", "ServiceMissing", kill("retrainer"), start("retrainer"), 3),
    Fault(
        "all predictors are killed",
        "ServiceMissing",
        kill("predictor-1", "predictor-2"),
        start("predictor-1", "predictor-2"),
        3,
    ),
    Fault("one of two predictors is killed", "TargetDown", kill("predictor-2"), start("predictor-2"), 3),
    Fault("a predictor is frozen", "TargetDown", freeze_predictor, thaw_predictor, 3),
    Fault("the standby is killed", "TargetDown", kill_standby, lambda plant: plant.remove("standby"), 3),
]
SNAPSHOTS = [
    Fault("the snapshot store refuses", "SnapshotFails", forbid_store, allow_store, 22),
    Fault("snapshots are taken once an hour", "SnapshotOld", seldom_snapshots, usual_snapshots, 3),
]
EVENTS = [
    Fault("nobody pushes events", "LearnerSilence", push_nothing, mend_events, 5),
    Fault("new features come and the table is full", "LearnerTableFull", many_pages, mend_events, 3),
    Fault("a person stops learning", "LearnerStopped", stop_learning, learn_backlog, 3),
    Fault("every label is positive", "LearnerBreakerOpen", flood_of_positives, resume, 8, DRIFT),
    Fault("what was served comes back too low", "CalibrationOff", tell_less, mend_events, 5, DRIFT),
]
CLIENTS_OF_PREDICTORS = [
    Fault("file descriptors run out", "FileDescriptorsRunOut", use_descriptors, remove_third, 3),
    Fault("clients keep connections open", "PredictorConnectionsNearLimit", use_connections, remove_third, 3),
    Fault(
        "clients want too many connections",
        "PredictorTurnsClientsAway",
        want_more,
        remove_third,
        0,
    ),
]
RETRAINING = [
    Fault(
        "drift, and nobody retrains",
        "DriftWithoutRetrain",
        change_taste_unanswered,
        answer_by_hand,
        3,
        DRIFT,
    ),
    Fault("labels follow something else", "DriftFound", change_taste, serve_what_is_learned, 3),
    Fault("reports cannot be written", "RetrainFails", break_reports, mend_reports, 3),
]
MORE = {
    "processes": PROCESSES,
    "snapshots": SNAPSHOTS,
    "events": EVENTS,
    "clients": CLIENTS_OF_PREDICTORS,
    "retraining": RETRAINING,
}
