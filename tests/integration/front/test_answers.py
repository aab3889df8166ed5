"""The Thrift front on real sockets: what a good client gets."""

import json
import time

import pytest

from stream_ml import _native
from stream_ml.serving.client import PredictorClient
from stream_ml.serving.results import BadRequest, NoModelYet, StaleWeights, UnknownModel
from tests.integration.front.wire import (
    GOOD,
    PLAN,
    OpenFront,
    client_of,
    replica,
)


def test_scores_are_those_of_the_replica_and_say_what_they_were_computed_from(open_front: OpenFront) -> None:
    front = open_front(serving=False)
    served = replica(learned_at=time.time() - 5, step=11)
    front.serve("clicks", "v3", served)
    with client_of(front) as client:
        answer = client.score(
            [GOOD, json.loads(GOOD)], uncertainty=True, contributions=True, correlation_id="abc"
        )
    expected = served.score([GOOD], uncertainty=True, contributions=True)[0]
    for score in answer.scores:
        assert (score.prediction, score.log_odds) == (expected["prediction"], expected["log_odds"])
        assert score.uncertainty == expected["uncertainty"]
        assert score.contributions == dict(expected["contributions"])
        assert list(score.contributions) == ["user", "page", "both", "price", "bias"]
        assert sum(score.contributions.values()) == pytest.approx(score.log_odds, abs=1e-6)
    assert (answer.model, answer.variant, answer.step) == ("clicks", "v3", 11)
    assert (answer.fingerprint, answer.correlation_id) == (PLAN.fingerprint, "abc")
    assert (answer.stale, answer.watermark_us) == (False, None)
    assert 5 <= answer.weights_age_seconds < 60


def test_what_was_not_asked_for_is_not_computed(client: PredictorClient) -> None:
    score = client.score([GOOD]).scores[0]
    assert (score.uncertainty, score.contributions, score.error) == (None, None, None)


def test_a_bad_event_fails_alone(client: PredictorClient) -> None:
    bad = [b"", b"{", b'{"user": []}', b"\xff\xfe", GOOD + b"\n" + GOOD]
    good = client.score([GOOD]).scores[0]
    mixed = client.score([part for event in bad for part in (GOOD, event)] + [GOOD]).scores
    assert all(score == good for score in mixed[::2])
    errors = [score.error for score in mixed[1::2]]
    assert [error.reason for error in errors if error] == [
        "invalid_json",
        "invalid_json",
        "wrong_type",
        "invalid_utf8",
        "invalid_json",
    ]
    assert all(error and error.detail for error in errors)


def test_an_empty_call_is_answered_with_no_scores(client: PredictorClient) -> None:
    assert client.score([]).scores == ()


def test_before_a_model_is_served_there_is_no_model_yet(open_front: OpenFront) -> None:
    front = open_front(serving=False)
    with client_of(front, 0.1) as client:
        with pytest.raises(NoModelYet):
            client.score([GOOD])
        front.expect("clicks")
        with pytest.raises(NoModelYet, match="clicks"):
            client.score([GOOD], model="clicks")
        assert [model.ready for model in client.models()] == [False]


def test_another_models_name_is_unknown_and_the_known_ones_are_said(client: PredictorClient) -> None:
    with pytest.raises(UnknownModel) as raised:
        client.score([GOOD], model="other")
    assert raised.value.models == ("clicks",)


def test_of_several_models_one_must_be_named(front: _native.Front, client: PredictorClient) -> None:
    front.serve("visits", "v9", replica())
    with pytest.raises(BadRequest, match="clicks, visits"):
        client.score([GOOD])
    assert client.score([GOOD], model="visits").variant == "v9"
    assert client.score([GOOD], model="clicks").variant == "v1"


def test_weights_older_than_allowed_are_refused(open_front: OpenFront) -> None:
    front = open_front(serving=False)
    front.serve("clicks", "v1", replica(learned_at=time.time() - 100))
    with client_of(front, 0.1) as client:
        assert client.score([GOOD], max_weights_age_seconds=1_000).scores[0].error is None
        with pytest.raises(StaleWeights) as raised:
            client.score([GOOD], max_weights_age_seconds=50)
        assert 100 <= raised.value.weights_age_seconds < 160
        with pytest.raises(StaleWeights):
            client.score([GOOD], max_weights_age_seconds=float("nan"))


def test_status_tells_what_is_served(front: _native.Front, client: PredictorClient) -> None:
    front.expect("visits")
    front.mark_stale("clicks", True)
    status = client.status()
    assert (status.connections, status.draining) == (1, False)
    served, awaited = status.models
    assert (served.model, served.ready, served.variant, served.step, served.stale) == (
        "clicks",
        True,
        "v1",
        7,
        True,
    )
    assert served.rows is not None
    assert served.rows > 100
    assert (awaited.model, awaited.ready, awaited.variant) == ("visits", False, None)
    assert client.models() == status.models or client.models()[0].weights_age_seconds


def test_stale_is_said_until_the_next_variant(front: _native.Front, client: PredictorClient) -> None:
    front.mark_stale("clicks", True)
    assert client.score([GOOD]).stale
    front.serve("clicks", "v2", replica())
    assert not client.score([GOOD]).stale
