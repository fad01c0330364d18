"""Files of any usual format are read as what they are, or refused once with what to do."""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather, ipc, parquet

from orb_learning import Telemetry
from orb_learning.errors import ImportFileError
from orb_learning.events import ExecutionRecorded, InvalidEvent
from orb_learning.importer import FieldMap, _json_rows, import_files
from test_importer import ROW, ROWS, write_json

TEXT = "Jos\u00e9 \u2019s \u201cfix\u201d \u2013 50 \u20ac; a, b"
"""What cp1252 can say and UTF-8 says otherwise."""


@pytest.fixture
def said(import_into, home, events_in, tmp_path) -> Callable[..., list[Any]]:
    """Import one file with this content and return the events."""

    def run(content: bytes | str, name: str = "runs.txt", **options: Any) -> list[Any]:
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        import_into(file, **options)
        return events_in(home.spool)

    return run


@pytest.fixture
def refused(import_into, home, tmp_path) -> Callable[..., str]:
    """Import one file with this content, which is refused and leaves nothing."""

    def run(content: bytes | str, name: str = "runs.txt", **options: Any) -> str:
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(ImportFileError) as caught:
            import_into(file, **options)
        assert list(home.spool.glob("*")) == []
        message = str(caught.value)
        assert "\n" not in message
        return message

    return run


def rows(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{**ROW, "task_id": f"t{number}", **more} for number in range(count)]


def table(found: Sequence[dict[str, Any]], **style: Any) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(found[0]), **style)
    writer.writeheader()
    writer.writerows(found)
    return text.getvalue()


def refs(events: Sequence[Any]) -> list[str]:
    assert all(isinstance(event, ExecutionRecorded) for event in events)
    return [event.metadata["task_ref"] for event in events]


# JSON


@pytest.mark.parametrize("indent", [None, 2, 0])
@pytest.mark.parametrize("end", ["", "\n", "\r\n \t\n"])
def test_a_list_is_its_items(said, indent, end):
    assert refs(said(" \n" + json.dumps(rows(200), indent=indent) + end)) == [
        f"t{number}" for number in range(200)
    ]


def test_a_list_longer_than_what_is_read_at_once_is_read_whole(said, monkeypatch):
    monkeypatch.setattr(_json_rows, "_CHUNK", 7)
    found = rows(3, task_description="long " * 50, quality_score=12, n=[1.25e3, -7, None, True])
    events = said(json.dumps(found))
    assert [event.quality_score for event in events] == [12] * 3
    assert events[0].metadata["n"] == [1250, -7, None, True]


def test_pretty_objects_one_after_another_are_rows(said):
    assert refs(said("\n".join(json.dumps(row, indent=4) for row in rows(3)))) == ["t0", "t1", "t2"]


def test_one_pretty_object_is_a_row(said):
    (event,) = said(json.dumps({**ROWS[1], "calls": [{"model": "m"}]}, indent=2))
    assert event.metadata["calls"] == [{"model": "m"}]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda found: {"runs": found},
        lambda found: {"version": 2, "model": "x", "results": found, "tags": ["a"], "none": []},
        lambda found: {"data": {"page": {"items": found}}},
    ],
)
def test_an_object_that_holds_one_list_is_that_list(said, indent, wrap):
    assert refs(said(json.dumps(wrap(rows(3)), indent=indent))) == ["t0", "t1", "t2"]


def test_of_several_lists_one_is_named(refused, said):
    document = json.dumps({"data": {"runs": rows(2)}, "errors": [{"a": 1}], "n": [1]})
    assert refused(document).endswith(
        "holds several lists of objects; say which: --rows data.runs or --rows errors"
    )
    assert refs(said(document, rows="data.runs")) == ["t0", "t1"]


def test_a_list_that_is_not_there_is_named(refused):
    assert refused(json.dumps({"runs": rows(1)}), rows="run").endswith("there is no list run in it")


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("path", [".", "by.id"])
def test_an_object_of_objects_is_rows_with_their_keys(said, indent, path):
    found = {f"k{number}": row for number, row in enumerate(rows(3))}
    found["k1"]["key"] = "its own"
    document = found if path == "." else {"by": {"id": found}, "total": 3, "errors": [{"a": 1}]}
    events = said(
        json.dumps(document, indent=indent), rows=path, field_map=FieldMap(["task_group=key"])
    )
    assert refs(events) == ["t0", "t1", "t2"]
    assert [event.task_group for event in events] == ["k0", "its own", "k2"]


