import logging
import os
import signal
from collections.abc import Iterator

import pytest

from stream_ml.errors import CannotContinue, ConfigError, RecoverableError, StreamMlError
from stream_ml.runtime import lifecycle
from stream_ml.runtime.lifecycle import Stop, run


@pytest.fixture(autouse=True)
def signals_restored() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("c"), lifecycle.CONFIG),
        (CannotContinue("c"), lifecycle.CANNOT_CONTINUE),
        (RecoverableError("r"), lifecycle.UNAVAILABLE),
        (StreamMlError("s"), lifecycle.FAILED),
        (RuntimeError("x"), lifecycle.FAILED),
    ],
)
def test_the_exit_code_says_what_a_supervisor_should_do(
    error: Exception, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    def service(_stop: Stop) -> None:
        raise error

    assert run(service) == code
    assert caplog.records[-1].levelno == logging.ERROR


def test_sigterm_asks_for_the_end_and_the_service_ends_cleanly() -> None:
    def service(stop: Stop) -> None:
        assert not stop.requested()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.wait(timeout_seconds=10)

    assert run(service) == lifecycle.STOPPED


def test_after_the_first_signal_the_second_has_its_default_effect() -> None:
    def service(stop: Stop) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(timeout_seconds=10)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL

    assert run(service) == lifecycle.STOPPED
