"""A proposed model file: the right roles, features that suit the values, and nothing that tells the label."""

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from stream_ml.errors import ConfigError
from stream_ml.features import compile_model
from stream_ml.features.proposals.inference import Proposal, propose
from stream_ml.features.proposals.text import model_name, proposal_json, proposal_text

EVENTS = 2_000
NOW = datetime(2026, 6, 1, tzinfo=UTC)
TITLES = ("red hat for men", "blue scarf made of wool", "green hat", "a warm scarf for women")


def event(number: int, chance: random.Random) -> dict[str, Any]:
    """An event with a field of every sort; it is bought where the shop is B and the hour late."""
    hour, shop = chance.randrange(24), chance.choice("ABC")
    bought = int(shop == "B" and hour > 12)
    return {
        "event_id": f"e{number}",
        "created_at": f"2026-03-{1 + number % 28:02d}T{hour:02d}:15:00Z",
        "bought": bought,
        "refunded": bool(bought) and chance.random() < 0.99,
        "shop": shop,
        "late": hour > 12,
        "price": round(chance.lognormvariate(2, 0.5), 2),
        "amount": int(chance.paretovariate(0.5)),
        "rooms": chance.randrange(1, 6),
        "user": {
            "id": chance.randrange(300),
            "code": f"{chance.getrandbits(64):x}",
            "rating": chance.random() or None,
        },
        "title": f"{chance.choice(TITLES)} {chance.randrange(1000)}",
        "tags": ", ".join(chance.sample(["new", "sale", "gift", "eco", "hot", "top"], 3)),
        "age": chance.randrange(18, 90) if chance.random() < 0.8 else None,
        "country": "NO",
        "path": ["a", "b"],
        "nothing": None,
        "row": number,
        "mixed": chance.choice([1, "one", True]),
    }


def events(count: int = EVENTS) -> Iterator[Mapping[str, Any]]:
    chance = random.Random(7)
    return (event(number, chance) for number in range(count))


@pytest.fixture(scope="module")
def proposal() -> Proposal:
    return propose("shop", now=NOW, events=events(), label="bought")


def expressions(proposal: Proposal) -> dict[str, str]:
    return {feature.slot: feature.expression for feature in proposal.features}


def test_each_field_gets_the_features_that_suit_its_values(proposal: Proposal) -> None:
    found = expressions(proposal)
    assert found["shop"] == "shop"
    assert found["late"] == "late"
    assert found["rooms"] == "rooms"
    assert found["user_id"] == "user.id"
    assert found["title"] == "words(title)"
    assert found["tags"] == 'split(tags, ",")'
    assert found["mixed"] == "mixed"
    assert found["amount"] == "log_bucket(amount, 2)"
    assert found["amount_log"] == "log1p(amount)"
    assert found["age_missing"] == "missing(age)"
    assert found["created_at_hour"] == "hour(created_at)"
    assert found["created_at_weekday"] == "weekday(created_at)"
    assert found["price"].startswith("bucket(price, 4, ")


def test_the_edges_of_a_bucket_are_round_and_part_the_events_evenly(proposal: Proposal) -> None:
    edges = [float(edge) for edge in expressions(proposal)["price"].removesuffix(")").split(", ")[1:]]
    assert len(edges) == 9
    assert all(edge == float(f"{edge:.2g}") for edge in edges)
    prices = sorted(event["price"] for event in events())
    for number, edge in enumerate(edges, start=1):
        below = sum(price < edge for price in prices) / len(prices)
        assert below == pytest.approx(number / 10, abs=0.05)


def test_roles_are_found_by_values_and_names(proposal: Proposal) -> None:
    assert {key: value for key, (value, _) in proposal.keys.items()} == {
        "event_id": "event_id",
        "timestamp": "created_at",
        "label": "bought",
    }
    assert propose("shop", now=NOW, events=events()).keys["label"][0] == "bought"


@pytest.mark.parametrize(
    ("planned", "timestamp"), [("2026-08-01T10:00:00Z", None), ("2026-05-01T10:00:00+02:00", "arrival_date")]
)
def test_an_instant_that_is_still_to_come_is_not_when_the_event_happened(
    planned: str, timestamp: str | None
) -> None:
    sample = ({"y": n % 2, "arrival_date": planned if n % 3 else "2026-04-01T11:00:00Z"} for n in range(50))
    proposal = propose("m", now=NOW, events=sample)
    assert proposal.keys.get("timestamp", (None,))[0] == timestamp
    assert "hour(arrival_date)" in expressions(proposal).values()


