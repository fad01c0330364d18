"""Durations in Parquet files that Arrow wrote: by their unit, wherever they lie, or refused."""

from __future__ import annotations

import base64
import json
import struct
import subprocess
import sys
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orb_learning.errors import ImportFileError
from orb_learning.importer import FieldMap, import_files
from orb_learning.importer._durations import arrow_fields
from test_importer import ROW

UNITS = ["s", "ms", "us", "ns"]
THREE = timedelta(seconds=3)


@pytest.fixture
def imported(telemetry, recorded, tmp_path):
    """Import a table of one column or more beside those of a good row, and return its events."""

    def run(columns: dict[str, Any], *maps: str, **how: Any) -> list[Any]:
        pq.write_table(table(columns), tmp_path / "runs.parquet", **how)
        import_files(telemetry, [tmp_path / "runs.parquet"], field_map=FieldMap(maps))
        return recorded()

    return run


def table(columns: dict[str, Any]) -> pa.Table:
    rows = len(next(iter(columns.values())))
    given = {name: value for name, value in ROW.items() if name not in columns}
    repeated = {name: [value] * rows for name, value in given.items()}
    repeated["task_id"] = [f"task {row}" for row in range(rows)]
    return pa.table({**repeated, **columns})


def whole(count: int, unit: str) -> pa.Array:
    """Return a duration of so many of its units."""
    return pa.array([count], pa.duration(unit))


@pytest.mark.parametrize("name", ["duration_seconds", "duration", "cpu_time_seconds"])
@pytest.mark.parametrize("unit", UNITS)
def test_a_duration_is_read_by_its_unit(imported, name, unit):
    said = pa.array([THREE, None, timedelta(0)], pa.duration(unit))
    drop = {} if name == "duration_seconds" else {"duration_seconds": [None] * 3}
    events = imported({**drop, name: said})
    field = "duration_seconds" if name == "duration" else name
    assert [getattr(event, field) for event in events] == [3.0, None, 0.0]


@pytest.mark.parametrize(
    ("count", "unit", "seconds"),
    [
        (10**9, "s", 1e9),
        (1, "ms", 0.001),
        (1_500, "ms", 1.5),
        (7, "us", 7e-06),
        (3_600_000_123, "us", 3600.000123),
        (1_500_000_000, "ns", 1.5),
        (86_400_000_000_000, "ns", 86400.0),
    ],
)
def test_a_part_of_a_second_is_kept(imported, count, unit, seconds):
    (event,) = imported({"duration_seconds": whole(count, unit)})
    assert event.duration_seconds == seconds


@pytest.mark.parametrize(
    ("count", "unit"), [(-1, "s"), (-(2**63) + 1, "s"), (2**63 - 1, "s"), (2**63 - 1, "ms")]
)
def test_a_duration_that_none_can_last_is_kept_beside_the_outcome(imported, count, unit):
    (event,) = imported({"duration_seconds": whole(count, unit)})
    assert event.duration_seconds is None
    assert event.metadata["duration_seconds"]


def test_a_duration_is_no_other_number(imported):
    (event,) = imported({"actual_cost": whole(3, "s"), "file_time": whole(3000, "ms")})
    assert event.actual_cost is None
    assert event.metadata["actual_cost"] == event.metadata["file_time"] == "0:00:03"


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("path", ["elapsed", "meta.elapsed", "meta.deep.elapsed"])
def test_a_duration_may_be_mapped_from_anywhere(imported, unit, path):
    said = pa.array([THREE], pa.duration(unit))
    for name in reversed(path.split(".")[1:]):
        said = pa.StructArray.from_arrays([pa.array(["x"]), said], ["other", name])
    (event,) = imported({path.split(".")[0]: said}, f"duration_seconds={path}")
    assert event.duration_seconds == 3.0


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (pa.list_, [THREE, None]),
        (pa.large_list, [THREE, None]),
        (lambda inner: pa.list_(inner, 2), [THREE, None]),
        (lambda inner: pa.map_(pa.string(), inner), {"k": THREE}),
        (lambda inner: pa.map_(pa.string(), pa.list_(inner)), {"k": [THREE]}),
        (
            lambda inner: pa.list_(pa.struct([("n", pa.int64()), ("d", inner)])),
            [{"n": 3, "d": THREE}],
        ),
        (
            lambda inner: pa.struct([("d", inner), ("l", pa.list_(pa.list_(inner)))]),
            {"d": THREE, "l": [[THREE]]},
        ),
        (lambda inner: pa.list_(pa.int64()), [3]),
    ],
)
def test_durations_within_a_column_are_read_by_their_unit(imported, kind, said, unit):
    column = pa.array([said, None], kind(pa.duration(unit)))
    first, second = imported({"told": column})
    assert first.metadata["told"] == json.loads(json.dumps(said, default=str))
    assert "told" not in (second.metadata or {})


