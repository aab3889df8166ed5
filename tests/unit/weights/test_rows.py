"""How rows lie: the core, the files and the tools mean the same bytes."""

import struct

from stream_ml._native import Learner, Plan
from stream_ml.features import compile_model
from stream_ml.weights.inspection import ROW
from stream_ml.weights.rows import ID_BYTES, ROW_BYTES

LEARNER = 'name = "m"\nlabel = "y"\n[features]\na = "a"\n'


def test_a_row_of_the_core_has_the_bytes_that_files_and_tools_expect() -> None:
    learner = Learner(Plan(compile_model(LEARNER).plan_bytes))
    learner.learn([(0, [b'{"y": 1, "a": "x"}', b'{"y": 0, "a": "z"}'], [0, 0])])
    rows = learner.cut().rows
    assert len(rows) == 2 * ROW_BYTES == 2 * ROW.itemsize
    assert struct.calcsize("<Qff") == ROW_BYTES
    assert struct.calcsize("<Q") == ID_BYTES
    for id, z, n in struct.iter_unpack("<Qff", rows):
        assert learner.lookup(struct.pack("<Q", id)) == struct.pack("<Qff", id, z, n)
        assert n > 0