def test_milliseconds_are_named_and_left_out() -> None:
    sample = ({"y": n % 2, "x": "ab"[n % 2], "sent_at": 1_767_000_000_000 + n // 2 * 1000} for n in range(50))
    proposal = propose("m", now=NOW, events=sample)
    assert "milliseconds since 1970" in dict(proposal.left_out)["sent_at"]


def test_what_cannot_or_must_not_be_a_feature_is_left_out_with_the_reason(proposal: Proposal) -> None:
    reasons = dict(proposal.left_out)
    assert reasons["country"] == "always NO"
    assert reasons["nothing"] == "always missing"
    assert "array" in reasons["path"]
    assert reasons["row"] == "counts the events"
    assert "nothing learned of it comes again" in reasons["user.code"]
    assert "of the label: was it known before?" in reasons["refunded"]
    assert set(reasons) == {"country", "nothing", "path", "row", "user.code", "refunded"}


def test_fields_that_only_together_explain_the_label_are_crossed(proposal: Proposal) -> None:
    crosses = {expression for slot, expression in expressions(proposal).items() if "cross" in expression}
    assert "cross(shop, late)" in crosses or "cross(late, shop)" in crosses


def test_a_number_that_is_a_name_is_learned_value_by_value_too() -> None:
    chance = random.Random(5)
    sample = (
        {"y": int(agent % 7 < 3), "agent": agent} for agent in (chance.randrange(200) for _ in range(EVENTS))
    )
    found = expressions(propose("m", now=NOW, events=sample))
    assert found["agent"].startswith("bucket(agent, ")
    assert found["agent_value"] == "agent"


def test_the_proposed_file_compiles_to_what_was_proposed(proposal: Proposal) -> None:
    compiled = compile_model(proposal_text(proposal, "events.jsonl"))
    assert [slot.name for slot in compiled.slots] == [feature.slot for feature in proposal.features]
    assert compiled.model_file.name == "shop"
    assert compiled.model_file.label.text == "bought"
    listed = proposal_json(proposal)
    assert listed["keys"]["timestamp"] == "created_at"
    assert {"field": "country", "reason": "always NO"} in listed["left_out"]


def test_the_sample_is_drawn_evenly_and_always_the_same_one() -> None:
    sorted_events = [
        {"y": number % 2, "half": "first" if number < 5_000 else "second"} for number in range(10_000)
    ]
    proposal = propose("m", now=NOW, events=sorted_events, size=400)
    assert (proposal.events, proposal.seen) == (400, 10_000)
    assert expressions(proposal) == {"half": "half"}
    assert propose("m", now=NOW, events=sorted_events, size=400) == proposal


@pytest.mark.parametrize(
    ("values", "expression", "loss"),
    [
        ([0, 1], "y", "logistic"),
        ([-1, 1], "y", "logistic"),
        ([1, 2], "y == 2", "logistic"),
        ([True, False], "bool(y)", "logistic"),
        (["no", "yes"], 'y == "yes"', "logistic"),
        (["<=50K", ">50K"], 'y == ">50K"', "logistic"),
        (["common", "common", "rare"], 'y == "rare"', "logistic"),
        ([1.5, 2.5, 7.0], "y", "squared"),
    ],
)
def test_a_label_is_written_so_that_it_is_a_number_or_a_bool(
    values: list[Any], expression: str, loss: str
) -> None:
    proposal = propose(
        "m", now=NOW, events=({"y": values[n % len(values)], "x": "ab"[n % 2]} for n in range(50)), label="y"
    )
    assert proposal.keys["label"][0] == expression
    assert proposal.loss == loss
    compile_model(proposal_text(proposal, "y.csv"))


def test_events_without_a_label_are_skipped_in_the_proposed_file() -> None:
    sample = ({"y": n % 2, "x": n % 3} if n % 4 else {"x": n % 3} for n in range(400))
    text = proposal_text(propose("m", now=NOW, events=sample), "a.csv")
    assert compile_model(text).model_file.unlabelled == "skip"
    assert "25 % of the events have no label" in text


def test_hostile_names_and_values_still_make_a_file_that_compiles() -> None:
    names = [
        "a b",
        'qu"ote',
        "it's",
        "new\nline",
        "a.b",
        "class",
        "ünïcode",
        "a_b",
        "",
        "x" * 300,
        "# c",
        "del\x7f",
    ]
    sample = ({"y": n % 2, **dict.fromkeys(names, f"{n % 5}'\"\n\x7f")} for n in range(60))
    proposal = propose("m", now=NOW, events=sample)
    compiled = compile_model(proposal_text(proposal, "od\nd.csv"))
    fields = {field.path[-1] for e in compiled.model_file.features.values() for field in e.fields()}
    assert fields == set(names) - {""}


@pytest.mark.parametrize(
    ("sample", "label", "complaint"),
    [
        ([], None, "no events"),
        ([{"x": 1}, {"x": 2}, {"x": 3}], None, "no field has two values"),
        ([{"bought": 1}, {"bought": 0}], "bougth", "did you mean 'bought'?"),
        ([{"y": "a"}, {"y": "b"}, {"y": "c"}], "y", "'y' has 3 values"),
        ([{"y": 1}, {"y": 1}], "y", "'y' has 1 values"),
        ([{"y": 1, "x": 2}, {"y": 0, "x": 2}], "y", "x: always 2"),
    ],
)  # fmt: skip
def test_a_sample_without_a_model_in_it_is_refused(
    sample: list[Any], label: str | None, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint.replace("?", r"\?")):
        propose("m", now=NOW, events=sample, label=label)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("data/Adult Income.csv.gz", "adult-income"),
        ("s3://b/x_1.parquet", "x-1"),
        ("-", "model"),
        ("é.csv", "model"),
    ],
)
def test_a_model_is_named_after_its_sample(source: str, name: str) -> None:
    assert model_name(source) == name
