"""What is in a snapshot, for people: its weights, the strongest first, by the names of their features."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy
import orjson
from numpy.typing import NDArray

from stream_ml._native import Plan
from stream_ml.weights.artefact import ArtefactReader

ROW = numpy.dtype([("id", "<u8"), ("z", "<f4"), ("n", "<f4")])

Floats = NDArray[numpy.float32]


class Weight(NamedTuple):
    """
    One row.

    Attributes:
        slot, value: of its feature; None where no event of the sample has it. A number has no value.
        w, z, n: float32.
    """

    slot: str | None
    value: str | None
    id: int
    w: float
    z: float
    n: float


class Weights(NamedTuple):
    """
    The live rows of a snapshot.

    Attributes:
        ids: uint64, shape (k,), unique.
        z, n, w: float32, shape (k,).
    """

    ids: NDArray[numpy.uint64]
    z: Floats
    n: Floats
    w: Floats


def weights_of(snapshot: ArtefactReader) -> Weights:
    """Read the rows of *snapshot* and derive their weights; all of them are in memory at once."""
    parts = snapshot.parts()
    chunks = [numpy.frombuffer(rows, ROW) for rows in snapshot.rows()]
    rows = numpy.concatenate(chunks) if chunks else numpy.empty(0, ROW)
    # Of several rows of one id the last counts: it is the first one seen from the end.
    ids, last = numpy.unique(rows["id"][::-1], return_index=True)
    live = ~numpy.isin(ids, numpy.frombuffer(parts.removed, "<u8"))
    kept = rows[::-1][last[live]]
    return Weights(
        ids[live], kept["z"], kept["n"], weight(orjson.loads(parts.plan)["learner"], kept["z"], kept["n"])
    )


def weight(learner: dict[str, Any], z: Floats, n: Floats) -> Floats:
    """
    Return the weights that rows stand for, by the *learner* of their plan.

    FTRL: McMahan et al. 2013, Algorithm 1; counting has none; the others keep the weight itself in z.
    """
    if learner["optimizer"] == "counting":
        return numpy.zeros_like(z)
    if learner["optimizer"] != "ftrl":
        return z
    alpha, beta, l1, l2 = (numpy.float32(learner[name]) for name in ("alpha", "beta", "l1", "l2"))
    shrunk = z - numpy.copysign(l1, z)
    scale = (beta + numpy.sqrt(n)) * (numpy.float32(1) / alpha) + l2
    return numpy.where(numpy.abs(z) <= l1, numpy.float32(0), -shrunk / scale)


def strongest(weights: Weights, count: int, names: dict[int, tuple[str, str | None]]) -> list[Weight]:
    """Return the *count* weights that are furthest from zero, with what *names* calls them."""
    found = []
    for at in numpy.argsort(-numpy.abs(weights.w), kind="stable")[:count]:
        id = int(weights.ids[at])
        slot, value = names.get(id, (None, None))
        found.append(
            Weight(slot, value, id, float(weights.w[at]), float(weights.z[at]), float(weights.n[at]))
        )
    return found


def names_in(events: Iterable[bytes], plan: Plan) -> dict[int, tuple[str, str | None]]:
    """Return slot and value of every feature of *events*, by id; an event that is refused names nothing."""
    numbers = {slot["name"] for slot in orjson.loads(plan.source)["slots"] if slot["kind"] == "number"}
    names: dict[int, tuple[str, str | None]] = {}
    for event in events:
        try:
            features = plan.explain(event)["features"]
        except ValueError:
            continue
        for slot, value, id, _ in features:
            names[id] = (slot, None if slot in numbers else value)
    return names
