"""Champion and challengers over the same events: the figures of learners of their own."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import orjson
import pytest

from stream_ml._native import Learner, Plan
from stream_ml.errors import ConfigError
from stream_ml.features import CompiledModel, compile_model
from stream_ml.retraining import training
from stream_ml.retraining.blocks import slice_name
from stream_ml.retraining.challengers import Challenger, challenger_of, champion_of
from stream_ml.retraining.gate import Rule, judge
from stream_ml.retraining.grid import default_grid
from stream_ml.retraining.jobs import Setting
from stream_ml.retraining.modelling import challenger_model
from stream_ml.retraining.training import Part, train
from tests.unit.retraining import sliced

MODEL = """
name = "m"
label = "y"
[features]
user = "user"
item = "item"
amount = "number(amount)"
[learner]
alpha = 0.1
base_rate_events = 100
evaluate_every = 100
"""
PART = Part(events=3_000, training=1_250, block=100)


@pytest.fixture(scope="module")
def model() -> CompiledModel:
    return compile_model(MODEL)


def events(count: int = 3_000) -> list[bytes]:
    random = np.random.default_rng(3)
    user, item = random.integers(0, 50, count), random.integers(0, 30, count)
    label = random.random(count) < 1 / (1 + np.exp(1 - user % 5 + item % 3))
    return [
        orjson.dumps(
            {"y": int(label[at]), "user": int(user[at]), "item": int(item[at]), "amount": at % 7 - 3}
        )
        for at in range(count)
    ]


def everyone(model: CompiledModel, *settings: Setting) -> list[Challenger]:
    return [champion_of(model), *(challenger_of(setting, model) for setting in settings)]


def losses_alone(model: CompiledModel, values: list[bytes]) -> list[float]:
    learned = Learner(Plan(model.plan_bytes)).learn([(0, values, [-1] * len(values))])
    return [orjson.loads(one)["loss_sum"] for one in learned.evaluations]


def test_the_blocks_are_those_after_the_cut_with_the_losses_of_learners_of_their_own(
    model: CompiledModel,
) -> None:
    setting = Setting(name="fast", alpha=0.5, l1=0.01, decay=0.999)
    told: list[float] = []
    trained = train(
        model, events(), PART, everyone(model, setting), tell=lambda done, doing: told.append(done)
    )
    blocks = trained.blocks
    # The block that the cut lies in is not compared.
    assert blocks.events == 1_700
    assert blocks.champion.loss.tolist() == losses_alone(model, events())[13:]
    own = challenger_model(model, {"alpha": 0.5, "l1": 0.01, "decay": 0.999}, None, "a test")
    assert blocks.challengers["fast"].loss.tolist() == losses_alone(own, events())[13:]
    assert told == sorted(told)
    assert told[-1] == 1
    assert trained.counts["learned"] == 3_000


def evaluations_alone(model: CompiledModel, values: list[bytes]) -> list[dict[str, Any]]:
    learned = Learner(Plan(model.plan_bytes)).learn([(0, values, [-1] * len(values))])
    return [orjson.loads(one) for one in learned.evaluations]


def segments_of(evaluations: Iterable[Mapping[str, Any]], figure: str) -> dict[str, list[float]]:
    """Return a figure of each evaluation by the segment's name; 0 where it has no example."""
    found = [{slice_name(each["segment"]): each[figure] for each in one["segments"]} for one in evaluations]
    names = sorted({name for one in found for name in one})
    return {name: [one.get(name, 0.0) for one in found] for name in names}


