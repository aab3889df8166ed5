import io
import json
import logging
from collections.abc import Iterator

import pytest

from stream_ml.runtime import logging as ours


@pytest.fixture(autouse=True)
def root_logger_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_json_line_has_the_message_the_service_and_the_fields_of_the_call() -> None:
    stream = io.StringIO()
    ours.configure("learner", stream=stream)
    logging.getLogger("x").info("snapshot %s", "sealed", extra={"step": 7})
    line = json.loads(stream.getvalue())
    assert (line["service"], line["level"], line["message"], line["step"]) == (
        "learner",
        "info",
        "snapshot sealed",
        7,
    )


def test_an_exception_stays_on_the_line() -> None:
    stream = io.StringIO()
    ours.configure("learner", stream=stream)
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert "ValueError: broken" in json.loads(stream.getvalue())["exception"]


def test_a_person_reads_fields_behind_the_message() -> None:
    stream = io.StringIO()
    ours.configure("learner", form="human", stream=stream)
    logging.getLogger("x").warning("late", extra={"seconds": 3})
    assert stream.getvalue().endswith("warning late  seconds=3\n")


def test_what_a_client_sent_stays_on_its_line() -> None:
    stream = io.StringIO()
    ours.configure("predictor", form="human", stream=stream)
    logging.getLogger("test").info("call", extra={"correlation_id": "a\n00:00:00.000 error   all is lost"})
    (line,) = stream.getvalue().splitlines()
    assert "correlation_id=a\\n00:00:00.000 error" in line


def test_less_than_the_level_is_not_logged() -> None:
    stream = io.StringIO()
    ours.configure("learner", level="warning", stream=stream)
    logging.getLogger("x").info("quiet")
    assert stream.getvalue() == ""
