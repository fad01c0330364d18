"""Times, ids, flags and names in files: read as what they are from every format, or refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orb_learning.events import ExecutionRecorded, InvalidEvent
from orb_learning.importer import FieldMap, import_files
from test_importer import NOON, ROW, write_csv, write_json

TASK = UUID("0198a3a0-0000-7000-8000-000000000001")
TIME_FAULT = "time must lie between 1970-01-01 and 2200-01-01; numbers below 1e11 are seconds"


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_any_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    return write_csv(path, rows, list(rows[0]))


FORMATS: dict[str, Callable[[Path, Any], Path]] = {
    "a.jsonl": write_json,
    "a.csv": write_any_csv,
    "a.parquet": write_parquet,
}


@pytest.fixture(params=FORMATS)
def imported(request, telemetry, recorded, tmp_path):
    """Import one row with some other values, from a file of each format."""

    def run(*maps: str, assume_utc: bool = False, **values: Any) -> Any:
        file = FORMATS[request.param](tmp_path / request.param, [{**ROW, **values}])
        import_files(telemetry, [file], field_map=FieldMap(maps), assume_utc=assume_utc)
        (event,) = recorded()
        return event

    return run


@pytest.mark.parametrize("parts", [1, 10**3, 10**6, 10**9])
@pytest.mark.parametrize("kind", [int, float, str, lambda said: f"{said}.0"])
@pytest.mark.parametrize("name", ["timestamp", "occurred_at", "captured_at"])
def test_a_number_as_time_is_read_by_its_size(imported, name, kind, parts):
    event = imported(**{name: kind(int(NOON.timestamp()) * parts)})
    assert isinstance(event, ExecutionRecorded)
    assert getattr(event, name) == NOON


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        (1_772_366_400_123_456, NOON + timedelta(microseconds=123_456)),
        (1_772_366_400.125, NOON + timedelta(seconds=0.125)),
        ("1700010112345", datetime(2023, 11, 15, 1, 1, 52, 345_000, tzinfo=UTC)),
        ("1.7723664e+12", NOON),
    ],
)
def test_a_number_as_time_may_be_mapped(imported, said, moment):
    assert imported("timestamp=begun", begun=said).timestamp == moment


def test_a_decimal_is_a_number_since_1970(telemetry, recorded, tmp_path):
    row = {**ROW, "timestamp": Decimal("1772366400.250")}
    import_files(telemetry, [write_parquet(tmp_path / "a.parquet", [row])])
    assert [event.timestamp for event in recorded()] == [NOON + timedelta(seconds=0.25)]


@pytest.mark.parametrize(
    "said", [-1, 7_258_118_400, 99_999_999_999, "-1.5", 9.9e18, "1e30", "1e999"]
)
def test_a_number_outside_the_years_is_refused_in_one_line(imported, said):
    event = imported(timestamp=said)
    assert isinstance(event, InvalidEvent)
    assert event.reason.startswith(f"timestamp: {TIME_FAULT}")


def test_eight_digits_as_text_are_a_day(imported):
    assert imported(timestamp="20260301", assume_utc=True).timestamp == NOON.replace(hour=0)


@pytest.mark.parametrize("said", [True, False])
def test_a_boolean_is_no_time(imported, said):
    event = imported(occurred_at=said)
    assert isinstance(event, InvalidEvent)
    assert event.reason.startswith("occurred_at: ")


@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize(
    "name",
    [
        *("duration_seconds", "actual_cost", "cost_estimate", "quality_score", "peak_memory_mb"),
        *("cpu_time_seconds", "propensity", "user_rating", "file_count", "complexity_score"),
        *("routing_confidence", "estimated_tokens"),
    ],
)
def test_a_boolean_is_kept_beside_the_outcome(imported, name, said):
    event = imported(**{name: said})
    assert isinstance(event, ExecutionRecorded)
    assert getattr(event, name) == ExecutionRecorded.model_fields[name].default
    assert str(event.metadata[name]) == str(said)


@pytest.mark.parametrize("said", [True, False])
def test_a_boolean_that_is_asked_for_refuses_the_row(imported, said):
    event = imported(attempt=said)
    assert isinstance(event, InvalidEvent)
    assert event.reason.startswith("attempt: Input should be a ")


def test_names_of_two_forms_are_one(imported):
    event = imported(repo="cafe\u0301", solution_summary="re\u0301essayer")
    assert (event.repo, event.solution_summary) == ("caf\u00e9", "r\u00e9essayer")


# Ids in Parquet


@pytest.mark.parametrize("kind", [pa.binary(16), pa.binary(), pa.large_binary(), pa.uuid()])
@pytest.mark.parametrize("name", ["task_id", "event_id", "decision_id"])
def test_16_bytes_are_a_uuid(telemetry, recorded, tmp_path, name, kind):
    row = {key: [value] for key, value in ROW.items()}
    ids = pa.array([TASK.bytes], kind)
    for columns, maps in (({**row, name: ids}, []), ({**row, "run": ids}, [f"{name}=run"])):
        pq.write_table(pa.table(columns), tmp_path / "a.parquet")
        import_files(telemetry, [tmp_path / "a.parquet"], field_map=FieldMap(maps))
    assert [getattr(event, name) for event in recorded()] == [TASK, TASK]
    assert all("task_ref" not in (event.metadata or {}) for event in recorded())


def test_other_bytes_are_no_id(telemetry, recorded, tmp_path):
    for said in (b"ticket-7", bytes(15), bytes(17)):
        rows = [{**ROW, "task_id": said}, {**ROW, "event_id": said}]
        for row in rows:
            import_files(telemetry, [write_parquet(tmp_path / "a.parquet", [row])])
    reasons = {event.reason for event in recorded()}
    assert all(isinstance(event, InvalidEvent) for event in recorded())
    assert {reason[:9] for reason in reasons} == {"event_id:", "a task id"}
    assert all("\n" not in reason for reason in reasons)


def test_a_refused_row_shows_its_id_as_whoever_is_meant(telemetry, recorded, tmp_path):
    row = {**ROW, "task_id": TASK.bytes, "success": "perhaps"}
    import_files(telemetry, [write_parquet(tmp_path / "a.parquet", [row])])
    assert str(TASK) in recorded()[0].payload


@pytest.mark.parametrize("spelled", [str, lambda given: given.bytes])
def test_a_later_attempt_is_known_by_the_bytes_of_its_ids(telemetry, recorded, tmp_path, spelled):
    second = hashlib.md5(f"{TASK}/attempt/2".encode(), usedforsecurity=False).hexdigest()
    row = {
        **ROW,
        "task_id": spelled(UUID(second)),
        "parent_task_id": spelled(TASK),
        "attempt": 2,
    }
    import_files(telemetry, [write_parquet(tmp_path / "a.parquet", [row])])
    (event,) = recorded()
    assert (event.task_id, event.attempt) == (TASK, 2)


def test_a_time_with_an_offset_is_read_from_anywhere(telemetry, recorded, tmp_path):
    row = {**ROW, "run": {"begun": NOON, "all": [NOON]}}
    file = write_parquet(tmp_path / "a.parquet", [row])
    import_files(telemetry, [file], field_map=FieldMap(["timestamp=run.begun"]))
    assert [event.timestamp for event in recorded()] == [NOON]