def test_slices_have_the_sums_of_learners_of_their_own() -> None:
    """Of 40 segments the first 32 by name, the others and events without together."""
    text = MODEL.replace("[features]", 'segment = "item"\n[features]')
    random = np.random.default_rng(5)
    values = [
        orjson.dumps({**orjson.loads(each), "item": [f"i{at}", None][at // 40]})
        for each, at in zip(events(), random.integers(0, 41, 3_000).tolist(), strict=True)
    ]
    model = compile_model(text)
    setting = Setting(name="fast", alpha=0.5, l1=0.01)
    blocks = train(model, values, PART, everyone(model, setting)).blocks
    own = challenger_model(model, {"alpha": 0.5, "l1": 0.01}, None, "a test")
    both = [(model, blocks.champion), (own, blocks.challengers["fast"])]
    for one, sums in both:
        alone = evaluations_alone(one, values)[13:]
        losses = segments_of(alone, "loss_sum")
        assert len(losses) == 33
        assert "(rest)" in losses
        assert {name: of.tolist() for name, of in sums.slices.items()} == losses
        for figure in ("examples", "importance"):
            wanted = segments_of(alone, "importance_sum" if figure == "importance" else figure)
            found = {name: getattr(of, figure).tolist() for name, of in blocks.slices.items()}
            assert found == wanted


def test_a_model_without_segments_has_no_slices(model: CompiledModel) -> None:
    blocks = train(model, events(), PART, everyone(model, Setting(name="x", alpha=0.5))).blocks
    assert (blocks.slices, blocks.champion.slices, blocks.challengers["x"].slices) == ({}, {}, {})


def test_histograms_are_of_the_compared_events(model: CompiledModel) -> None:
    setting = Setting(name="fast", alpha=0.5)
    trained = train(model, events(), PART, everyone(model, setting))
    assert list(trained.histograms) == ["champion", "fast"]
    assert list(trained.histograms_of("v7")) == ["v7", "fast"]
    sums = {"champion": trained.blocks.champion, **trained.blocks.challengers}
    for name, histogram in trained.histograms.items():
        assert histogram.positives.sum() == trained.blocks.labels.sum()
        both = histogram.positives.sum() + histogram.negatives.sum()
        assert both == trained.blocks.importance.sum()
        assert histogram.predictions.sum() == pytest.approx(sums[name].predictions.sum(), rel=1e-12)
        assert (histogram.predictions > 0).sum() >= 5
    squared = compile_model(MODEL + 'loss = "squared"\n')
    assert train(squared, events(), PART, everyone(squared, setting)).histograms == {}


def test_better_overall_and_much_worse_in_one_segment_is_not_promoted() -> None:
    values = sliced.events(60_000)
    rule = Rule()
    verdicts = {}
    for segmented in (True, False):
        model = compile_model(sliced.model_text(segmented=segmented))
        challengers = everyone(model, sliced.BLIND, sliced.CLEAR)
        blocks = train(model, values, Part.of(len(values), 0.5), challengers).blocks
        blind = replace(blocks, challengers={"blind": blocks.challengers["blind"]})
        verdicts[segmented] = judge(blind, rule), judge(blocks, rule)
    (alone, both), (unseen, _) = verdicts[True], verdicts[False]
    # Without segments nobody sees it.
    assert (unseen.says, unseen.challenger) == ("promote", "blind")
    assert alone.says == "go on"
    (compared,) = alone.comparisons
    assert compared.proved
    assert compared.worst_slice == "phone"
    assert compared.worst_slice_loss > 1
    assert [each[:11] for each in compared.objections] == ["slice phone"]
    # Who is as good there is promoted beside it.
    assert (both.says, both.challenger) == ("promote", "clear")


def test_rows_of_a_challenger_are_those_that_its_variant_would_have(model: CompiledModel) -> None:
    trained = train(model, events(), PART, everyone(model, Setting(name="x", alpha=0.3)))
    own = Learner(Plan(challenger_model(model, {"alpha": 0.3}, None, "a test").plan_bytes))
    own.learn([(0, events(), [-1] * 3_000)])
    again = Learner(Plan(challenger_model(model, {"alpha": 0.3}, None, "a test").plan_bytes))
    for rows in trained.rows("x"):
        again.load_rows(rows)
    assert again.digest()["rows_hash"] == own.digest()["rows_hash"]
    assert trained.score_state("x") == own.cut().score_state


def test_a_window_is_the_last_events_before_the_cut(model: CompiledModel) -> None:
    setting = Setting(name="late", window=250, warm=False)
    trained = train(model, events(), PART, everyone(model, setting))
    own = Learner(Plan(model.plan_bytes))
    own.learn([(0, events()[1_000:], [-1] * 2_000)])
    again = Learner(Plan(model.plan_bytes))
    for rows in trained.rows("late"):
        again.load_rows(rows)
    assert again.digest()["rows_hash"] == own.digest()["rows_hash"]


class Snapshot:
    """A base that learned events before."""

    def __init__(self, model: CompiledModel, before: list[bytes]) -> None:
        self.plan = Plan(model.plan_bytes)
        learner = Learner(self.plan)
        learner.learn([(0, before, [-1] * len(before))])
        self._cut = learner.cut()
        self.score_state = self._cut.score_state

    def rows(self) -> Iterable[bytes]:
        return [self._cut.rows]


def test_warm_ones_go_on_where_the_base_stood_cold_ones_begin(model: CompiledModel) -> None:
    before, rest = events()[:1_000], events()[1_000:]
    part = Part(events=2_000, training=500, block=100)
    cold = Setting(name="cold", warm=False)
    trained = train(model, rest, part, everyone(model, cold), base=Snapshot(model, before))
    assert trained.blocks.champion.loss.tolist() == losses_alone(model, events())[15:]
    assert trained.blocks.challengers["cold"].loss.tolist() == losses_alone(model, rest)[5:]


def test_the_number_of_threads_changes_no_bit(model: CompiledModel) -> None:
    settings = [Setting(name=f"s{at}", alpha=0.01 * (at + 1)) for at in range(17)]
    one, many = (
        train(model, events(), PART, everyone(model, *settings), threads=threads) for threads in (1, 3)
    )
    for name in one.blocks.challengers:
        assert one.blocks.challengers[name].loss.tolist() == many.blocks.challengers[name].loss.tolist()


def test_where_no_gpu_is_auto_is_the_cpu_and_cuda_is_refused(
    model: CompiledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "is_there", lambda: False)
    settings = everyone(model, Setting(name="x", alpha=0.2))
    auto, cpu = (train(model, events(), PART, settings, device=device) for device in ("auto", "cpu"))
    assert auto.blocks.champion.loss.tolist() == cpu.blocks.champion.loss.tolist()
    with pytest.raises(ConfigError, match="no GPU"):
        train(model, events(), PART, settings, device="cuda")
    monkeypatch.setattr(training, "is_there", lambda: True)
    with pytest.raises(ConfigError, match="begin cold"):
        train(model, events(), PART, settings, device="cuda", base=Snapshot(model, events()))


def test_a_slot_that_is_not_there_is_refused(model: CompiledModel) -> None:
    with pytest.raises(ConfigError, match="no slot userr"):
        challenger_of(Setting(name="x", slots=("userr", "item")), model)


def test_what_leaves_nothing_to_compare_is_refused(model: CompiledModel) -> None:
    with pytest.raises(ConfigError, match="none to compare"):
        Part(events=10, training=10)
    with pytest.raises(ConfigError, match="no block"):
        train(model, events(60), Part(events=60, training=30), everyone(model, Setting(name="x")))
    counting = compile_model(MODEL + 'optimizer = "counting"\n')
    with pytest.raises(ConfigError, match="no weights"):
        train(counting, events(), PART, everyone(counting, Setting(name="x")))


def test_the_default_grid_changes_one_thing_at_a_time_within_what_models_may_have(
    model: CompiledModel,
) -> None:
    grid = default_grid(model, 1_000)
    assert len({setting.name for setting in grid}) == len(grid) >= 10
    for setting in grid:
        changed = {key for key in setting.described() if key != "warm"}
        assert len(changed) == 1, setting
        learner = {
            key: value for key, value in setting.described().items() if key in ("alpha", "l1", "l2", "decay")
        }
        challenger_model(model, learner, None, "a test")
    assert {"alpha=0.05", "decay=0.99", "window=200"} <= {setting.name for setting in grid}
    sgd = compile_model(MODEL + 'optimizer = "sgd"\n')
    assert not any(setting.decay for setting in default_grid(sgd, 1_000))
