"""Bad lines: each is one row of quarantine with the reason, and every neighbour still loads."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orb_learning import Telemetry
from orb_learning.errors import InvalidEventError
from orb_learning.events import PoolCreated, RoutingOutcome
from orb_learning.home import Home
from orb_learning.spool import MAX_LINE_BYTES, read_event
from orb_learning.staging import LoadReport, load

BASE: dict[str, Any] = {
    "event_id": "0198a3a0-0000-7000-8000-000000000001",
    "schema_version": 1,
    "occurred_at": "2026-03-01T12:00:00Z",
    "captured_at": "2026-03-01T12:00:00Z",
    "metadata": None,
    "event_type": "routing_outcome",
    "task_id": "0198a3a0-0000-7000-8000-000000000002",
    "success": True,
    "duration_seconds": 1.5,
    "quality_score": 80,
}


def line(**changes: object) -> bytes:
    return json.dumps({**BASE, **changes}).encode()


def without(field: str) -> bytes:
    return json.dumps({name: value for name, value in BASE.items() if name != field}).encode()


def raw(field: str, text: str | bytes) -> bytes:
    """Return a line with a field's value spelled by hand."""
    spelled = text.encode() if isinstance(text, str) else text
    return line(**{field: "HERE"}).replace(b'"HERE"', spelled)


WHOLE = line()
BEGIN = b'{"event_id":'
EMPTY = len(line(solution_summary=""))

# What a segment holds between two good lines, and what the reason must say of it.
BAD: dict[str, tuple[bytes, str]] = {
    "no event_id": (without("event_id"), "event_id: Field required"),
    "no occurred_at": (without("occurred_at"), "occurred_at: Field required"),
    "no captured_at": (without("captured_at"), "captured_at: Field required"),
    "no event_type": (without("event_type"), "event_type"),
    "no task_id": (without("task_id"), "task_id: Field required"),
    "no success": (without("success"), "success: Field required"),
    "several missing": (b"".join(without("task_id").split(b'"success": true, ')), "success: Field"),
    "an empty object": (b"{}", "event_type"),
    "an unknown field": (line(colour="red"), "colour: Extra inputs are not permitted"),
    "a text for a number": (line(duration_seconds="long"), "duration_seconds: "),
    "a number for a text": (line(solution_summary=7), "solution_summary: "),
    "a fraction for a count": (line(quality_score=3.7), "quality_score: "),
    "a list for a flag": (line(success=[True]), "success: "),
    "a null for a flag": (line(success=None), "success: "),
    "a text for metadata": (line(metadata="text"), "metadata: "),
    "no UUID": (line(task_id="task 7"), "task_id: "),
    "below a bound": (line(duration_seconds=-1), "duration_seconds: "),
    "above a bound": (line(quality_score=101), "quality_score: "),
    "a naive time": (
        line(occurred_at="2026-03-01T12:00:00"),
        "occurred_at: Input should have timezone info",
    ),
    "a time before all": (line(occurred_at="0001-01-01T00:00:00+14:00"), "occurred_at: time must"),
    "a time after all": (line(captured_at="9999-12-31T23:59:59Z"), "captured_at: time must lie"),
    "a day that is none": (line(occurred_at="2026-02-30T12:00:00Z"), "occurred_at: "),
    "a word for a time": (line(occurred_at="soon"), "occurred_at: "),
    "a time beyond counting": (raw("occurred_at", "1" + "0" * 30), "occurred_at: "),
    "NaN": (raw("duration_seconds", "NaN"), "duration_seconds: Input should be a finite number"),
    "Infinity": (raw("duration_seconds", "Infinity"), "duration_seconds: "),
    "-Infinity in metadata": (raw("metadata", '{"a": -Infinity}'), "metadata: a number is not"),
    "a number that overflows": (raw("metadata", '{"a": [1e999]}'), "metadata: a number is not"),
    "a huge integer": (raw("quality_score", "9" * 100), "quality_score: "),
    "a huger integer": (raw("quality_score", "9" * 5000), "number out of range"),
    "an integer over 32 bits": (line(attempt=2**31), "attempt: "),
    "an integer no double holds": (line(metadata={"a": 2**1023}), "metadata: an integer has over"),
    "a lone surrogate": (raw("solution_summary", '"\\ud800"'), "Invalid JSON"),
    "no UTF-8": (raw("solution_summary", b'"\xff\xfe"'), "Invalid JSON: invalid unicode"),
    "a NUL byte in a text": (raw("solution_summary", b'"\0"'), "Invalid JSON: control character"),
    "NUL bytes": (b"\0" * 300, "Invalid JSON"),
    "deep lists": (raw("metadata", '{"a":' + "[" * 100 + "]" * 100 + "}"), "metadata: "),
    "deeper lists": (raw("metadata", "[" * 50_000 + "]" * 50_000), "recursion limit"),
    "deeper objects": (raw("metadata", '{"a":' * 20_000 + "1" + "}" * 20_000), "recursion limit"),
    "a torn middle": (WHOLE[:70], "Invalid JSON: EOF"),
    "a torn line glued to a torn one": (WHOLE[:70] + WHOLE[:-1], "Invalid JSON"),
    "text before a whole line": (b"text" + WHOLE, "Invalid JSON"),
    "an empty line": (b"", "empty line"),
    "blanks": (b" \t ", "empty line"),
    "a lone carriage return": (b"\r", "empty line"),
    "a byte order mark": (b"\xef\xbb\xbf" + WHOLE, "Invalid JSON: expected value at line 1 col"),
    "UTF-16": (WHOLE.decode().encode("utf-16-be"), "Invalid JSON"),
    "two objects": (WHOLE + WHOLE, "Invalid JSON: trailing characters"),
    "two objects and a comma": (WHOLE + b"," + WHOLE, "Invalid JSON: trailing characters"),
    "an array": (b"[" + WHOLE + b"]", "Input should be an object"),
    "a number": (b"7", "Input should be an object"),
    "a text": (b'"text"', "Input should be an object"),
    "null": (b"null", "Input should be an object"),
    "a comment": (b"# a comment", "Invalid JSON"),
    "Python for JSON": (repr(BASE).encode(), "Invalid JSON"),
    "20 MB": (line(solution_summary="x" * 20_000_000), "exceed the line limit of 262144"),
    "20 MB of nothing": (b" " * 20_000_000, "exceed the line limit of 262144"),
    "one byte too long": (
        line(solution_summary="x" * (MAX_LINE_BYTES - EMPTY)),
        "262145 bytes exceed the line limit of 262144",
    ),
    "a newer version": (
        line(schema_version=2),
        "schema version 2 is newer than the 1 this release reads; upgrade orb-learning",
    ),
    "version 0": (line(schema_version=0), "schema_version: "),
    "an unknown kind": (line(event_type="coffee_break"), "'coffee_break'"),
    "a number for a kind": (line(event_type=3), "'event_type'"),
    "another kind's fields": (line(event_type="pool_created"), "pool_id: Field required"),
    "a key twice": (raw("success", 'true, "success": false'), "success: the key stands twice"),
    "a kind twice": (
        raw("success", 'true, "event_type": "routing_outcome"'),
        "event_type: the key stands twice",
    ),
    "a key twice in metadata": (
        raw("metadata", '{"a": [{"b": 1, "b": 1}]}'),
        "b: the key stands twice in one object",
    ),
}

