"""Imports: the same rows from any format, and a reason for every row that is refused."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orb_learning import Telemetry, importer
from orb_learning._types import task_uuid
from orb_learning.capture import MAX_PAYLOAD_CHARACTERS
from orb_learning.errors import ImportFileError, SpoolWriteError
from orb_learning.events import UNHASHED, ExecutionRecorded, InvalidEvent
from orb_learning.home import Home
from orb_learning.importer import FieldMap, ImportReport, _importing, _meter, import_files
from orb_learning.importer._sources import Source
from orb_learning.spool import MAX_LINE_BYTES
from orb_learning.staging import LoadReport, load

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

ROW: dict[str, Any] = {
    "task_id": "7a3c8a52-90a4-4d1e-9f67-0d1f0a9b4a01",
    "timestamp": "2026-03-01T12:00:00Z",
    "task_type": "refactor",
    "task_description": "split the parser",
    "repo": "acme/api",
    "model_tier": "large",
    "pool_type": "swarm",
    "routing_confidence": 0.75,
    "success": True,
    "duration_seconds": 12.5,
}

ROWS: list[dict[str, Any]] = [
    ROW,
    {
        **ROW,
        "task_id": "issue #17",
        "timestamp": "2026-03-01T13:30:00.250000+01:00",
        "success": False,
        "task_description": 'with "quotes", commas,\nlines and ünïcödé 😀',
        "file_count": 3,
        "complexity_score": 90,
        "quality_score": 40,
        "cost_estimate": 0.5,
        "actual_cost": 0.625,
        "error_type": "quality_gate",
        "candidates": {"small": 0.25, "large": 0.75},
        "propensity": 0.75,
        "metadata": {"agent": "coder", "nested": {"list": [1, 2.5, None, "x"]}},
        "team": "blue",
    },
]

COLUMNS = list(ROWS[1])


def write_json(path: Path, rows: Sequence[object]) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def write_csv(path: Path, rows: Sequence[dict[str, Any]], columns: Sequence[str] = COLUMNS) -> Path:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {
                key: json.dumps(value) if isinstance(value, dict) else value
                for key, value in row.items()
            }
        )
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_parquet(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    source = write_json(path.parent / "rows-for-parquet.jsonl", rows)
    with duckdb.connect() as connection:
        connection.execute(
            """
            create table rows as from read_json($source, columns = {
                task_id: 'VARCHAR', timestamp: 'TIMESTAMPTZ', success: 'BOOLEAN',
                task_description: 'VARCHAR', task_type: 'VARCHAR', repo: 'VARCHAR',
                model_tier: 'VARCHAR', pool_type: 'VARCHAR', routing_confidence: 'DECIMAL(9, 3)',
                duration_seconds: 'DOUBLE', file_count: 'INTEGER', complexity_score: 'HUGEINT',
                quality_score: 'TINYINT', cost_estimate: 'FLOAT', actual_cost: 'DOUBLE',
                error_type: 'VARCHAR', candidates: 'MAP(VARCHAR, DOUBLE)', propensity: 'DOUBLE',
                metadata: 'JSON', team: 'VARCHAR'
            })
            """,
            {"source": str(source)},
        )
        connection.execute(f"copy rows to '{path}' (format parquet)")
    source.unlink()
    return path


WRITERS: dict[str, Callable[[Path, Sequence[dict[str, Any]]], Path]] = {
    "rows.jsonl": write_json,
    "rows.ndjson": write_json,
    "rows.JSON": write_json,
    "rows.jsonl.gz": write_json,
    "rows.csv": write_csv,
    "rows.csv.gz": write_csv,
    "rows.parquet": write_parquet,
    "rows.v2.parquet": write_parquet,
}


@pytest.fixture
def imported(import_into, home, events_in) -> Callable[..., list[Any]]:
    """Import one file of these rows and return the events, refusals included."""

    def run(*rows: object, **options: Any) -> list[Any]:
        report = import_into(write_json(home.root.parent / "rows.jsonl", rows), **options)
        events = events_in(home.spool)
        assert report.rows == len(rows) == len(events)
        assert report.rejected == sum(isinstance(event, InvalidEvent) for event in events)
        assert report.recorded == report.rows - report.rejected
        return events

    return run


def quarantine(home: Home) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(home.staging), read_only=True) as connection:
        query = "select claimed_type, reason, cast(line as varchar) from ledger.quarantine"
        return connection.execute(query).fetchall()


def test_a_refused_row_that_is_cut_keeps_its_ids(imported):
    row = {**ROW, "success": "perhaps", "task_description": "long " * 10_000, "user_id": "maria"}
    (refused,) = imported(row)
    assert len(refused.payload) <= MAX_PAYLOAD_CHARACTERS
    assert '"user_id": "maria"' in refused.payload
    assert ROW["task_id"] in refused.payload


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_rows(import_into, home, events_in, tmp_path, name):
    report = import_into(WRITERS[name](tmp_path / name, ROWS))

    assert report == ImportReport(1, rows=2, recorded=2, rejected=0, reasons=())
    first, second = (
        event.model_dump(exclude={"event_id", *UNHASHED}, exclude_none=True)
        for event in events_in(home.spool)
    )
    assert first == {
        **ROW,
        "event_type": "execution_recorded",
        "schema_version": 1,
        "task_id": UUID(ROW["task_id"]),
        "timestamp": NOON,
        "occurred_at": NOON.replace(second=12, microsecond=500_000),
    }
    assert second == {
        **{key: value for key, value in ROWS[1].items() if key != "team"},
        "event_type": "execution_recorded",
        "schema_version": 1,
        "task_id": task_uuid("issue #17"),
        "timestamp": NOON.replace(minute=30, microsecond=250_000),
        "occurred_at": NOON.replace(minute=30, second=12, microsecond=750_000),
        "metadata": {**ROWS[1]["metadata"], "team": "blue", "task_ref": "issue #17"},
    }


@pytest.mark.parametrize("name", WRITERS)
def test_importing_a_file_twice_changes_nothing(import_into, home, tmp_path, name):
    file = WRITERS[name](tmp_path / name, ROWS)
    import_into(file)
    assert load(home) == LoadReport(1, 2, 2)
    assert import_into(file).recorded == 2
    assert load(home) == LoadReport(2, 2, 0, 2)


def test_several_files_are_one_import(import_into, tmp_path):
    report = import_into(
        write_json(tmp_path / "a.jsonl", ROWS),
        write_csv(tmp_path / "b.csv", ROWS[:1]),
        write_json(tmp_path / "c.jsonl", [ROW, 1]),
    )
    reasons = ("c.jsonl row 2: not a JSON object but a int",)
    assert report == ImportReport(3, 5, 4, 1, reasons, replaced=2)


def test_an_import_of_nothing_is_an_import(import_into, tmp_path):
    assert import_into() == ImportReport(0, 0, 0, 0, ())
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "empty.csv").touch()
    (tmp_path / "header.csv").write_text("task_id,repo\n")
    (tmp_path / "blank.jsonl").write_text("\n  \n\r\n")
    files = [tmp_path / name for name in ("empty.jsonl", "empty.csv", "header.csv", "blank.jsonl")]
    assert import_into(*files) == ImportReport(4, 0, 0, 0, ())


def test_progress_is_told_for_every_row(import_into, tmp_path, monkeypatch):
    monkeypatch.setattr(_importing, "PROGRESS_ROWS", 2)
    told: list[int] = []
    import_into(write_json(tmp_path / "a.jsonl", [ROW] * 5), on_progress=told.append)
    assert told == [2, 2, 1]
    told.clear()
    import_into(write_json(tmp_path / "a.jsonl", [ROW] * 4), on_progress=told.append)
    assert told == [2, 2]


@pytest.mark.parametrize("name", ["rows.jsonl", "list.json", "object.json", "rows.csv"])
def test_the_share_that_is_read_is_told_in_bytes_of_both_readings(
    import_into, tmp_path, monkeypatch, name
):
    monkeypatch.setattr(_meter, "EVERY_ROWS", 10)
    rows = [{**ROW, "task_id": f"T-{number}", "note": "x" * 9000} for number in range(100)]
    file = tmp_path / name
    if name == "rows.csv":
        lines = [",".join(map(str, row.values())) for row in rows]
        file.write_text("\n".join([",".join(rows[0]), *lines]))
    else:
        document = {"rows.jsonl": None, "list.json": rows, "object.json": {"runs": rows}}[name]
        text = "\n".join(map(json.dumps, rows)) if document is None else json.dumps(document)
        file.write_text(text)
    told: list[tuple[int, int]] = []
    assert import_into(file, on_share=lambda *share: told.append(share)).recorded == 100
    size = file.stat().st_size
    assert {total for _, total in told} == {2 * size}
    done = [one for one, _ in told]
    assert done == sorted(done)
    assert done[-1] == 2 * size
    assert done[10] == size, "the first reading"
    assert done[11:21] == [size + size * number // 100 for number in range(10, 101, 10)]
    if name != "object.json":  # which is read whole for its first row
        assert 0 < done[4] < size


# Rows


@pytest.mark.parametrize("missing", ["task_type", "repo", "model_tier", "success", "timestamp"])
def test_a_row_without_what_an_execution_needs_is_refused(imported, missing):
    row = {key: value for key, value in ROW.items() if key != missing}
    *_, event = imported(ROW, row)
    assert isinstance(event, InvalidEvent)
    assert event.reason == f"{missing}: Field required"
    assert json.loads(event.payload) == row


@pytest.mark.parametrize("missing", ["task_type", "repo", "model_tier", "success", "timestamp"])
@pytest.mark.parametrize("given", ["absent", None])
def test_a_file_without_what_an_execution_needs_is_refused_once(
    import_into, home, tmp_path, missing, given
):
    row = {key: value for key, value in ROW.items() if key != missing}
    if given is None:
        row[missing] = None
    file = write_json(tmp_path / "a.jsonl", [row] * 3)
    with pytest.raises(ImportFileError) as caught:
        import_into(file)
    assert str(caught.value).startswith(
        f"{file}: no row has {missing}; say where to take it from, --map {missing}=PATH, or what it"
    )
    assert list(home.spool.glob("*")) == []


def test_a_duration_that_nobody_knows_is_unknown(imported):
    (event,) = imported({**ROW, "duration_seconds": None})
    assert event.duration_seconds is None
    assert event.occurred_at == event.timestamp == NOON


@pytest.mark.parametrize(
    ("given", "estimate", "actual"),
    [
        ({}, None, None),
        ({"cost_estimate": None, "actual_cost": None}, None, None),
        ({"cost_estimate": 0, "actual_cost": 0}, 0, 0),
        ({"cost_estimate": 2}, 2, None),
        ({"actual_cost": 3}, None, 3),
        ({"estimated_cost": 2, "cost": 3}, 2, 3),
        ({"cost_estimate": 2, "actual_cost": 3, "cost_source": "reported"}, 2, 3),
        ({"cost_estimate": 2, "actual_cost": 2, "cost_source": "estimate"}, 2, None),
        ({"cost_estimate": 0, "actual_cost": 0, "cost_source": "unknown"}, None, None),
        ({"cost_estimate": 2, "actual_cost": 3, "cost_source": "the bill"}, 2, 3),
    ],
)
def test_a_cost_that_nobody_knows_is_unknown_and_not_zero(imported, given, estimate, actual):
    (event,) = imported({**ROW, **given})
    assert (event.cost_estimate, event.actual_cost) == (estimate, actual)
    assert event.metadata is None


UNSAID = {
    "task_type": "unknown",
    "task_description": "",
    "file_count": 0,
    "pool_type": "unknown",
    "routing_confidence": 0.5,
    "duration_seconds": 0.0,
    "duration_source": "unknown",
}


@pytest.mark.parametrize("as_text", [False, True])
def test_an_export_says_which_of_its_values_nobody_said(imported, as_text):
    names = ["task_type", *sorted(UNSAID.keys() - {"duration_source"})]
    defaulted = f"[{', '.join(names)}]" if as_text else names
    (event,) = imported({**ROW, **UNSAID, "complexity_score": 50, "defaulted": defaulted})
    assert event.task_type == "unknown", "needed, and read as what nobody said"
    for name in UNSAID.keys() - {"task_type"}:
        assert getattr(event, name) is None, name
    assert event.complexity_score == 50
    assert event.metadata is None


def test_a_measured_duration_stays_one(imported):
    (event,) = imported({**ROW, "duration_seconds": 3, "duration_source": "measured"})
    assert (event.duration_seconds, event.duration_source) == (3, "measured")


@pytest.mark.parametrize("defaulted", [7, True, {"a": 1}, "file_count", [None, 3], ["colour"]])
def test_another_column_of_that_name_is_no_obstacle(imported, defaulted):
    (event,) = imported({**ROW, "repo": "acme/api", "defaulted": defaulted})
    assert (event.repo, event.metadata) == ("acme/api", None)


def test_what_no_field_takes_goes_into_the_metadata(imported):
    (event,) = imported(
        {**ROW, "team": "blue", "metadata": {"team": "red", "a": 1}, "tags": ["x"], "none": None}
    )
    assert event.metadata == {"team": "blue", "a": 1, "tags": ["x"]}


@pytest.mark.parametrize("metadata", ["text", 7, [1], True])
def test_metadata_that_is_no_object_is_kept_in_one(imported, metadata):
    (event,) = imported({**ROW, "metadata": metadata})
    assert event.metadata["metadata"] == metadata


@pytest.mark.parametrize(
    "time",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01 12:00:00+00",
        "2026-03-01 12:00:00+00:00",
        "2026-03-01T13:00:00.000+0100",
        "20260301T120000Z",
        1_772_366_400,
        1_772_366_400.0,
        1_772_366_400_000,
        "1772366400",
    ],
)
@pytest.mark.parametrize("assume_utc", [False, True])
def test_a_time_with_an_offset_is_that_moment(imported, time, assume_utc):
    (event,) = imported({**ROW, "timestamp": time}, assume_utc=assume_utc)
    assert event.timestamp == NOON


@pytest.mark.parametrize("time", ["2026-03-01T12:00:00", "2026-03-01 12:00", "20260301T12"])
def test_a_time_without_an_offset_is_refused(imported, time):
    *_, event = imported(ROW, {**ROW, "timestamp": time})
    assert event.reason == (
        "timestamp: Input should have timezone info; --assume-utc reads it as UTC, --timezone as "
        "of another zone"
    )


def test_a_file_of_times_without_an_offset_is_refused_once(import_into, home, tmp_path):
    rows = [{**ROW, "timestamp": "2026-03-01T12:00:00"}] * 3
    with pytest.raises(ImportFileError, match=r"no timestamp has an offset.* say --assume-utc"):
        import_into(write_json(tmp_path / "a.jsonl", rows))
    assert list(home.spool.glob("*")) == []


@pytest.mark.parametrize("time", ["2026-03-01T12:00:00", "2026-03-01 12:00", "20260301T12"])
def test_a_time_without_an_offset_may_be_read_as_utc(imported, time):
    (event,) = imported({**ROW, "timestamp": time, "occurred_at": time}, assume_utc=True)
    assert event.timestamp == event.occurred_at == NOON


def test_a_day_read_as_utc_is_its_midnight(imported):
    first, second = imported(
        {**ROW, "timestamp": "2026-03-01"}, {**ROW, "timestamp": "20260301"}, assume_utc=True
    )
    assert first.timestamp == second.timestamp == NOON.replace(hour=0)


@pytest.mark.parametrize("time", ["soon", "", [], {"at": 1}, True, "2026-13-01T00:00:00Z", 1e300])
def test_what_is_no_time_is_refused(imported, time):
    *_, event = imported(ROW, {**ROW, "timestamp": time}, assume_utc=True)
    assert event.reason.startswith("timestamp: ")


def test_a_row_may_name_its_event(imported):
    (event,) = imported({**ROW, "event_id": str(UUID(int=7))})
    assert event.event_id == UUID(int=7)


def test_equal_rows_are_one_event_and_different_rows_are_not(imported):
    events = imported(ROW, dict(reversed(ROW.items())), {**ROW, "repo": "acme/web"})
    assert events[0].event_id == events[1].event_id != events[2].event_id


def test_a_row_too_long_for_a_line_is_refused(imported):
    (event,) = imported({**ROW, "task_description": "x" * MAX_LINE_BYTES})
    assert event.reason == f"the row exceeds the line limit of {MAX_LINE_BYTES} bytes"


def test_a_reason_is_cut_where_a_row_makes_it_endless(imported):
    (event,) = imported({**ROW, "success": "k" * 300_000})
    assert event.reason.startswith("status word 'kkk")
    assert len(event.reason) == _importing.MAX_REASON_CHARACTERS


def test_text_that_no_file_can_hold_is_kept_as_its_escape(imported):
    first, second = imported({**ROW, "repo": "a\ud800", "\ud800": 1}, {**ROW, "task_id": "\ud800"})
    assert first.repo == "a\\ud800"
    assert first.metadata == {"\\ud800": 1}
    assert "surrogates not allowed" in second.reason


def test_only_the_first_reasons_are_told(import_into, tmp_path):
    rows = [*({"n": n} for n in range(4)), *([n] * n for n in range(1, 9)), ROW]
    report = import_into(write_json(tmp_path / "a.jsonl", rows))
    assert (report.rows, report.rejected) == (13, 12)
    assert report.reasons[0] == "8 rows, the first a.jsonl row 5: not a JSON object but a list"
    assert report.reasons[1].startswith("4 rows, the first a.jsonl row 1: success: Field required;")
    assert len(report.reasons) == 2


def test_no_more_reasons_are_told_than_anybody_reads(import_into, tmp_path, monkeypatch):
    monkeypatch.setattr(_importing, "MAX_REASONS", 6)
    rest = {key: value for key, value in ROW.items() if key != "success"}
    rows = [{**rest, "status": f"odd {number}"} for number in range(20)]
    report = import_into(write_json(tmp_path / "a.jsonl", rows))
    assert len(report.reasons) == _importing.SHOWN_REASONS
    assert report.reasons[0] == "14 rows, the first a.jsonl row 7: other reasons"


def test_rows_that_were_refused_end_in_quarantine_and_are_counted_once(import_into, home, tmp_path):
    row = {**ROW, "success": "perhaps"}
    file = write_json(tmp_path / "a.jsonl", [row, ROW, [1]])
    assert import_into(file).rejected == 2
    assert load(home) == LoadReport(1, 3, 1, 0, 2)
    import_into(file)
    assert load(home) == LoadReport(2, 3, 0, 3, 0)

    found = {reason.partition(";")[0]: line for _, reason, line in quarantine(home)}
    unknown = "status word 'perhaps' unknown"
    assert json.loads(json.loads(f'"{found[unknown]}"'.replace("\\x22", '\\"'))) == row


def test_a_row_may_be_as_long_as_any_line(import_into, home, events_in, tmp_path):
    filled = {f"k{number:02}": "x" * 8000 for number in range(32)}

    def write(name: str, pad: int) -> Path:
        metadata = {**filled, "pad": "x" * pad}
        return write_json(tmp_path / name, [{**ROW, "metadata": metadata}])

    import_into(write("a.jsonl", 1))
    (short,) = events_in(home.spool)
    room = MAX_LINE_BYTES - 1 - len(short.to_line())
    assert import_into(write("b.jsonl", 1 + room)).recorded == 1
    assert max(len(event.to_line()) for event in events_in(home.spool)) == MAX_LINE_BYTES - 1
    report = import_into(write("c.jsonl", 2 + room))
    assert report.rejected == 1
    assert "the row exceeds the line limit of 262144 bytes" in report.reasons[0]


# Field maps


def test_a_field_may_be_taken_from_elsewhere_in_the_row(imported):
    row = {**ROW, "metadata": {"agent": "coder", "model": {"name": "m-1"}}, "label": "x"}
    del row["model_tier"]
    (event,) = imported(
        row,
        field_map=FieldMap(["model_tier=metadata.model.name", "repo=label"]),
    )
    assert (event.model_tier, event.repo) == ("m-1", "x")
    assert event.metadata == {"agent": "coder", "model": {"name": "m-1"}, "label": "x"}


def test_a_field_may_be_put_together_from_a_template(imported):
    row = {**ROW, "metadata": {"agent": "coder", "model": "m-1", "retries": 2}}
    (event,) = imported(
        row,
        field_map=FieldMap(["model_tier={metadata.agent}|{metadata.model}, {metadata.retries}x"]),
    )
    assert event.model_tier == "coder|m-1, 2x"


@pytest.mark.parametrize(
    ("expression", "path"),
    [
        ("model_tier={metadata.agent}|{absent.path}", "absent.path"),
        ("model_tier={metadata.null}", "metadata.null"),
    ],
)
def test_a_row_that_lacks_a_part_of_a_template_is_refused(imported, expression, path):
    row = {**ROW, "metadata": {"agent": "coder", "null": None}}
    full = {**ROW, "metadata": {"agent": "coder", "null": 1}, "absent": {"path": "here"}}
    *_, event = imported(full, row, field_map=FieldMap([expression]))
    assert event.reason == f"model_tier: the row has no {path} to take it from"
    assert json.loads(event.payload) == row


@pytest.mark.parametrize(
    "path", ["metadata.model", "metadata.agent.name", "metadata.null", "absent", "metrics.cost"]
)
def test_a_field_whose_path_a_row_lacks_is_as_if_it_were_not_mapped(imported, path):
    row = {**ROW, "metadata": {"agent": "coder", "null": None}, "metrics": None}
    row.pop("actual_cost", None)
    full = {**ROW, "metadata": {"model": 1, "agent": {"name": 2}, "null": 3}, "absent": 4}
    full["metrics"] = {"cost": 5}
    maps = FieldMap([f"model_tier={path}", f"actual_cost={path}"])
    *_, event = imported(full, row, field_map=maps)
    assert (event.model_tier, event.actual_cost) == (ROW["model_tier"], None)


@pytest.mark.parametrize("expression", ["", "model_tier", "model_tier=", "=metadata.model", "="])
def test_a_map_of_another_form_is_refused(expression):
    with pytest.raises(
        ImportFileError, match="--map takes FIELD=PATH, FIELD='TEXT' or FIELD=TEMPLATE"
    ):
        FieldMap([expression])


def test_a_map_of_an_unknown_field_is_refused_and_names_the_known_ones():
    with pytest.raises(ImportFileError) as caught:
        FieldMap(["tier=metadata.model"])
    message = str(caught.value)
    assert message.startswith("--map: there is no field 'tier'; fields are actual_cost, attempt, ")
    assert "model_tier" in message


# Exported executions

EXECUTIONS = """
create table executions (
    task_id UUID, timestamp TIMESTAMP, task_type VARCHAR, task_description VARCHAR, repo VARCHAR,
    file_count INTEGER, estimated_tokens INTEGER, model_tier VARCHAR, pool_type VARCHAR,
    swarm_topology VARCHAR, routing_confidence DOUBLE, complexity_score INTEGER, success BOOLEAN,
    duration_seconds DOUBLE, quality_score INTEGER, cost_estimate DOUBLE, actual_cost DOUBLE,
    error_type VARCHAR, error_message VARCHAR, user_accepted BOOLEAN, user_rating INTEGER,
    peak_memory_mb DOUBLE, cpu_time_seconds DOUBLE, solution_summary VARCHAR, metadata JSON,
    uploaded_at TIMESTAMP, cost_source VARCHAR, policy_version VARCHAR, propensity DOUBLE,
    candidates JSON, parent_task_id UUID, attempt INTEGER, content_hash VARCHAR, load_id BIGINT,
    date DATE
)
"""

FIRST = UUID("7a3c8a52-90a4-4d1e-9f67-0d1f0a9b4a01")
SECOND = UUID(hashlib.md5(f"{FIRST}/attempt/2".encode(), usedforsecurity=False).hexdigest())


def exported(path: Path, options: str) -> Path:
    with duckdb.connect() as connection:
        connection.execute(EXECUTIONS)
        for task, parent, attempt, source, actual in (
            (FIRST, None, 1, "reported", 3.5),
            (SECOND, FIRST, 2, "estimate", 2.5),
            (UUID(int=3), None, 1, "unknown", 0.0),
        ):
            connection.execute(
                """
                insert into executions by name select
                    $task as task_id, timestamp '2026-03-01 12:00:00' as timestamp,
                    'refactor' as task_type, '' || $source as task_description, 'acme/api' as repo,
                    2 as file_count, 900 as estimated_tokens, 'large' as model_tier,
                    'swarm' as pool_type, 0.5 as routing_confidence, 50 as complexity_score,
                    true as success, 60.0 as duration_seconds,
                    case when $source = 'unknown' then 0 else 2.5 end as cost_estimate,
                    $actual as actual_cost, '{"team": "blue", "n": [1]}' as metadata,
                    now()::timestamp as uploaded_at, $source as cost_source,
                    '{"large": 0.5, "small": 0.5}' as candidates, $parent as parent_task_id,
                    $attempt as attempt, 'abc' as content_hash, 7 as load_id,
                    date '2026-03-01' as date
                """,
                {
                    "task": task,
                    "parent": parent,
                    "attempt": attempt,
                    "source": source,
                    "actual": actual,
                },
            )
        connection.execute(f"copy executions to '{path}' ({options})")
    return path


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("x.csv", "format csv, header"),
        ("x.csv.gz", "format csv, header, compression gzip"),
        ("x.parquet", "format parquet"),
        ("x.jsonl", "format json"),
    ],
)
def test_exported_executions_are_what_they_were(
    import_into, home, events_in, tmp_path, name, options
):
    report = import_into(exported(tmp_path / name, options), assume_utc=True)
    assert (report.rows, report.rejected) == (3, 0)

    events = events_in(home.spool)
    assert [(event.task_id, event.attempt) for event in events] == [
        (FIRST, 1),
        (FIRST, 2),
        (UUID(int=3), 1),
    ]
    assert [(event.cost_estimate, event.actual_cost) for event in events] == [
        (2.5, 3.5),
        (2.5, None),
        (None, None),
    ]
    for event in events:
        assert event.timestamp == NOON
        assert event.occurred_at == NOON.replace(minute=1)
        assert event.metadata == {"team": "blue", "n": [1]}
        assert event.candidates == {"large": 0.5, "small": 0.5}


def test_a_parent_that_is_another_task_leaves_the_task_its_id(imported):
    (event,) = imported({**ROW, "parent_task_id": str(UUID(int=9)), "attempt": 2})
    assert event.task_id == UUID(ROW["task_id"])


# Files


def test_a_file_that_is_not_there_is_named(import_into, tmp_path):
    with pytest.raises(ImportFileError) as caught:
        import_into(tmp_path / "runs.jsonl")
    assert str(caught.value) == f"{tmp_path}/runs.jsonl is not a file that can be read"
    with pytest.raises(ImportFileError, match=r"is a directory; name its files, such as '.*/\*"):
        import_into(tmp_path)


@pytest.mark.parametrize("name", ["runs", "runs.txt", "runs.gz", "runs.csv", ".jsonl", "x."])
def test_a_format_is_told_by_the_content_and_not_by_the_name(import_into, tmp_path, name):
    write_json(tmp_path / "rows.jsonl", ROWS).rename(tmp_path / name)
    assert import_into(tmp_path / name).recorded == len(ROWS)


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def scrambled(data: bytes) -> bytes:
    return data[:40] + bytes(byte ^ 0x5A for byte in data[40:])


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        (
            "a.jsonl.gz",
            cut(gzip.compress(b'{"a": 1}\n' * 999, mtime=0)),
            "Compressed file ended before",
        ),
        (
            "a.jsonl.gz",
            scrambled(gzip.compress(bytes(range(256)) * 99, mtime=0)),
            "Error -3 while decomp",
        ),
        ("a.parquet", b"PAR1", "too small to be a Parquet file"),
        ("a.parquet", b"PAR1" + b"x" * 999 + b"PAR1", "a.parquet"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(
    import_into, tmp_path, name, content, reason
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImportFileError) as caught:
        import_into(tmp_path / name)
    message = str(caught.value)
    assert message.startswith(f"cannot read {tmp_path / name}: ")
    assert reason in message
    assert "\n" not in message


def test_a_parquet_file_that_is_damaged_inside_is_refused_where_it_is(import_into, tmp_path):
    file = tmp_path / "a.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "copy (select 'text ' || range % 7 as repo, range as n from range(20_000))"
            f" to '{file}' (format parquet, row_group_size 2048)"
        )
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(byte ^ 0x5A for byte in data[middle : middle + 4000])
    file.write_bytes(data)

    with pytest.raises(ImportFileError) as caught:
        import_into(file)
    message = str(caught.value)
    assert message.startswith(f"cannot read {file}: ")
    assert "\n" not in message


def test_nothing_is_recorded_where_a_file_cannot_be_read(import_into, home, tmp_path):
    (tmp_path / "b.jsonl.gz").write_bytes(b"no")
    with pytest.raises(ImportFileError):
        import_into(write_json(tmp_path / "a.jsonl", ROWS), tmp_path / "b.jsonl.gz")
    assert load(home) == LoadReport(0, 0, 0)


def test_attempts_may_be_counted_from_nought(import_into, home, events_in, tmp_path):
    file = write_json(tmp_path / "a.jsonl", [{**ROW, "attempt": number} for number in (0, 1)])
    with pytest.raises(ImportFileError, match=r"a.jsonl row 1: attempt 0; .*--attempts-from 0"):
        import_into(file)
    assert events_in(home.spool) == []
    assert import_into(file, attempts_from=0).recorded == 2
    assert [event.attempt for event in events_in(home.spool)] == [1, 2]


def test_scores_from_nought_to_one_are_asked_about(import_into, home, events_in, tmp_path):
    file = write_json(tmp_path / "a.jsonl", [{**ROW, "quality": s} for s in (0.5, 1, 0)])
    with pytest.raises(ImportFileError, match=r"all quality scores .*--quality-scale 1"):
        import_into(file)
    assert events_in(home.spool) == []
    with Telemetry(home.root, quality_scale=1) as telemetry:
        assert import_files(telemetry, [file]).recorded == 3
    assert [event.quality_score for event in events_in(home.spool)] == [50, 100, 0]


def test_rows_that_replace_others_are_counted(import_into, tmp_path):
    runs = [
        {**ROW, "timestamp": f"2026-03-0{day}T12:00:00Z", "actual_cost": cost}
        for day, cost in ((1, 1), (1, 2), (1, 2), (2, 1), (1, 3))
    ]
    assert import_into(write_json(tmp_path / "a.jsonl", runs)).replaced == 2
    named = [{**ROW, "attempt": 1}, {**ROW, "attempt": 2}, {**ROW, "attempt": 1, "repo": "b"}]
    assert import_into(write_json(tmp_path / "b.jsonl", named)).replaced == 1


@pytest.mark.parametrize("name", ["a[12]", "*", "a?", "{a,b}", "it's", 'say "hi"', "new\nline"])
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl", ".csv"])
def test_a_files_name_is_no_pattern(import_into, home, events_in, tmp_path, name, suffix):
    write = WRITERS[f"rows{suffix}"]
    write(tmp_path / f"a1{suffix}", [{**ROW, "repo": "decoy"}, {**ROW, "repo": "decoy"}])
    write(tmp_path / "plain", [ROW]).rename(tmp_path / f"{name}{suffix}")

    assert import_into(tmp_path / f"{name}{suffix}").rows == 1
    assert [event.repo for event in events_in(home.spool)] == ["acme/api"]


def test_json_lines_may_be_badly_made_here_and_there(import_into, home, tmp_path):
    good = json.dumps(ROW).encode()
    (tmp_path / "a.jsonl").write_bytes(
        b"\n".join(
            [
                b"\xef\xbb\xbf" + good,
                good + b"\r",
                b"",
                b"{",
                b"\xff",
                b"[" * 100_000,
                b"9" * 5000,
                b"[1]",
                b'"text"',
                b"null",
                good,
            ]
        )
    )
    report = import_into(tmp_path / "a.jsonl")
    assert (report.rows, report.recorded) == (10, 3)
    assert [reason.partition(": ")[2] for reason in report.reasons] == [
        "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        "not JSON: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte",
        "not JSON: maximum recursion depth exceeded while decoding a JSON array from a unicode "
        "string",
        "not JSON: Exceeds the limit (4300 digits) for integer string conversion: value has 5000 "
        "digits; use sys.set_int_max_str_digits() to increase the limit",
        "not a JSON object but a list",
    ]
    assert load(home).loaded == 1


def test_csv_may_be_badly_made_here_and_there(import_into, home, events_in, tmp_path):
    header = ",".join(ROW) + ",metadata\n"
    good = "t,2026-03-01T12:00:00Z,a,b,c,d,e,0.5,yes,1"
    (tmp_path / "a.csv").write_bytes(
        b"\xef\xbb\xbf"
        + header.encode()
        + f"{good},\r\n".encode()
        + f"{good}\n".encode()
        + f"{good},{{}},more,and more\n".encode()
        + f"{good},no JSON\n".encode()
        + f"{good},{'[' * 100_000}\n".encode()
        + b"\n"
        + b"short\n"
        + f"{good},".encode()
        + b'"{""a"": ""\xff""}"\n'
    )
    report = import_into(tmp_path / "a.csv")
    assert (report.rows, report.recorded) == (7, 5)
    reasons = [reason.partition(": ")[2] for reason in report.reasons]
    assert "more values than the header has columns" in reasons
    recorded = [event for event in events_in(home.spool) if isinstance(event, ExecutionRecorded)]
    assert len(recorded) == 5
    kept = [event.metadata for event in recorded if event.metadata.keys() - {"task_ref"}]
    assert [str(said.get("metadata", said.get("a")))[:13] for said in kept] == [
        "no JSON",
        "[" * 13,
        "\ufffd",
    ]


@pytest.mark.parametrize("given", ["half of each", "{", "[0.5]", '{"small": 2}', "7"])
def test_candidates_that_are_none_do_not_cost_the_row(
    import_into, home, events_in, tmp_path, given
):
    file = write_csv(tmp_path / "a.csv", [{**ROW, "candidates": given}], [*ROW, "candidates"])
    report = import_into(file)
    assert (report.rejected, report.misfits) == (0, 1)
    (event,) = events_in(home.spool)
    assert event.candidates is None
    assert "candidates" in event.metadata


def test_json_in_parquet_that_is_too_deep_is_kept_as_text(import_into, tmp_path):
    file = tmp_path / "a.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "copy (select cast(repeat('[', 99_999) || repeat(']', 99_999) as json) as metadata,"
            " 't' as task_id, '2026-03-01T12:00:00Z' as timestamp, 'a' as task_type, 'b' as repo,"
            f" 'c' as model_tier, true as success) to '{file}' (format parquet)"
        )
    report = import_into(file)
    assert (report.rows, report.rejected) == (1, 0)


def test_any_column_of_parquet_can_be_imported(import_into, home, events_in, tmp_path):
    file = tmp_path / "a.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            f"""
            copy (
                select 't' as task_id, timestamp '2026-03-01 12:00:00' as timestamp,
                    'a' as task_type, 'b' as task_description, 'c' as repo, 'd' as model_tier,
                    'e' as pool_type, 0.5 as routing_confidence, true as success,
                    1 as duration_seconds, {{'agent': 'coder'}} as metadata,
                    'bytes'::blob as "an ""odd"" name", interval 1 day as span, uuid() as id,
                    [date '2026-03-01'] as days, time '12:00' as hour, 'inf'::double as endless,
                    timestamptz '2026-03-01 12:00:00+02' as "seen ""at"" noon"
            ) to '{file}' (format parquet)
            """
        )
    assert import_into(file, assume_utc=True).rejected == 0
    (event,) = events_in(home.spool)
    assert event.metadata.pop("id")
    assert event.metadata == {
        "agent": "coder",
        'an "odd" name': "bytes",
        "span": "1 day, 0:00:00",
        "days": ["2026-03-01"],
        "hour": "12:00:00",
        "endless": "inf",
        'seen "at" noon': "2026-03-01 10:00:00+00",
        "task_ref": "t",
    }


def test_a_day_in_parquet_is_its_midnight(import_into, home, events_in, tmp_path):
    rows = write_parquet(tmp_path / "rows.parquet", [ROW])
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select * replace (date '2026-03-01' as timestamp) from '{rows}')"
            f" to '{tmp_path / 'days.parquet'}' (format parquet)"
        )
    assert import_into(tmp_path / "days.parquet", assume_utc=True).rejected == 0
    assert [event.timestamp for event in events_in(home.spool)] == [NOON.replace(hour=0)]


def test_times_in_parquet_need_no_other_package(home, tmp_path):
    file = write_parquet(tmp_path / "rows.parquet", ROWS)
    program = (
        "import sys\n"
        "sys.modules['pytz'] = None\n"
        "from pathlib import Path\n"
        "from orb_learning import Telemetry\n"
        "from orb_learning.importer import import_files\n"
        "with Telemetry(sys.argv[1], strict=True) as telemetry:\n"
        "    print(import_files(telemetry, [Path(sys.argv[2])]).recorded)\n"
    )
    run = [sys.executable, "-c", program, str(home.root), str(file)]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "2\n"


def test_a_spool_that_cannot_be_written_stops_the_import(import_into, home, tmp_path, monkeypatch):
    read: list[Any] = []
    watched = Source.watched
    monkeypatch.setattr(Source, "watched", lambda *of: read.append(watched(*of)) or read[-1])
    home.root.mkdir()
    home.spool.write_text("")
    with pytest.raises(SpoolWriteError) as caught:
        import_into(write_json(tmp_path / "a.jsonl", ROWS))
    assert str(caught.value) == (
        f"cannot write to the spool in {home.spool}; import again when it can be written, "
        "rows already there are not doubled"
    )
    assert read
    assert all(file.closed for file in read)  # while the error still holds who reads them


# Whatever there is

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
_rows = st.dictionaries(
    st.sampled_from([*ExecutionRecorded.model_fields, *importer.DERIVED_COLUMNS]) | st.text(), _json
)


@settings(max_examples=100)
@given(
    rows=st.lists(_rows | _json, max_size=6),
    changed=st.lists(_rows.map(lambda row: {**ROW, **row}), max_size=4),
    assume_utc=st.booleans(),
)
def test_every_row_of_json_is_recorded_or_refused(
    tmp_path_factory, events_in, rows, changed, assume_utc
):
    folder = tmp_path_factory.mktemp("json")
    rows = [ROW, *rows]  # or it would be no file of rows
    file = write_json(folder / "a.jsonl", [*rows, *changed])
    with Telemetry(folder / "home") as telemetry:
        try:
            report = import_files(telemetry, [file], assume_utc=assume_utc)
        except ImportFileError as error:
            assert any(
                remedy in str(error)
                for remedy in ("--attempts-from 0", "--quality-scale 1", "--map", "--assume-utc")
            )
            assert not events_in(folder / "home" / "spool")
            return

    assert report.rows == len(rows) + len(changed) == report.recorded + report.rejected
    kinds = [type(event) for event in events_in(folder / "home" / "spool")]
    assert kinds.count(ExecutionRecorded) == report.recorded
    assert kinds.count(InvalidEvent) == report.rejected


@settings(max_examples=100)
@given(
    content=st.binary(max_size=300) | st.text(max_size=200).map(str.encode),
    name=st.sampled_from(["a.jsonl", "a.csv", "a.parquet", "a.jsonl.gz", "a.csv.gz"]),
)
def test_any_file_is_read_or_refused(tmp_path_factory, content, name):
    folder = tmp_path_factory.mktemp("any")
    (folder / name).write_bytes(content)
    with Telemetry(folder / "home") as telemetry:
        try:
            report = import_files(telemetry, [folder / name])
        except ImportFileError as error:
            assert "\n" not in str(error)
        else:
            assert report.rows == report.recorded + report.rejected
