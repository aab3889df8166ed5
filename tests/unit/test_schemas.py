"""What the pages of ``schemas/`` say, read and made anew by the code that reads and makes it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest

from stream_ml._native import Learner, Plan
from stream_ml.features import compile_model
from stream_ml.features.plan import TABLE_SETTINGS
from stream_ml.features.settings import EXPRESSION_KEYS
from stream_ml.learning.batch import Batch, EventRange
from stream_ml.learning.outputs import Source, StepOutputs
from stream_ml.retraining import queue_lines
from stream_ml.retraining.jobs import decode_job, encode_job, job_id
from stream_ml.streams.dead_letters import read_dead_letter
from stream_ml.streams.log import Fetch
from stream_ml.weights.feed import Chunk, Interval, decode_chunk, encode_chunk
from stream_ml.weights.line_bytes import decode_line, encode_line
from stream_ml.weights.lines import Line, Step, Variant

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "schemas" / "topics.md").read_text()
PLAN_PAGE = (ROOT / "schemas" / "plan.md").read_text()
EXAMPLES = dict(re.findall(r"^```\w+ ([\w-]+)\n(.*?)\n```$", PAGE, re.MULTILINE | re.DOTALL))
MODEL = compile_model(EXAMPLES["model"])
LINES = [decode_line(line.encode()) for line in EXAMPLES["journal"].splitlines()]
CHUNK_PREFIX_BYTES = 16
# Paths into the event, in the page's example of a plan.
FIELD_NAMES = ("user", "price")


@pytest.fixture(scope="module")
def batch() -> Batch:
    """The events of the page, in one record at offset 17 of partition 0."""
    fetch = Fetch(0, 17, 18, range(17, 18), None, [EXAMPLES["events"].encode()], [1_772_387_200_000])
    return Batch((EventRange.of(17, [fetch]),))


@pytest.fixture(scope="module")
def outputs(batch: Batch) -> StepOutputs:
    learned = Learner(Plan(MODEL.plan_bytes)).learn(batch.as_native())
    return StepOutputs.of(Source("bookings", "v1", "events"), 1, batch, learned)


def test_the_refused_event_is_the_dead_letter_of_the_page(outputs: StepOutputs) -> None:
    (letter,) = outputs.dead_letters
    headers = letter.headers()
    assert orjson.loads(EXAMPLES["dead-letter"]) == {
        "key": letter.key().decode(),
        "headers": {name: value.decode() for name, value in headers.items()},
        "value": letter.event.decode(),
    }
    assert read_dead_letter(letter.key(), letter.event, headers) == letter


def test_the_page_names_every_reason_of_a_refusal() -> None:
    source = (ROOT / "stream_ml/native/src/block.rs").read_text()
    codes = re.findall(r'Reason::\w+ => "(\w+)"', source)
    assert " ".join(codes) in " ".join(PAGE.split())


def test_the_other_two_events_are_the_evaluation_of_the_page(outputs: StepOutputs) -> None:
    (evaluation,) = outputs.evaluations
    made = orjson.loads(evaluation)
    for tally in (made, made["served"]):
        assert bins_taken_out(tally) == {512}
    assert made == orjson.loads(EXAMPLES["evaluation"])


def test_a_segment_makes_of_them_the_segments_of_the_page(batch: Batch) -> None:
    segmented = compile_model(EXAMPLES["model"].replace("[features]", 'segment = "hotel"\n[features]'))
    (evaluation,) = Learner(Plan(segmented.plan_bytes)).learn(batch.as_native()).evaluations
    made = orjson.loads(evaluation)["segments"]
    tallies = [*made, *(segment["served"] for segment in made if segment["served"])]
    assert [bins_taken_out(tally) for tally in tallies] == [{64}] * len(tallies)
    assert made == orjson.loads(EXAMPLES["segments"])


def bins_taken_out(tally: dict[str, Any]) -> set[int]:
    """Return how many there are."""
    return {len(tally.pop(name)) for name in ("positives", "negatives")}


def test_every_kind_of_journal_line_is_on_the_page_to_the_byte() -> None:
    assert "\n".join(encode_line(line).decode() for line in LINES) == EXAMPLES["journal"]
    assert {type(line) for line in LINES} == set(get_args(Line))


def test_the_journal_of_the_page_is_about_its_events(batch: Batch) -> None:
    (variant,) = (line for line in LINES if isinstance(line, Variant))
    (step,) = (line for line in LINES if isinstance(line, Step))
    assert variant.fingerprint == MODEL.fingerprint
    assert step.ranges == (batch.ranges[0].described,)


def test_the_header_of_the_page_leads_a_chunk() -> None:
    said: list[Any] = orjson.loads(EXAMPLES["chunk"])
    interval, number, of, score_state, removed = said
    chunk = Chunk(Interval(**interval), number, of, b"s" * score_state, b"r" * 32, b"i" * removed)
    data = encode_chunk(chunk)
    assert data[CHUNK_PREFIX_BYTES:].startswith(EXAMPLES["chunk"].encode())
    assert data[:8] == b"SMLD" + (1).to_bytes(2, "little") + len(EXAMPLES["chunk"]).to_bytes(2, "little")
    assert decode_chunk(data) == chunk


def test_the_page_of_the_plan_names_every_key_of_one() -> None:
    object_of_the_page = PLAN_PAGE.split("```")[1]
    named = set(re.findall(r'"(\w+)":', object_of_the_page))
    plan = orjson.loads(MODEL.plan_bytes)
    left_out = {"table", *TABLE_SETTINGS, *(key.name for key in EXPRESSION_KEYS if not key.planned)}
    assert named == {*plan, *plan["learner"], *plan["slots"][0], *left_out}


def test_the_page_of_the_plan_names_every_operation_that_the_core_compiles() -> None:
    source = (ROOT / "stream_ml/native/src/compile.rs").read_text()
    arms = source.split("match self.op {")[1].split("no such operation")[0]
    operations = set(re.findall(r'"([^"\s]+)"(?= [|=])', arms))
    assert set(re.findall(r'\["([^"]+)"', PLAN_PAGE)) - set(FIELD_NAMES) == operations


def test_the_retrain_job_is_one_and_its_id_that_of_its_drift() -> None:
    text = EXAMPLES["retrain-job"].encode()
    job = decode_job(orjson.loads(text)["job"].encode(), text)
    assert encode_job(job) == text
    drift = [job.reason[key] for key in ("variant", "partition", "statistic", "segment", "index")]
    assert job.job == job_id(job.model, *drift)


def test_every_line_of_retrain_work_is_on_the_page_to_the_byte_and_counts() -> None:
    texts = EXAMPLES["retrain-work"].splitlines()
    lines = [queue_lines.decode_line(text.encode()) for text in texts]
    assert [queue_lines.encode_line(line)[1].decode() for line in lines] == texts
    assert {type(line) for line in lines} == set(get_args(queue_lines.Line))
    state = queue_lines.WorkState()
    assert all(state.apply(offset, line) for offset, line in enumerate(lines))
    assert {line.job for line in lines} == {orjson.loads(EXAMPLES["retrain-job"])["job"]}