def test_many_columns_of_all_units_keep_their_own(imported):
    columns = {
        f"{kind}_{number}": pa.array([number], pa.int64())
        if kind == "n"
        else pa.array([timedelta(seconds=number)], pa.duration(kind))
        for number in range(100)
        for kind in (*UNITS, "n")
    }
    (event,) = imported(columns)
    for name in columns:
        kind, _, number = name.partition("_")
        assert event.metadata[name] == (
            int(number) if kind == "n" else str(timedelta(seconds=int(number)))
        )


def test_columns_of_one_name_keep_their_units(telemetry, recorded, tmp_path):
    columns = [*ROW, "a", "a"]
    twice = table({"a": whole(3000, "ms"), "b": whole(3, "s")}).rename_columns(columns)
    pq.write_table(twice, tmp_path / "runs.parquet")
    import_files(telemetry, [tmp_path / "runs.parquet"])
    (event,) = recorded()
    assert {value for name, value in event.metadata.items() if name.startswith("a")} == {"0:00:03"}


def test_numbers_without_a_unit_are_seconds(imported):
    assert imported({"duration_seconds": pa.array([3], pa.int64())})[0].duration_seconds == 3
    (_, event) = imported({"duration_seconds": pa.array([4], pa.int64())}, store_schema=False)
    assert event.duration_seconds == 4


def test_a_message_of_an_older_arrow_is_read(monkeypatch):
    message = pa.schema([("d", pa.duration("us"))]).serialize().to_pybytes()
    for spelled in (message, message[4:]):
        (field,) = arrow_fields(base64.b64encode(spelled))
        assert field.per_second == 10**6


def test_durations_need_no_other_package(home, tmp_path):
    pq.write_table(table({"duration_seconds": whole(3000, "ms")}), tmp_path / "a.parquet")
    program = (
        "import sys\n"
        "sys.modules['pyarrow'] = sys.modules['pandas'] = sys.modules['pytz'] = None\n"
        "from pathlib import Path\n"
        "from orb_learning import Telemetry\n"
        "from orb_learning.importer import import_files\n"
        "with Telemetry(sys.argv[1], strict=True) as telemetry:\n"
        "    print(import_files(telemetry, [Path(sys.argv[2])]).recorded)\n"
    )
    run = [sys.executable, "-c", program, str(home.root), str(tmp_path / "a.parquet")]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "1\n"
    (line,) = [file.read_text() for file in home.spool.iterdir()]
    assert '"duration_seconds":3.0' in line


def with_schema(path: Path, columns: dict[str, Any], schema: bytes) -> Path:
    """Write a file of whole numbers with such an `ARROW:schema`."""
    kept = table(columns)
    kinds = {field.name: field.type for field in kept.schema}
    plain = {
        name: pa.int64() if pa.types.is_duration(kind) else kind for name, kind in kinds.items()
    }
    numbers = kept.cast(pa.schema(plain))
    with duckdb.connect() as connection:
        connection.register("numbers", numbers)
        connection.execute(
            f"copy (from numbers) to '{path}'"
            f" (format parquet, kv_metadata {{'ARROW:schema': '{schema.decode()}'}})"
        )
    return path


