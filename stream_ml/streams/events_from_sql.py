"""Events out of a database: the rows of a query, through SQLAlchemy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from stream_ml.errors import ConfigError
from stream_ml.streams.events_from_files import check_names, without_nothing

if TYPE_CHECKING:
    from sqlalchemy import Engine

_ROWS_AT_ONCE = 1_000


def read_query(url: str, query: str) -> Iterator[dict[str, Any]]:
    """
    Yield the rows of *query* as events, in its order, without ever holding all of them.

    Args:
        url: of SQLAlchemy: ``postgresql://…``, ``sqlite:///file.db``.

    Raises:
        ConfigError: it has no ORDER BY, or the database refuses it.
    """
    if re.search(r"\border\s+by\b", query, re.IGNORECASE) is None:
        raise ConfigError(
            "the query has no order: events are learned in the order of time\n"
            "  hint: ORDER BY the event's time and something that tells equal times apart"
        )
    try:
        import sqlalchemy
    except ModuleNotFoundError as error:
        raise ConfigError("a query needs SQLAlchemy\n  hint: pip install 'stream-ml[sql]'") from error
    try:
        engine = _engine(url)
        with engine.connect().execution_options(yield_per=_ROWS_AT_ONCE) as connection:
            rows = connection.execute(sqlalchemy.text(query))
            check_names(rows.keys(), "the query")
            for row in rows.mappings():
                yield without_nothing(dict(row))
        engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, ModuleNotFoundError) as error:
        raise ConfigError(f"the query failed: {error}") from error


def _engine(url: str) -> Engine:
    from sqlalchemy import create_engine

    try:
        return create_engine(url)
    except ValueError as error:  # of a port that is none
        raise ConfigError(f"the database's URL cannot be read: {error}") from error
