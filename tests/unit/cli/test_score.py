import orjson
import pytest
from click.testing import CliRunner

from stream_ml.cli import score as module
from stream_ml.cli.score import score
from stream_ml.serving.results import EventError, NoModelYet, Score, Scores

GOOD = Score(
    prediction=0.25, log_odds=-1.0986, uncertainty=0.5, contributions={"hour": 0.1, "bias": -1.2}, error=None
)
BAD = Score(
    prediction=None,
    log_odds=None,
    uncertainty=None,
    contributions=None,
    error=EventError("invalid_json", "line 1"),
)


class Answering:
    """Stands where the client is; answers what the test wants."""

    def __init__(self, *scores: Score, stale: bool = False) -> None:
        self.answer = Scores(
            scores=scores, model="m", variant="m-1", fingerprint="f", step=7, watermark_us=None,
            weights_age_seconds=0.5, stale=stale, correlation_id=None,
        )  # fmt: skip

    def __call__(self, *_arguments: object, **_options: object) -> "Answering":
        return self

    def __enter__(self) -> "Answering":
        return self

    def __exit__(self, *_error: object) -> None: ...

    def score(self, _events: list[bytes], **_options: object) -> Scores:
        return self.answer


def run(tmp_path, monkeypatch, answering, *options):
    (tmp_path / "events.jsonl").write_text('{"a": 1}\n')
    monkeypatch.setattr(module, "PredictorClient", answering)
    return CliRunner().invoke(
        score,
        [str(tmp_path / "events.jsonl"), "--predictor", "127.0.0.1:1", *options],
        catch_exceptions=False,
    )


def test_a_score_comes_with_what_it_was_computed_from_and_its_strongest_features_first(tmp_path, monkeypatch):
    result = run(tmp_path, monkeypatch, Answering(GOOD), "--contributions")
    assert result.exit_code == 0
    assert "0.2500   step 7, weights 0.50 s old, uncertainty 0.500" in result.output
    assert result.output.index("bias") < result.output.index("hour")


def test_scripts_get_one_object_an_event(tmp_path, monkeypatch):
    result = run(tmp_path, monkeypatch, Answering(GOOD), "--json")
    found = orjson.loads(result.output)
    assert (found["prediction"], found["step"], found["stale"]) == (0.25, 7, False)


def test_an_event_without_a_score_shows_its_reason_and_the_exit_code_says_so(tmp_path, monkeypatch):
    result = run(tmp_path, monkeypatch, Answering(BAD))
    assert result.exit_code == 1
    assert "no score: invalid_json: line 1" in result.output
    assert (
        orjson.loads(run(tmp_path, monkeypatch, Answering(BAD), "--json").output)["error"]["reason"]
        == "invalid_json"
    )


def test_stale_weights_are_said_aloud(tmp_path, monkeypatch):
    assert "STALE" in run(tmp_path, monkeypatch, Answering(GOOD, stale=True)).output


def test_before_anything_is_learned_it_says_how_to_push_events(tmp_path, monkeypatch):
    class Waiting(Answering):
        def score(self, _events: list[bytes], **_options: object) -> Scores:
            raise NoModelYet("m has no snapshot yet")

    with pytest.raises(NoModelYet, match=r"m has no snapshot yet\n  hint: .*stream-ml send FILE"):
        run(tmp_path, monkeypatch, Waiting())
