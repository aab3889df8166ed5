import pytest

from loadtest import retrain_cuda
from stream_ml.errors import ConfigError
from stream_ml.retraining.cuda import LANES


def test_all_lanes_have_a_challenger_of_their_own() -> None:
    assert len(set(retrain_cuda.GRID)) == LANES


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrain_cuda, "is_there", lambda: False)
    with pytest.raises(ConfigError, match="no GPU"):
        retrain_cuda.run(quick=True, seed=1)
