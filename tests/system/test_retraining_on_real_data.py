"""The whole loop with real services on elec2 and on the hotel bookings: whom a job promotes serves."""

from __future__ import annotations

import lzma
from collections.abc import Callable, Iterator
from operator import attrgetter
from pathlib import Path

import orjson
import pytest

from stream_ml.hotels.bookings import bookings
from tests.servers.kafka import KafkaServer
from tests.system.lives import Lives
from tests.system.test_deciding import said
from tests.system.test_retraining import Loop

DATA = Path(__file__).parents[3] / "shared" / "data"
MODEL = """
name = "clicks"
event_id = "id"
label = "label"

[features]
{features}

[learner]
alpha = {alpha}
duplicate_window = 10000
evaluate_every = 500
"""


def electricity() -> Iterator[bytes]:
    text = lzma.decompress((DATA / "elec2" / "electricity.csv.xz").read_bytes()).decode()
    for number, line in enumerate(text.splitlines()[1:]):
        period, price, demand, *_, label = line.split(",")
        event = {"id": str(number), "label": int(label), "hour": round(float(period) * 47)}
        event |= {"price": int(float(price) * 100), "demand": int(float(demand) * 20)}
        yield orjson.dumps(event)


def hotel_bookings() -> Iterator[bytes]:
    every = bookings(str(DATA / "hotel_bookings" / "hotel_bookings.csv.zip"))
    for booking in sorted(every, key=attrgetter("known_on")):
        yield orjson.dumps({"id": booking.id, "label": booking.cancelled, **booking.event})


HOTEL = ("hotel", "market_segment", "deposit_type", "agent", "customer_type", "total_of_special_requests")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("events", "features", "alpha"),
    [(electricity, ("hour", "price", "demand"), 0.2), (hotel_bookings, HOTEL, 0.1)],
    ids=["elec2", "hotels"],
)
def test_whom_a_job_proves_to_be_better_serves(
    own_kafka: KafkaServer,
    tmp_path: Path,
    events: Callable[[], Iterator[bytes]],
    features: tuple[str, ...],
    alpha: float,
    record_property: Callable[[str, object], None],
) -> None:
    lives = Lives(own_kafka, tmp_path, partitions=1)
    lines = "\n".join(f'{name} = "{name}"' for name in features)
    (tmp_path / "model.toml").write_text(MODEL.format(features=lines, alpha=alpha))
    every = list(events())[:40_000]
    for event in every:
        lives._writer.send("events", event, partition=0)
    lives.flush()
    loop = Loop(lives, own_kafka)
    learner, retrainer = lives.start(), loop.start()
    learner.wait_until(lambda: lives.steps() > 0 and loop.state.serving == "v1", 60)
    said(lives, "jobs", "--ask", str(len(every)))
    retrainer.wait_until(lambda: any((tmp_path / "reports").glob("*/report.json")), 120)
    (path,) = (tmp_path / "reports").glob("*/report.json")
    report = orjson.loads(path.read_bytes())
    record_property("winner", report["winner"])
    record_property("difference", report["difference"])
    assert report["events"] > 15_000
    assert report["promoted"], report["why"]
    assert report["interval"][0] > 0
    retrainer.wait_until(lambda: loop.state.serving == "v2", 90)
    retrainer.wait_until(lambda: "done" in said(lives, "jobs"), 60)
    assert retrainer.terminate() == 0, retrainer.tail()
    assert learner.terminate() == 0, learner.tail()
    assert loop.journal is not None
    loop.journal.close()
    lives.close()
