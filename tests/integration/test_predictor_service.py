"""The predictor as a process of its own, beside a writer that does what the test says."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from stream_ml.runtime import lifecycle
from stream_ml.serving.client import PredictorClient
from stream_ml.serving.results import NoModelYet, PredictorUnavailable
from stream_ml.streams.embedded import EmbeddedBroker
from tests.clicks import event
from tests.scripted import NAME, ScriptedWriter
from tests.servers.predictor import PredictorProcess
from tests.servers.processes import Process, wait_until

EVENT = event(3)


@pytest.fixture
def writer(tmp_path: Path, embedded_broker: EmbeddedBroker) -> Iterator[ScriptedWriter]:
    with closing(embedded_broker.log()) as log, closing(ScriptedWriter(tmp_path, log=log)) as writer:
        yield writer


@pytest.fixture
def service(tmp_path: Path, embedded_broker: EmbeddedBroker) -> Iterator[PredictorProcess]:
    service = PredictorProcess(tmp_path, embedded_broker.bootstrap)
    yield service
    service.process.kill()


def begun(writer: ScriptedWriter) -> ScriptedWriter:
    writer.begin()
    writer.decide()
    writer.learn()
    writer.publish()
    writer.snapshot()
    return writer


def test_a_predictor_waits_for_its_model_then_serves_it_and_follows_the_feed(
    writer: ScriptedWriter, service: PredictorProcess
) -> None:
    service.start()
    assert service.get("/livez") == (200, "ok\n")
    assert service.get("/readyz") == (503, "no model yet: clicks\n")
    with PredictorClient([service.address], timeout_seconds=0.2) as impatient, pytest.raises(NoModelYet):
        impatient.score([EVENT])
    begun(writer)
    service.wait_until_ready()
    with PredictorClient([service.address], timeout_seconds=20) as client:
        assert client.score([EVENT]).scores[0].prediction == writer.prediction(EVENT)
        writer.learn()
        writer.publish()
        wait_until(lambda: client.score([EVENT]).step == 2)
        assert client.score([EVENT]).scores[0].prediction == writer.prediction(EVENT)
    with PredictorClient([service.address], timeout_seconds=20) as client:
        client.score([EVENT], correlation_id="from-the-shop")
    service.process.wait_for_output('"correlation_id":"from-the-shop"')
    (logged,) = [line for line in service.process.output().splitlines() if "from-the-shop" in line]
    call = json.loads(logged)
    assert (call["message"], call["outcome"], call["model"]) == ("call", "answered", NAME)
    assert (call["variant"], call["step"], call["events"]) == ("v1", 2, 1)
    text = service.get("/metrics")[1]
    for sample in (
        'stream_ml_predictor_ready{model="clicks"} 1.0',
        'stream_ml_predictor_step{model="clicks"} 2.0',
        'stream_ml_predictor_calls_total{outcome="answered"}',
        'stream_ml_predictor_call_seconds_bucket{le="+Inf"}',
    ):
        assert sample in text


def test_after_sigterm_calls_in_flight_are_answered_and_the_exit_is_clean(
    writer: ScriptedWriter, service: PredictorProcess, tmp_path: Path, embedded_broker: EmbeddedBroker
) -> None:
    begun(writer)
    other = PredictorProcess(tmp_path, embedded_broker.bootstrap)
    for each in (service, other):
        each.start()
        each.wait_until_ready()
    failed: list[Exception] = []
    ended = threading.Event()

    def ask() -> None:
        with PredictorClient([service.address, other.address], timeout_seconds=10) as client:
            while not ended.is_set():
                try:
                    client.score([EVENT] * 50)
                except PredictorUnavailable as error:
                    failed.append(error)

    askers = [threading.Thread(target=ask) for _ in range(4)]
    for asker in askers:
        asker.start()
    try:
        assert service.process.terminate() == 0
        assert '"in_time":true' in service.process.output()
    finally:
        time.sleep(0.1)
        ended.set()
        for asker in askers:
            asker.join()
        other.process.kill()
    assert failed == [], "no call failed that the other predictor could answer"


def test_a_predictor_that_was_killed_comes_back_to_the_same_weights(
    writer: ScriptedWriter, service: PredictorProcess
) -> None:
    begun(writer)
    for _ in range(3):
        writer.learn()
        writer.publish()
    service.start()
    service.wait_until_ready()
    service.process.kill()
    service.start()
    service.wait_until_ready()
    with PredictorClient([service.address], timeout_seconds=20) as client:
        answer = client.score([EVENT])
    assert answer.step == 4, "it is ready only when it has caught up"
    assert answer.scores[0].prediction == writer.prediction(EVENT)


def test_a_setting_that_is_none_is_said_and_nothing_is_started(tmp_path: Path) -> None:
    settings = tmp_path / "predictor.toml"
    settings.write_text('models = ["clicks"]\nthrift_prot = 1\n')
    process = Process.python(
        ["-m", "services.predictor", "--settings", str(settings)], tmp_path / "log"
    ).start()
    assert process.wait() == 2
    assert "did you mean 'thrift_port'" in process.output()


def test_a_port_in_use_is_said(writer: ScriptedWriter, service: PredictorProcess) -> None:
    service.start()
    settings = service.process.command[-1]
    again = Process.python(["-m", "services.predictor", "--settings", settings], Path(settings + ".again"))
    assert again.start().wait() == 2
    said = json.loads(again.output().splitlines()[-1])
    assert f"127.0.0.1:{service.thrift_port}" in said["message"]


def test_a_predictor_whose_port_for_metrics_is_taken_ends_at_once(service: PredictorProcess) -> None:
    with socket.create_server(("127.0.0.1", service.http_port)):
        service.process.start()
        assert service.process.wait() == lifecycle.CONFIG
    assert "set http_host and http_port" in service.process.output()


def test_a_store_that_nobody_knows_is_a_wrong_setting(
    tmp_path: Path, embedded_broker: EmbeddedBroker
) -> None:
    service = PredictorProcess(tmp_path, embedded_broker.bootstrap)
    service.settings.write_text(service.settings.read_text().replace(f"{tmp_path}/", "nowhere://"))
    assert service.process.start().wait() == lifecycle.CONFIG
    assert "snapshot_store: nowhere://snapshots cannot be opened" in service.process.output()
