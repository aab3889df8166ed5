import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from stream_ml.errors import ConfigError
from stream_ml.runtime import metrics
from stream_ml.runtime.http import OperatorServer


def get(server: OperatorServer, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def server() -> Iterator[OperatorServer]:
    server = OperatorServer("127.0.0.1", 0, ready=lambda: "no snapshot yet")
    yield server
    server.close()


def test_metrics_are_served_in_prometheus_text(server: OperatorServer) -> None:
    metrics.LEARNER_STEP.labels("http").set(7)
    status, text = get(server, "/metrics")
    assert status == 200
    assert 'stream_ml_learner_step{model="http"} 7.0' in text


@pytest.mark.parametrize("path", ["/livez", "/healthz"])
def test_a_process_without_complaint_is_alive(server: OperatorServer, path: str) -> None:
    assert get(server, path) == (200, "ok\n")


def test_readiness_says_what_is_missing(server: OperatorServer) -> None:
    assert get(server, "/readyz") == (503, "no snapshot yet\n")


def test_another_path_names_the_paths_there_are(server: OperatorServer) -> None:
    assert get(server, "/") == (404, "/metrics /livez /readyz\n")


def test_a_port_that_is_taken_is_a_wrong_setting(server: OperatorServer) -> None:
    with pytest.raises(ConfigError, match=f"127.0.0.1:{server.port}, cannot be bound.*"):
        OperatorServer("127.0.0.1", server.port)
