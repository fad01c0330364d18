"""Tables as spreadsheets of other countries save them: decimal commas, dates, zones."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orb_learning.errors import ImportFileError
from orb_learning.events import ExecutionRecorded, InvalidEvent
from orb_learning.importer import FieldMap
from test_importer import ROW, write_json

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HEADER = ("timestamp", "task_type", "repo", "model_tier", "success", "cost", "minutes")


@pytest.fixture
def said(import_into, home, events_in, tmp_path):
    """Import a table of times, costs and minutes, and return the events."""

    def run(rows: list[tuple[str, str, str]], delimiter: str = ";", **options: Any) -> list[Any]:
        lines = [HEADER, *((time, "x", "r", "m", "ok", *said) for time, *said in rows)]
        file = tmp_path / "table.csv"
        file.write_text("\n".join(delimiter.join(line) for line in lines))
        import_into(file, field_map=FieldMap(["duration_seconds=minutes*60"]), **options)
        return events_in(home.spool)

    return run


Z = "2026-03-01T12:00:00Z"


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_decimal_commas_are_read_where_commas_do_not_delimit(said, delimiter):
    rows = [(Z, "0,42", "1"), (Z, "1.234,5", "2,5"), (Z, "7", ""), (Z, "1.234", "3")]
    events = said(rows, delimiter)
    assert [event.actual_cost for event in events] == [0.42, 1234.5, 7, 1234]
    assert [event.duration_seconds for event in events] == [60, 150, None, 180]


@pytest.mark.parametrize(
    ("costs", "read"),
    [
        (["1,234"], [None]),  # of thousands, or of one
        (["1,234", "0,5"], [1.234, 0.5]),
        (["0,500"], [0.5]),
        (["1,234.5", "0,42"], [None, None]),
        (["0,42", "free"], [None, None]),
        (["1.234", "2"], [1.234, 2]),
    ],
)
def test_a_column_that_may_be_read_in_two_ways_is_left(said, costs, read):
    assert [event.actual_cost for event in said([(Z, cost, "1") for cost in costs])] == read


def test_in_a_file_longer_than_what_is_looked_at_the_first_rows_decide(said):
    events = said([(Z, f"0,{number % 89 + 10}", "1") for number in range(8000)])
    assert {event.actual_cost for event in events} == {n / 100 for n in range(10, 99)}


@pytest.mark.parametrize(
    "time",
    [
        "01.03.2026 12:00",
        "1.3.2026 12:00:00",
        "01.03.2026, 12:00",
        "01.03.2026 12:00:00.000",
        " 01.03.2026  12:00 ",
    ],
)
def test_between_dots_the_day_stands_first(said, time):
    (event,) = said([(time, "1", "1")], assume_utc=True)
    assert event.timestamp == NOON


def test_a_day_alone_and_an_offset_are_read_too(said):
    day, moment = said(
        [("01.03.2026", "1", "1"), ("01.03.2026 14:00 +02:00", "1", "1")], assume_utc=True
    )
    assert (day.timestamp, moment.timestamp) == (NOON.replace(hour=0), NOON)


@pytest.mark.parametrize(
    ("zone", "time", "hour"),
    [
        ("Europe/Berlin", "01.03.2026 13:00", 12),
        ("America/New_York", "2026-03-01 07:00", 12),
        ("UTC", "2026-03-01 12:00", 12),
        ("Europe/Berlin", "2026-03-01T12:00:00Z", 12),
    ],
)
def test_times_without_an_offset_are_of_the_zone_that_is_said(said, zone, time, hour):
    (event,) = said([(time, "1", "1")], timezone=zone)
    assert event.timestamp == NOON.replace(hour=hour)


@pytest.mark.parametrize("zone", ["Mars/Base", "../etc/passwd", "x\0", "CET-"])
def test_a_zone_that_nobody_knows_is_refused(said, home, zone):
    with pytest.raises(ImportFileError, match=r"no time zone .* is known here; say one such as"):
        said([(Z, "1", "1")], timezone=zone)
    assert list(home.spool.glob("*")) == []


@pytest.mark.parametrize(
    ("form", "time"),
    [("%m/%d/%Y %I:%M %p", "3/1/2026 12:00 PM"), ("%d/%m/%y %H:%M%z", "01/03/26 13:00+0100")],
)
def test_times_are_read_as_it_is_said(said, form, time):
    (event,) = said([(time, "1", "1")], time_format=form, assume_utc=True)
    assert event.timestamp == NOON


def test_what_is_written_otherwise_than_said_is_read_as_ever(said):
    first, second = said(
        [("1/3/2026", "1", "1"), (Z, "1", "1")], time_format="%d/%m/%Y", assume_utc=True
    )
    assert (first.timestamp, second.timestamp) == (NOON.replace(hour=0), NOON)


@pytest.mark.parametrize("time", ["03/01/2026 12:00", "yesterday", "1.13.2026 12:00"])
def test_a_file_of_which_no_time_is_read_is_refused_once(said, home, time):
    with pytest.raises(ImportFileError) as caught:
        said([(time, "1", "1")] * 3, assume_utc=True)
    assert f"no timestamp is read, such as '{time}'; write it as 2026-11-20T14:05" in str(
        caught.value
    )
    assert "--time-format '%d/%m/%Y %H:%M'" in str(caught.value)
    assert list(home.spool.glob("*")) == []


@pytest.mark.parametrize("time", ["0001-01-01 00:00", "01.01.0001", "9999-12-31 23:59"])
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_a_time_at_the_end_of_the_calendar_refuses_its_row_alone(said, zone, time):
    first, second = said([(time, "1", "1"), (Z, "1", "1")], timezone=zone)
    assert isinstance(first, InvalidEvent)
    assert isinstance(second, ExecutionRecorded)


def test_one_time_that_is_not_read_refuses_its_row_alone(said):
    first, second = said([("soon", "1", "1"), (Z, "1", "1")])
    assert isinstance(first, InvalidEvent)
    assert isinstance(second, ExecutionRecorded)


@pytest.mark.parametrize("given", [{"state": "done"}, ["done"]])
def test_success_that_holds_others_is_refused_with_what_to_do(
    import_into, home, events_in, tmp_path: Path, given
):
    import_into(write_json(tmp_path / "a.jsonl", [{**ROW, "success": given}]))
    (event,) = events_in(home.spool)
    assert event.reason == (
        "success holds others; map what says how the run ended, as --map success=verdict.state"
    )


@pytest.mark.parametrize(
    ("options", "start", "end", "seconds"),
    [
        ({"timezone": "Europe/Berlin"}, "29.03.2026 01:30", "29.03.2026 03:30", 3600),
        ({"assume_utc": True}, "29.03.2026 01:30", "29.03.2026 03:30", 7200),
        ({"time_format": "%d/%m/%Y %H:%M%z"}, "1/3/2026 12:00+0100", "1/3/2026 11:10Z", 600),
    ],
)
def test_times_that_are_subtracted_are_read_as_all_others(
    import_into, home, events_in, tmp_path: Path, options, start, end, seconds
):
    row = {**ROW, "timestamp": start, "ended": end}
    field_map = FieldMap(["duration_seconds=ended - timestamp"])
    import_into(write_json(tmp_path / "a.jsonl", [row]), field_map=field_map, **options)
    (event,) = events_in(home.spool)
    assert event.duration_seconds == seconds
