"""Challengers from Python: each is what a Learner of its own is, and what goes in or out is checked."""

import orjson
import pytest

from stream_ml._native import Challengers, Learner, Plan
from stream_ml.features import compile_model

MODEL = """
name = "m"
label = "y"
event_id = "id"
[features]
user = "user"
item = "item"
words = "words(text)"
amount = "number(amount)"
[learner]
alpha = {alpha}
l1 = {l1}
decay = {decay}
base_rate_events = 50
evaluate_every = 100
"""
Setting = tuple[float, float, float, float, float, list[int] | None, int]


def setting(alpha: float = 0.1, l1: float = 0.0, decay: float = 1.0) -> Setting:
    return alpha, 1.0, l1, 0.0, decay, None, 0


def plan(one: Setting) -> Plan:
    return Plan(compile_model(MODEL.format(alpha=one[0], l1=one[2], decay=one[4])).plan_bytes)


def records(count: int, first: int = 0) -> list[bytes]:
    return [
        orjson.dumps(
            {
                "id": at % 900,
                "y": int(at * 7919 % 11 < 3 + at % 4),
                "user": at % 37,
                "item": f"i{at * at % 101}",
                "text": "red green blue"[: at % 15],
                "amount": (at % 9) - 4.5,
            }
        )
        for at in range(first, first + count)
    ]


def given(values: list[bytes]) -> list[tuple[int, list[bytes], list[int]]]:
    return [(0, values, [0] * len(values))]


def rows(many: Challengers, at: int) -> set[bytes]:
    return split(many.rows(at, 0, many.features))


def split(rows: bytes) -> set[bytes]:
    return {rows[at : at + 16] for at in range(0, len(rows), 16)}


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_each_challenger_is_what_a_learner_of_its_own_is(threads: int) -> None:
    settings = [setting(), setting(0.3, 0.2), setting(0.05, 0.0, 0.99)] * 4
    many = Challengers(plan(settings[0]), settings, threads=threads, block_examples=100)
    values = records(2_000)
    blocks = many.learn(given(values[:700])) + many.learn(given(values[700:]))
    for at in (0, 1, 2, 11):
        own = Learner(plan(settings[at]))
        evaluations = [orjson.loads(one) for one in own.learn(given(values)).evaluations]
        cut = own.cut()
        assert rows(many, at) == split(cut.rows)
        assert many.score_state(at) == cut.score_state
        assert [block.loss_sums[at] for block in blocks] == [one["loss_sum"] for one in evaluations]
    counts = many.counts()
    assert counts["learned"] + counts["duplicates"] == 2_000
    assert counts["duplicates"] > 0
    assert [(block.first, block.end) for block in blocks[:2]] == [(0, 100), (100, 200)]


def test_kept_scans_give_the_same_as_records() -> None:
    learner = Learner(plan(setting()))
    scans = learner.learn(given(records(900)), keep_scans=True).scans
    kept, fresh = (Challengers(plan(setting()), [setting()] * 3, threads=2) for _ in range(2))
    kept.learn_scanned([(0, scan) for scan in scans])
    fresh.learn(given(records(900)))
    assert rows(kept, 2) == rows(fresh, 2)


def test_a_slot_that_a_challenger_lacks_gets_no_rows() -> None:
    alpha, beta, l1, l2, decay, _, first = setting()
    many = Challengers(plan(setting()), [setting(), (alpha, beta, l1, l2, decay, [0, 3], first)])
    many.learn(given(records(500)))
    assert len(rows(many, 1)) == 37 + 1
    assert len(rows(many, 0)) > 100


def test_a_warm_start_has_the_scores_of_the_model_it_came_from() -> None:
    champion = Learner(plan(setting()))
    champion.learn(given(records(600)))
    cut = champion.cut()
    many = Challengers(plan(setting()), [setting(), setting(0.4), setting()], block_examples=1)
    many.load_rows([0, 1], plan(setting()), cut.rows)
    many.load_score_state([0, 1], plan(setting()), cut.score_state)
    [block] = many.learn(given(records(1, first=600)))
    warm, changed, cold = block.prediction_sums
    assert warm == pytest.approx(changed, rel=1e-6)
    assert warm != pytest.approx(cold, rel=1e-3)
    champion.learn(given(records(1, first=600)))
    assert rows(many, 0) >= split(champion.cut().rows)


@pytest.mark.parametrize(
    "one",
    [
        (0.0, 1.0, 0.0, 0.0, 1.0, None, 0),
        (0.1, 1.0, -1.0, 0.0, 1.0, None, 0),
        (0.1, 1.0, 0.0, 0.0, 1.5, None, 0),
        (0.1, 1.0, 0.0, 0.0, 1.0, [4], 0),
    ],
)
def test_settings_that_cannot_be_are_refused(one: Setting) -> None:
    with pytest.raises(ValueError, match=r"alpha|l1|decay|slot"):
        Challengers(plan(setting()), [setting(), one])


def test_what_is_damaged_is_refused() -> None:
    many = Challengers(plan(setting()), [setting()])
    with pytest.raises(ValueError, match=r"damaged|whole number"):
        many.load_rows([0], plan(setting()), b"\1" * 17)
    with pytest.raises(ValueError, match="challenger 1 of 1"):
        many.rows(1, 0, 10)
    with pytest.raises(ValueError, match="kept scan"):
        many.learn_scanned([(0, b"no scan")])
    with pytest.raises(ValueError, match="values"):
        many.learn([(0, [b"{}"], [])])
    with pytest.raises(ValueError, match="no challengers"):
        Challengers(plan(setting()), [])
    assert many.counts()["learned"] == 0