ODD_BUT_GOOD: dict[str, bytes] = {
    "a carriage return at the end": WHOLE + b"\r",
    "a short write glued to a whole line": WHOLE[:70] + WHOLE,
    "the shortest write glued to a whole line": WHOLE[:1] + WHOLE,
    "two short writes glued to a whole line": WHOLE[:90] + WHOLE[:5] + WHOLE,
    "blanks around": b" \t" + WHOLE + b"  ",
    "a NUL that is escaped": raw("solution_summary", '"\\u0000"'),
    "text that ends lines elsewhere": raw("solution_summary", '"a\u2028b\u2029c\u0085d"'),
    "text that looks like a line": line(solution_summary='{"event_id":1}\n\r\n'),
    "text in any script": line(solution_summary="日本語 😀 \U0010ffff"),
    "equal keys in different objects": line(metadata={"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}),
    "keys that differ in case": line(metadata={"a": 1, "A": 2}),
    "a key that is a column": line(metadata={"event_hash": 1, "load_id": 2, "segment": "x"}),
    "numbers at the bounds": line(attempt=2**31 - 1, duration_seconds=1e9, quality_score=100),
    "metadata at the bounds": line(metadata={"a": 2**1023 - 1, "b": 5e-324, "c": -0.0}),
    "metadata as deep as may be": raw("metadata", '{"a":' + "[" * 63 + "]" * 63 + "}"),
    "SQL": line(solution_summary="'; drop table raw.routing_outcome; --"),
    "a line as long as may be": line(solution_summary="x" * (MAX_LINE_BYTES - 1 - EMPTY)),
}


def good(number: int) -> bytes:
    event = PoolCreated.model_validate(
        {
            "event_id": UUID(int=number),
            "occurred_at": "2026-03-01T12:00:00Z",
            "captured_at": "2026-03-01T12:00:00Z",
            "pool_id": f"{number:04}",
        }
    )
    return event.to_line()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A home whose every segment holds one odd line between two good ones, loaded once."""
    home = Home(tmp_path_factory.mktemp("bad") / "home")
    home.create()
    cases = [data for data, _ in BAD.values()]
    # Each good one is an event of its own.
    cases += [
        data.replace(BASE["event_id"].encode(), str(UUID(int=10_000 + number)).encode())
        for number, data in enumerate(ODD_BUT_GOOD.values())
    ]
    for number, data in enumerate(cases):
        lines = [good(2 * number), data, good(2 * number + 1)]
        (home.spool / f"{number:04}.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    report = load(home)
    return home, report


def _query(home: Home, query: str) -> list[tuple[Any, ...]]:
    import duckdb

    with duckdb.connect(str(home.staging), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_every_line_beside_a_bad_one_loads(loaded):
    home, report = loaded
    segments = len(BAD) + len(ODD_BUT_GOOD)
    assert report == LoadReport(
        1, 3 * segments, 3 * segments - len(BAD), duplicates=0, quarantined=len(BAD)
    )
    assert _query(home, "select count(*), min(pool_id), max(pool_id) from raw.pool_created") == [
        (2 * segments, "0000", f"{2 * segments - 1:04}")
    ]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_one_row_of_quarantine_that_names_the_fault(loaded, name):
    home, _ = loaded
    number = list(BAD).index(name)
    data, reason = BAD[name]

    rows = _query(
        home,
        "select load_id, byte_offset, byte_length, claimed_type, reason, line"
        f" from ledger.quarantine where segment = '{number:04}.jsonl'",
    )

    assert len(rows) == 1
    load_id, offset, length, claimed, said, kept = rows[0]
    assert (load_id, offset, length) == (1, len(good(2 * number)) + 1, len(data) + 1)
    assert kept == data[:MAX_LINE_BYTES]
    assert reason in said
    assert "\n" not in said
    assert len(said) < 1000
    assert claimed is None


@pytest.mark.parametrize("name", ODD_BUT_GOOD)
def test_what_only_looks_odd_loads(loaded, name):
    home, _ = loaded
    number = len(BAD) + list(ODD_BUT_GOOD).index(name)
    data = json.loads(ODD_BUT_GOOD[name][ODD_BUT_GOOD[name].rfind(BEGIN) :])

    assert _query(
        home,
        "select lines, loaded, quarantined from ledger.segments"
        f" where segment = '{number:04}.jsonl'",
    ) == [(3, 3, 0)]
    event_id = UUID(int=10_000 + number - len(BAD))
    ((summary, metadata),) = _query(
        home,
        f"select solution_summary, metadata from raw.routing_outcome where event_id = '{event_id}'",
    )
    assert summary == data.get("solution_summary")
    assert (metadata and json.loads(metadata)) == data["metadata"]


def test_a_line_spelled_by_a_hook_may_be_just_as_long(spool, staging):
    event = RoutingOutcome.model_validate_json(WHOLE)
    room = MAX_LINE_BYTES - 1 - len(event.to_line()) + len("null") - len('""')
    for more in (0, 1):
        text = "x" * (room + more)
        spool.write(f"{more}.jsonl", event.model_copy(update={"solution_summary": text}))
    assert staging.load() == LoadReport(1, 2, 1, 0, 1)
    assert staging.reasons() == ["262145 bytes exceed the line limit of 262144"]


def test_a_bad_line_that_is_read_again_elsewhere_is_quarantined_again(spool, staging):
    file = spool.write("a.jsonl", b"bad", b"bad")
    assert staging.load() == LoadReport(1, 2, 0, 0, 2)
    file.rename(spool.folder / "b.jsonl")
    assert staging.load() == LoadReport(2, 2, 0, 0, 2)
    assert staging.query("select segment, byte_offset from ledger.quarantine order by all") == [
        ("a.jsonl", 0),
        ("a.jsonl", 4),
        ("b.jsonl", 0),
        ("b.jsonl", 4),
    ]


def test_bad_lines_of_two_loads_of_one_segment_add_up(spool, staging, pool, hold):
    hold(spool.write("a.jsonl", pool(1), b"bad", pool(1), pool(1)))
    assert staging.load() == LoadReport(1, 4, 1, 2, 1)
    spool.write("a.jsonl", b"worse", pool(2), b"bad", pool(1), b"{}")
    assert staging.load() == LoadReport(2, 5, 1, 1, 3)

    assert staging.segments() == {"a.jsonl": (9, 2, 3, 4, False)}
    assert staging.query(
        "select load_id, lines, loaded, duplicates, quarantined from ledger.loads order by 1"
    ) == [(1, 4, 1, 2, 1), (2, 5, 1, 1, 3)]
    assert staging.query("select first_load_id, last_load_id from ledger.segments") == [(1, 2)]


def test_a_torn_last_line_is_quarantined_once_its_writer_is_gone(spool, staging, pool, hold):
    file = spool.write("a.jsonl", pool(1))
    hold(file)
    spool.write("a.jsonl", pool(2).to_line()[:50], end=b"")
    assert staging.load() == LoadReport(1, 1, 1)
    assert staging.segments() == {"a.jsonl": (1, 1, 0, 0, False)}

    spool.write("dead.jsonl", pool(3))
    spool.write("dead.jsonl", pool(4).to_line()[:50], end=b"")
    assert staging.load() == LoadReport(2, 2, 1, 0, 1)
    assert staging.reasons() == ["torn: the segment ends within this line"]
    assert staging.segments()["a.jsonl"] == (1, 1, 0, 0, False)
    assert staging.segments()["dead.jsonl"] == (2, 1, 0, 1, True)
    assert staging.query("select byte_length, line from ledger.quarantine") == [
        (50, pool(4).to_line()[:50])
    ]
    assert staging.load() == LoadReport(load_id=2)


@pytest.mark.parametrize("length", [1, 50, 300_000])
def test_a_segment_of_one_torn_line_is_one_row_of_quarantine(spool, staging, length):
    spool.write("a.jsonl", b"x" * length, end=b"")
    assert staging.load() == LoadReport(1, 1, 0, 0, 1)
    assert staging.reasons() == ["torn: the segment ends within this line"]
    assert staging.load() == LoadReport(load_id=1)


def test_even_a_whole_line_without_its_newline_is_torn(spool, staging, pool):
    spool.write("a.jsonl", pool(1), end=b"")
    assert staging.load() == LoadReport(1, 1, 0, 0, 1)


def test_what_the_hooks_refused_is_quarantined_as_what_it_was_meant_to_be(home, staging):
    with Telemetry(home.root) as telemetry:
        telemetry.capture_routing_outcome_sync(task_id="t", success="perhaps", note="ß")
        telemetry.capture_feedback_sync("t")
    spool = home.spool
    (file,) = spool.iterdir()

    assert staging.load() == LoadReport(1, 2, 0, 0, 2)

    rows = staging.query(
        "select claimed_type, reason, line from ledger.quarantine order by byte_offset"
    )
    assert [row[0] for row in rows] == ["routing_outcome", "feedback"]
    assert rows[0][1].startswith("status word 'perhaps' unknown")
    assert json.loads(rows[0][2]) == {"task_id": "t", "success": "perhaps", "note": "ß"}

    file.rename(spool / "copy.jsonl")
    assert staging.load() == LoadReport(2, 2, 0, 2, 0), "a refusal has an id of its own"


def test_one_long_line_is_never_held_in_memory_whole(home, spool):
    spool.write("a.jsonl", b" " * 20_000_000)
    tracemalloc.start()
    try:
        load(home)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8_000_000


@settings(max_examples=300)
@given(data=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_line_can_make_reading_fail_in_another_way(data):
    try:
        event, spelled = read_event(data)
    except InvalidEventError as error:
        assert "\n" not in str(error)
    else:
        assert event.to_line() == spelled


@settings(max_examples=100)
@given(data=st.data())
def test_a_line_spelled_in_another_way_is_read_as_the_same_event(values_of, data):
    event = RoutingOutcome(**data.draw(values_of(RoutingOutcome)))
    values = json.loads(event.to_line())
    shuffled = dict(data.draw(st.permutations(list(values.items()))))
    other = json.dumps(shuffled, ensure_ascii=data.draw(st.booleans()), indent=data.draw(INDENTS))

    assert read_event(event.to_line()) == (event, event.to_line())
    assert read_event(other.encode()) == (event, event.to_line())


INDENTS = st.sampled_from([None, 0, 3])


def test_many_large_bad_lines_are_kept_whole(spool, staging):
    lines = [b'{"number": %d, "text": "%s' % (number, b"x" * 250_000) for number in range(40)]
    spool.write("a.jsonl", *lines)
    assert staging.load().quarantined == 40
    kept = staging.query("select line from ledger.quarantine order by byte_offset")
    assert [bytes(line) for (line,) in kept] == lines
