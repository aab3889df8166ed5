from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from stream_ml.errors import ConfigError
from stream_ml.hotels.bookings import FIELDS, bookings

HEADER = (
    "hotel,is_canceled,lead_time,arrival_date_year,arrival_date_month,arrival_date_day_of_month,adults,agent,"
    "country,reservation_status,reservation_status_date"
)
ROWS = [
    "Resort Hotel,0,2,2015,July,5,2,NULL,PRT,Check-Out,2015-07-09",
    "City Hotel,1,30,2015,July,5,1,9,PRT,Canceled,2015-06-20",
    "City Hotel,1,10,2016,March,11,1,9,FRA,Canceled,2016-03-02",
    "City Hotel,0,3,2015,July,4,1,9,ESP,Check-Out,2015-07-06",
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "hotel_bookings.csv"
    path.write_text("\n".join([HEADER, *ROWS]))
    return path


def test_bookings_come_in_the_order_in_which_they_were_made(file: Path) -> None:
    found = bookings(str(file))
    assert [booking.id for booking in found] == ["b4", "b1", "b3"]  # the second is from before the first day
    assert found[1].booked_on == date(2015, 7, 3)
    assert (found[2].known_on, found[2].cancelled) == (date(2016, 3, 2), 1)


def test_an_event_holds_nothing_that_is_known_only_later(file: Path) -> None:
    for booking in bookings(str(file)):
        assert set(booking.event) <= {*FIELDS, "arrival"}
    assert "agent" not in bookings(str(file))[1].event


def test_the_stream_can_end_early(file: Path) -> None:
    assert len(bookings(str(file), last_day=date(2015, 12, 31))) == 2


def test_another_file_is_refused_with_its_row(file: Path) -> None:
    file.write_text("\n".join([HEADER, ROWS[0].replace("July", "Juli")]))
    with pytest.raises(ConfigError, match=r"row 1 is no booking.*\n.*docs/hotels\.md"):
        bookings(str(file))
