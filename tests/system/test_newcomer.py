"""A newcomer follows the README with a file of their own, on the embedded broker and on Kafka."""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import orjson
import pytest

from tests.servers.kafka import KafkaServer

CHECKOUT = Path(__file__).resolve().parents[2]
BOOKINGS = CHECKOUT.parent / "shared" / "data" / "hotel_bookings" / "hotel_bookings.csv.zip"
ROWS = 3_000
UP = "stream-ml up model.toml"
# Known only after the label.
LEAKS = {"reservation_status", "reservation_status_date", "assigned_room_type", "booking_changes"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with `bookings.csv`: every 30th hotel booking, so that both labels are there."""
    with zipfile.ZipFile(BOOKINGS) as archive:
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open(archive.namelist()[0]), encoding="utf-8")))
    names = [name for name in rows[0] if name not in LEAKS]
    with (tmp_path / "bookings.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows[::30][:ROWS])
    return tmp_path


def readme_commands() -> list[str]:
    """The commands of "Your own data", as they stand there, but for the virtual environment's activation."""
    section = (CHECKOUT / "README.md").read_text().split("## Your own data")[1]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return [line for line in block[1].splitlines() if line and "activate" not in line]


def follow(commands: list[str], folder: Path) -> str:
    """Run the commands in a shell that stops at the first failure; return what they printed."""
    # What runs in the background is stopped at the end, as Ctrl-C would.
    script = ["set -euo pipefail", "trap 'kill -TERM $(jobs -p); wait' EXIT", *commands]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with subprocess.Popen(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as shell:
        try:
            output, errors = shell.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            # All of them: what runs in the background would stay.
            os.killpg(shell.pid, signal.SIGKILL)
            output, errors = shell.communicate()
    logs = "".join(path.read_text() for path in folder.glob(".stream-ml/*.log"))
    assert shell.returncode == 0, f"{output}\n{errors}\n{logs}"
    return output


WAIT_UNTIL_LEARNED = """
for attempt in $(seq 100); do
  curl -s $(python -c "
from pathlib import Path
from stream_ml.local.running import Running
print(Running.find(Path('.stream-ml')).learner_http)")/metrics \\
    | grep '^stream_ml_learner_learned_total.* %d' >/dev/null && break
  sleep 0.1
done
"""


def assert_it_learned(folder: Path, output: str) -> None:
    scores = [orjson.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert len(scores) == ROWS
    assert all(0 < score["prediction"] < 1 and score["step"] > 0 for score in scores)
    with (folder / "bookings.csv").open() as file:
        labels = [row["is_canceled"] == "1" for row in csv.DictReader(file)]
    cancelled = [score["prediction"] for score, label in zip(scores, labels, strict=True) if label]
    kept = [score["prediction"] for score, label in zip(scores, labels, strict=True) if not label]
    assert sum(cancelled) / len(cancelled) > sum(kept) / len(kept) + 0.1


ASK_FOR_ALL = "stream-ml score bookings.csv --json"


def learned_all() -> str:
    return WAIT_UNTIL_LEARNED.replace("%d", f"{ROWS}.0")


def test_the_readme_leads_from_a_csv_to_scores_on_the_embedded_broker(folder: Path) -> None:
    output = follow([*readme_commands(), learned_all(), ASK_FOR_ALL], folder)
    assert "is up" in output
    assert "market_segment" in output  # inspect names the weights
    assert_it_learned(folder, output)


def test_the_readme_leads_from_a_csv_to_scores_on_kafka(folder: Path, kafka: KafkaServer) -> None:
    topic = f"bookings-{os.getpid()}"
    on_kafka = f"{UP} --bootstrap {kafka.bootstrap} --topic {topic} --create 3"
    commands = [line.replace(UP, on_kafka) for line in readme_commands()]
    assert commands != readme_commands()
    output = follow([*commands, learned_all(), ASK_FOR_ALL], folder)
    assert_it_learned(folder, output)