def schema_of(columns: dict[str, Any]) -> bytes:
    return base64.b64encode(table(columns).schema.serialize().to_pybytes())


COLUMNS = {"duration_seconds": whole(3000, "ms"), "cpu_time_seconds": whole(3, "s")}


def test_the_schema_of_a_file_may_be_replaced_by_a_test(telemetry, recorded, tmp_path):
    import_files(telemetry, [with_schema(tmp_path / "a.parquet", COLUMNS, schema_of(COLUMNS))])
    assert [event.duration_seconds for event in recorded()] == [3.0]


@pytest.mark.parametrize(
    "schema",
    [
        b"",
        b"not base64!",
        b"AAAA",
        base64.b64encode(b"\xff" * 64),
        schema_of(COLUMNS)[:200],
        schema_of({"duration_seconds": whole(3, "s")}),
        schema_of({"cpu_time_seconds": COLUMNS["cpu_time_seconds"], "duration_seconds": [3]}),
        base64.b64encode(bytes(200)),
        base64.b64encode(struct.pack("<IIHHHHiB", 0, 12, 8, 6, 0, 4, 8, 1)),  # and no header
    ],
)
def test_a_schema_that_cannot_be_read_refuses_the_columns_in_one_line(
    telemetry, recorded, tmp_path, schema
):
    file = with_schema(tmp_path / "a.parquet", COLUMNS, schema)
    with pytest.raises(ImportFileError) as caught:
        import_files(telemetry, [file])
    said = str(caught.value)
    assert said.startswith(
        f"cannot read {file}: duration_seconds, cpu_time_seconds may be durations, whose unit only "
        "the file's ARROW:schema tells, and it cannot be read ("
    )
    assert "\n" not in said
    assert recorded() == []


def nested(kind: pa.DataType, depth: int) -> pa.DataType:
    return nested(pa.list_(kind), depth - 1) if depth else kind


def test_a_schema_is_as_deep_as_any_table_and_no_deeper():
    for depth, is_read in ((60, True), (70, False)):
        schema = pa.schema([("d", nested(pa.duration("s"), depth))]).serialize().to_pybytes()
        with nullcontext() if is_read else pytest.raises(ValueError, match="nested too deep"):
            assert arrow_fields(base64.b64encode(schema))[0].has_duration


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([{"a": 1}], pa.array([{"a": THREE, "b": 1}])),
        ([1], pa.array([[THREE]])),
        ([["x"]], pa.array([[THREE]])),
    ],
)
def test_a_schema_of_other_columns_refuses_them_in_one_line(
    telemetry, recorded, tmp_path, column, said
):
    number = {"number": [7]}
    schema = schema_of({"told": said, **number})
    file = with_schema(tmp_path / "a.parquet", {"told": column, **number}, schema)
    with pytest.raises(ImportFileError, match="may be durations, whose unit only the file's ARROW"):
        import_files(telemetry, [file])
    assert recorded() == []


def test_a_schema_that_cannot_be_read_matters_only_to_whole_numbers(telemetry, recorded, tmp_path):
    import_files(telemetry, [with_schema(tmp_path / "a.parquet", {"x": ["y"]}, b"?")])
    assert [event.duration_seconds for event in recorded()] == [12.5]


@settings(max_examples=300)
@given(data=st.data())
def test_any_bytes_are_a_schema_or_none(data):
    good = pa.schema([("a", pa.list_(pa.duration("ns"))), ("b", pa.struct([("c", pa.int8())]))])
    message = bytearray(good.serialize().to_pybytes())
    for at in data.draw(st.lists(st.integers(0, len(message) - 1), max_size=6)):
        message[at] = data.draw(st.integers(0, 255))
    try:
        arrow_fields(base64.b64encode(message))
    except ValueError as error:
        assert str(error)