def test_objects_of_objects_in_lines_are_rows_too(said):
    lines = [json.dumps({row["task_id"]: row}) for row in rows(3)]
    assert refs(said("\n".join(lines), rows=".")) == ["t0", "t1", "t2"]


@pytest.mark.parametrize("found", [{}, {"a": {"b": 1}, "c": 2}, 7, "text"])
def test_an_object_of_anything_else_is_no_rows(refused, found):
    assert refused(json.dumps({"runs": found}), rows="runs").endswith("there is no list runs in it")


def test_an_object_with_several_lists_may_be_the_row_itself(said):
    row = {**rows(1)[0], "calls": [{"a": 1}], "steps": [{"b": 2}]}
    (event,) = said(json.dumps(row, indent=2), rows=".")
    assert event.metadata["steps"] == [{"b": 2}]


def test_lists_in_lines_are_rows_too(said):
    lines = [json.dumps({"batch": rows(2)}), json.dumps({"batch": [{**ROW, "task_id": "t9"}]})]
    assert refs(said("\n".join(lines), rows="batch")) == ["t0", "t1", "t9"]


@pytest.mark.parametrize("content", ["[]", "[ ]", "", "\n", '{"runs": []}\n[]'])
def test_nothing_is_nothing(import_into, tmp_path, content):
    (tmp_path / "a.json").write_text(content)
    if content.startswith("{"):
        with pytest.raises(ImportFileError):
            import_into(tmp_path / "a.json")
    else:
        assert import_into(tmp_path / "a.json").rows == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (json.dumps(rows(3))[:-1], "the end of the list"),
        (json.dumps(rows(3), indent=1)[:300], "as JSON: "),
        (json.dumps(rows(2)) + json.dumps(rows(2)), "something follows the list"),
        (json.dumps(rows(2))[:-1] + ",]", "a value is missing after the comma"),
        (json.dumps(rows(2)).replace("}, {", "} {"), "a comma is missing"),
        ("[" * 100_000, "recursion"),
        ('{"a": ' * 100_000, "none of its first lines is a JSON object"),
        ("1\n2\n3\n" * 20_000, "none of its first lines is a JSON object"),
        ('"text"\n', "none of its first lines is a JSON object"),
        ("<html><body>", "is XML or HTML"),
        ('<?xml version="1.0"?>', "is XML or HTML"),
        (b"PK\x03\x04" + b"x" * 99, "is a workbook or an archive: save its table as CSV"),
        (b"SQLite format 3\0" + b"x" * 99, "is a SQLite database"),
        (b"%PDF-1.7 \xff\xfe", "is a PDF file"),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 99, "is neither text nor Parquet nor Arrow"),
    ],
)
def test_what_holds_no_rows_is_refused_once(refused, content, reason):
    assert reason in refused(content, "runs.json")


def test_a_bad_line_among_good_ones_is_refused_alone(said):
    lines = ['{"half": ', *map(json.dumps, rows(2)), "[1]"]
    kinds = [type(event) for event in said("\n".join(lines))]
    assert kinds.count(ExecutionRecorded) == 2
    assert kinds.count(InvalidEvent) == 2


