from __future__ import annotations

import pytest

from services.drift_monitor.states import States


def test_what_is_put_in_is_seen_at_once_and_in_the_table_when_it_is_handed_over() -> None:
    table = {b"a": b"1", b"b": b"2"}
    states = States(table)
    states["b"], states["c"] = b"3", b"4"
    assert {**states} == {"a": b"1", "b": b"3", "c": b"4"}
    assert table == {b"a": b"1", b"b": b"2"}
    states.hand_over()
    assert table == {b"a": b"1", b"b": b"3", b"c": b"4"}


def test_what_is_removed_is_gone_though_the_table_has_it_yet() -> None:
    table = {b"a": b"1", b"b": b"2"}
    states = States(table)
    del states["a"]
    states["c"] = b"4"
    assert states.pop("c") == b"4"
    assert [*states] == ["b"]
    assert len(states) == 1
    assert states.get("a") is None
    with pytest.raises(KeyError):
        del states["a"]
    states.hand_over()
    assert table == {b"b": b"2"}


def test_what_was_handed_over_is_not_handed_over_again() -> None:
    table: dict[bytes, bytes] = {}
    states = States(table)
    states["a"] = b"1"
    states.hand_over()
    table.clear()
    states.hand_over()
    assert table == {}
