from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from stream_ml.errors import ConfigError
from stream_ml.streams.events_from_sql import read_query


@pytest.fixture
def url(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table sales (id integer, at text, price real, buyer text)")
        database.executemany(
            "insert into sales values (?, ?, ?, ?)",
            [(number, f"2026-03-{31 - number:02}", number / 2, None) for number in range(5)],
        )
    database.close()
    return f"sqlite:///{tmp_path}/shop.db"


def test_rows_are_events_in_the_order_of_the_query_without_nulls(url: str) -> None:
    events = list(read_query(url, "select id, price, buyer from sales where id > 2 Order  By at"))
    assert events == [{"id": 4, "price": 2.0}, {"id": 3, "price": 1.5}]


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ("select id from sales", "the query has no order"),
        ("select id from sale order by id", "the query failed"),
        ("select id, price as id from sales order by at", "several columns are called id"),
    ],
)
def test_a_query_that_cannot_be_learned_from_is_refused(url: str, query: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        list(read_query(url, query))
    with pytest.raises(ConfigError, match="the query failed"):
        list(read_query("nosuch://x", "select 1 order by 1"))
    with pytest.raises(ConfigError, match=r"the database's URL cannot be read: .*'port'"):
        list(read_query("sqlite://host:port/x", "select 1 order by 1"))
