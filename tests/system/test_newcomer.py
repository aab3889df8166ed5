"""A newcomer follows the README with a file of their own, on the embedded broker and on Kafka."""

from __future__ import annotations

import os
import re
from pathlib import Path

import orjson
import pytest

from tests.docs import shell
from tests.docs.pages import ROOT, Block, blocks
from tests.docs.stages import ROWS, UP, Stage, bookings
from tests.servers.kafka import KafkaServer


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    made = Stage(tmp_path)
    made.write_csv()
    made.move_port()
    return made


def own_data() -> list[Block]:
    """The blocks of "Your own data", as they stand there."""
    page = (ROOT / "README.md").read_text()
    first, end = page.index("## Your own data"), page.index("## Where to read on")
    lines = range(page.count("\n", 0, first), page.count("\n", 0, end))
    return [block for block in blocks(ROOT / "README.md") if block.line in lines]


# `send` ends when all is acknowledged; the learner may have some of it to learn.
WAIT_UNTIL_LEARNED = f"""
for attempt in $(seq 300); do
  curl -s http://$(jq -r .learner_http .stream-ml/running.json)/metrics \\
    | grep '^stream_ml_learner_learned_total.* {ROWS}.0' >/dev/null && break
  sleep 0.1
done
stream-ml score bookings.csv --json
"""


def assert_it_learned(output: str) -> None:
    scores = [orjson.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert len(scores) == ROWS
    assert all(0 < score["prediction"] < 1 and score["step"] > 0 for score in scores)
    labels = [row["is_canceled"] == "1" for row in bookings()]
    cancelled = [score["prediction"] for score, label in zip(scores, labels, strict=True) if label]
    kept = [score["prediction"] for score, label in zip(scores, labels, strict=True) if not label]
    assert sum(cancelled) / len(cancelled) > sum(kept) / len(kept) + 0.1


@pytest.mark.parametrize("broker", ["embedded", "kafka"])
def test_the_readme_leads_from_a_csv_to_scores(
    broker: str, stage: Stage, request: pytest.FixtureRequest
) -> None:
    if broker == "kafka":
        kafka: KafkaServer = request.getfixturevalue("kafka")
        options = f"--bootstrap {kafka.bootstrap} --topic bookings-{os.getpid()} --create 3"
        stage.replaced[UP] += f" {options}"
    asked = Block("README.md", 0, "sh", WAIT_UNTIL_LEARNED)
    output = shell.run(shell.script([*own_data(), asked]), stage.folder, stage.replaced)
    assert "is up" in output
    assert re.search(r"^  console     http://127\.0\.0\.1:\d+$", output, re.MULTILINE)
    if broker == "embedded":
        weights = re.split(r"^ *weight +slot", output, flags=re.MULTILINE)[1]  # of inspect
        assert len(re.findall(r"^ *[+-]\d\.\d{4} +(?!id )\w", weights, re.MULTILINE)) > 10
    assert_it_learned(output)