# CSV


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize(
    "quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC], ids=["min", "all", "text"]
)
@pytest.mark.parametrize("quote", ['"', "'"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_any_delimiter_and_quoting_is_told(said, delimiter, quoting, quote, ends):
    texts = ["a, b; c", "it said 'no'", 'it said "yes"', "a bar | and\ta tab", "plain"]
    texts += ["two\nlines"] if ends != "\r" else []  # which Python writes without quotes
    found = [
        {**ROW, "task_id": f"t{number}", "task_description": text}
        for number, text in enumerate(texts)
    ]
    style = {"delimiter": delimiter, "quoting": quoting, "quotechar": quote}
    events = said(table(found, lineterminator=ends, **style))
    assert [event.task_description for event in events] == texts


def test_quotes_may_be_escaped_by_a_backslash(said):
    found = rows(3, task_description='say "hi", then go')
    style = {"doublequote": False, "escapechar": "\\"}
    events = said(table(found, quoting=csv.QUOTE_ALL, **style))
    assert {event.task_description for event in events} == {'say "hi", then go'}


def test_excel_may_be_told_its_delimiter(said):
    assert refs(said("sep=;\r\n" + table(rows(2), delimiter=";"))) == ["t0", "t1"]


def test_many_columns_take_no_longer_than_they_are_many(refused):
    begun = time.process_time()
    assert "no row has timestamp" in refused(",".join(f"c{n}" for n in range(100_000)) + "\n1,2\n")
    assert "names column_1 twice" in refused("column_1,column_1" + "," * 1_000_000 + "\n1,2\n")
    assert time.process_time() - begun < 30


def test_a_cell_may_be_of_any_size_and_harms_no_row_beside_it(said):
    before = csv.field_size_limit()
    found = rows(5)
    found[2]["task_description"] = "y" * 140_000
    events = said(table(found))
    assert refs(events) == [f"t{number}" for number in range(5)]
    assert len(events[2].metadata["cut_texts"]) == 1
    assert csv.field_size_limit() == before


def test_a_quote_that_is_never_closed_is_said(said):
    found = rows(60)
    found[0]["task_description"] = "one, two"
    text = table(found).splitlines(keepends=True)
    text[56] = text[56].replace("split the parser", '"split the parser')
    events = said("".join(text))
    assert [type(event) for event in events] == [*[ExecutionRecorded] * 55, InvalidEvent]
    assert events[-1].reason.endswith("a quote is missing")


def test_a_delimiter_at_the_end_of_each_line_is_no_value(said):
    assert len(refs(said(table(rows(2)).replace("\r\n", ",\r\n").replace(",", ",", 1)))) == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("task_id\nt1\n", "its header has one column, 'task_id'; is it a table, delimited by"),
        ("task_id:repo\nt1:r\n", "its header has one column, 'task_id:repo'"),
        ("a,b,a\n1,2,3\n", "its header names a twice"),
        ("some notes\nof nobody\n", "its header has one column"),
    ],
)
def test_what_is_no_table_is_refused_once(refused, content, reason):
    assert reason in refused(content, "runs.csv")


# Encodings


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "cp1252"],
)
@pytest.mark.parametrize("form", ["csv", "lines", "list"])
def test_a_text_is_read_in_its_encoding(said, encoding, form):
    found = rows(3, task_description=TEXT)
    if form == "csv":
        text = table(found, delimiter=";")
    elif form == "lines":
        text = "\n".join(json.dumps(row, ensure_ascii=False) for row in found)
    else:
        text = json.dumps(found, ensure_ascii=False, indent=1)
    events = said(text.encode(encoding))
    assert [event.task_description for event in events] == [TEXT] * 3


def test_a_damaged_byte_in_utf8_makes_no_other_encoding_of_it(said):
    data = (
        table(rows(2, task_description=TEXT)).encode()
        + b"t9,2026-03-01T12:00:00Z,x,b\xff,r,l,s,1,1,1\n"
    )
    events = said(data)
    assert [event.task_description for event in events] == [TEXT, TEXT, "b\ufffd"]


@pytest.mark.parametrize("data", [b"a;b\n\x81;\x8d\n", codecs.BOM_UTF16_LE + b"a\0,\0b\0\n"])
def test_an_unknown_encoding_is_refused_once(refused, data):
    assert "write it in UTF-8" in refused(data)


# Packed, columnar, piped, several


@pytest.mark.parametrize(
    "pack", [gzip.compress, bz2.compress, lzma.compress, zstandard.ZstdCompressor().compress]
)
@pytest.mark.parametrize("name", ["runs", "runs.json", "runs.csv.gz"])
def test_what_is_packed_is_told_by_its_content(said, pack, name):
    assert refs(said(pack(json.dumps(rows(2)).encode()), name)) == ["t0", "t1"]


PACKERS = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("packer", PACKERS)
def test_what_is_packed_in_parts_is_one_file(said, packer):
    lines = [json.dumps(row).encode() + b"\n" for row in rows(400, notes=str(os.urandom(400)))]
    pack = PACKERS[packer]
    assert len(refs(said(pack(b"".join(lines[:150])) + pack(b"".join(lines[150:]))))) == 400


@pytest.mark.parametrize("packer", PACKERS)
@pytest.mark.parametrize("share", [0.5, 0.999])
def test_what_is_packed_and_has_no_end_is_refused_once(refused, packer, share):
    lines = [{**row, "notes": os.urandom(200).hex()} for row in rows(2000)]
    packed = PACKERS[packer]("\n".join(map(json.dumps, lines)).encode())
    assert refused(packed[: int(len(packed) * share)]).startswith("cannot read ")


