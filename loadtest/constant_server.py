"""The peer of `loadtest serve`: a thriftpy2 Cython server, framed as ours, that only returns a constant."""

from __future__ import annotations

import os
import sys
from typing import Any

from thriftpy2.protocol import TCyBinaryProtocolFactory
from thriftpy2.rpc import make_server
from thriftpy2.transport import TCyFramedTransportFactory

from stream_ml.serving.idl import predictor

ANSWER = predictor.ScoreResponse(
    scores=[predictor.Score(prediction=0.25, log_odds=-1.0986)],
    model="criteo",
    variant="v1",
    fingerprint="0" * 32,
    step=1,
    weights_age_seconds=0.0,
    stale=False,
)


class _Handler:
    def score(self, events: list[bytes], options: Any) -> Any:
        return ANSWER


def serve(port: int, cores: list[int]) -> None:
    """Answer until the process is killed."""
    os.sched_setaffinity(0, cores)
    make_server(
        predictor.Predictor,
        _Handler(),
        "127.0.0.1",
        port,
        proto_factory=TCyBinaryProtocolFactory(),
        trans_factory=TCyFramedTransportFactory(),
        client_timeout=3_600_000,
    ).serve()


if __name__ == "__main__":
    serve(int(sys.argv[1]), [int(core) for core in sys.argv[2].split(",")])
