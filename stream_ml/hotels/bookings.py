"""
The stream of the hotels example: bookings of two hotels, and whether each was cancelled in the end.

Hotel booking demand (Antonio, de Almeida, Nunes; Data in Brief 22 (2019) 41-49), one CSV row a booking.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from stream_ml.errors import ConfigError
from stream_ml.streams.events_from_files import Event, read_events

# Of the bookings before, only those made long ahead are in the data.
FIRST_DAY = date(2015, 7, 1)
MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
# Known when the booking is made, and as they were then. Left out is what is filled in or changed later, as
# the outcome unfolds: reservation_status, assigned_room_type, booking_changes, required_car_parking_spaces,
# days_in_waiting_list, and country, which is often first asked for at check-in.
FIELDS = (
    "hotel", "lead_time", "stays_in_weekend_nights", "stays_in_week_nights", "adults", "children", "babies",
    "meal", "market_segment", "distribution_channel", "is_repeated_guest", "previous_cancellations",
    "previous_bookings_not_canceled", "reserved_room_type", "deposit_type", "agent", "company",
    "customer_type", "adr", "total_of_special_requests",
)  # fmt: skip
# Bookings of one day come in no order: the file's own, by arrival, would tell something of them.
SEED = 20_260_301


@dataclass(frozen=True, slots=True)
class Booking:
    """
    One booking.

    Attributes:
        event: its fields, without label and times.
        booked_on: when it is made, and scored.
        known_on: when its outcome is known: the day of the cancellation, of the departure, or of the no-show.
        cancelled: the outcome, 1 or 0.
    """

    id: str
    event: dict[str, Any]
    booked_on: date
    known_on: date
    cancelled: int


def bookings(file: str, last_day: date | None = None) -> list[Booking]:
    """
    Return the bookings of *file* in the order in which they were made, up to *last_day*.

    Raises:
        ConfigError: the file is not there, or is another one.
    """
    found = list(_chosen(read_events(file, "csv"), file, last_day))
    random.Random(SEED).shuffle(found)
    found.sort(key=lambda booking: booking.booked_on)
    return found


def _chosen(rows: Iterable[Event], file: str, last_day: date | None) -> Iterator[Booking]:
    for number, row in enumerate(rows, start=1):
        assert isinstance(row, dict)
        try:
            booking = _booking(number, row)
        except (KeyError, ValueError) as error:
            raise ConfigError(
                f"{file}: row {number} is no booking: {error!r}\n"
                "  hint: docs/hotels.md says where the data are"
            ) from error
        if booking.booked_on >= FIRST_DAY and (last_day is None or booking.booked_on <= last_day):
            yield booking


def _booking(number: int, row: dict[str, Any]) -> Booking:
    month = MONTHS.index(row["arrival_date_month"]) + 1
    arrival = date(row["arrival_date_year"], month, row["arrival_date_day_of_month"])
    return Booking(
        id=f"b{number}",
        event={**{name: row[name] for name in FIELDS if name in row}, "arrival": arrival.isoformat()},
        booked_on=arrival - timedelta(days=row["lead_time"]),
        known_on=date.fromisoformat(row["reservation_status_date"]),
        cancelled=row["is_canceled"],
    )