@pytest.mark.parametrize("packer", PACKERS)
def test_what_is_packed_and_damaged_is_refused_once(refused, packer):
    lines = [{**row, "notes": os.urandom(200).hex()} for row in rows(2000)]
    packed = bytearray(PACKERS[packer]("\n".join(map(json.dumps, lines)).encode()))
    for place in range(len(packed) // 3, len(packed) // 2):
        packed[place] ^= 0x5A
    assert refused(bytes(packed)).startswith("cannot read ")


def test_packed_parquet_is_unpacked(said, tmp_path):
    parquet.write_table(pa.Table.from_pylist(rows(2)), tmp_path / "a.parquet")
    packed = gzip.compress((tmp_path / "a.parquet").read_bytes())
    assert refs(said(packed)) == ["t0", "t1"]


@pytest.mark.parametrize("form", ["file", "stream", "feather"])
def test_arrow_is_read(said, tmp_path, form):
    found = [
        {**ROW, "task_id": f"t{number}", "timestamp": event, "duration_seconds": None}
        for number, event in enumerate(["2026-03-01T12:00:00Z"] * 2)
    ]
    arrow = pa.Table.from_pylist(found).drop(["duration_seconds"])
    moments = pa.array([1_772_366_400_123_456_789] * 2, pa.timestamp("ns", "UTC"))
    arrow = arrow.set_column(arrow.schema.get_field_index("timestamp"), "timestamp", moments)
    lasted = pa.array([1_500_000_000] * 2, pa.duration("ns"))
    arrow = arrow.append_column("duration_seconds", lasted)
    file = tmp_path / "a"
    if form == "stream":
        with ipc.new_stream(str(file), arrow.schema) as writer:
            writer.write_table(arrow)
    elif form == "file":
        with ipc.new_file(str(file), arrow.schema) as writer:
            writer.write_table(arrow, max_chunksize=1)
    else:
        feather.write_feather(arrow, str(file))
    events = said(file.read_bytes())
    assert refs(events) == ["t0", "t1"]
    assert {event.timestamp.isoformat() for event in events} == {"2026-03-01T12:00:00.123456+00:00"}
    assert events[0].duration_seconds == 1.5


@pytest.mark.parametrize("package", ["pyarrow", "zstandard"])
def test_a_missing_package_is_named(refused, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    content = b"ARROW1\0\0" if package == "pyarrow" else b"\x28\xb5\x2f\xfd"
    assert refused(content).endswith("run: pip install 'orb-learning[import]'")


def test_a_pipe_is_read(import_into, home, events_in, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text(json.dumps(rows(2))))
    writer.start()
    report = import_into(pipe)
    writer.join()
    assert report.recorded == 2


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_standard_input_is_read(home, events_in, tmp_path, form):
    file = write_json(tmp_path / "a.jsonl", rows(2))
    if form == "parquet":
        file = tmp_path / "a.parquet"
        parquet.write_table(pa.Table.from_pylist(rows(2)), file)
    command = [sys.executable, "-m", "orb_learning", "--home", str(home.root), "import", "-"]
    done = subprocess.run(command, input=file.read_bytes(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert refs(events_in(home.spool)) == ["t0", "t1"]


def test_a_pattern_is_every_file_that_is_named_like_it(import_into, tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    for number, folder in enumerate([tmp_path, tmp_path / "deep", tmp_path / "deep" / "er"]):
        write_json(folder / f"{number}.json", rows(1))
    assert import_into(tmp_path / "*.json").files == 1
    assert import_into(tmp_path / "**" / "*.json").files == 3
    with pytest.raises(ImportFileError, match="no file is named like"):
        import_into(tmp_path / "*.csv")


@settings(max_examples=150)
@given(
    content=st.binary(max_size=200)
    | st.text(max_size=200).map(str.encode)
    | st.text(st.sampled_from("{}[]\",:; \n\t'\\1e-aé"), max_size=80).map(str.encode),
    pack=st.sampled_from([bytes, gzip.compress, bz2.compress]),
    named=st.sampled_from(["runs", "runs.json"]),
)
def test_any_content_is_read_or_refused_in_one_line(tmp_path_factory, content, pack, named):
    folder = tmp_path_factory.mktemp("any")
    (folder / named).write_bytes(pack(content))
    with Telemetry(folder / "home") as telemetry:
        try:
            report = import_files(telemetry, [folder / named])
        except ImportFileError as error:
            assert "\n" not in str(error)
            assert list((folder / "home").glob("spool/*")) == []
        else:
            assert report.rows == report.recorded + report.rejected
