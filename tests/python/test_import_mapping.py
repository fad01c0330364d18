"""Fields are taken from anywhere in a row by a closed little language."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orb_learning import Telemetry
from orb_learning._types import pseudonym
from orb_learning.errors import ImportFileError, InvalidEventError
from orb_learning.importer import FieldMap, ImportReport, import_files
from orb_learning.importer._paths import ABSENT, look_up
from orb_learning.staging import load
from orb_learning.upkeep import preview_erasure, request_erasure, take_in
from test_importer import ROW, write_json


@pytest.fixture
def imported(home, events_in, tmp_path) -> Callable[..., list[Any]]:
    """Import one file of these rows and return the events."""

    def run(*rows: dict[str, Any], maps: tuple[str, ...] = (), **options: Any) -> list[Any]:
        file = write_json(tmp_path / "rows.jsonl", rows)
        with Telemetry(home.root) as telemetry:
            import_files(telemetry, [file], field_map=FieldMap(maps), **options)
        return events_in(home.spool)

    return run


def mapped(row: dict[str, Any], *maps: str) -> dict[str, Any]:
    return FieldMap(maps).apply(row)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("a", 1),
        ("params.model", "m1"),
        ("attributes.gen_ai.request.model", "m2"),
        ("x.y", "the longest key"),
        ("x.y.z", "deep"),
        ("calls[0].model", "first"),
        ("calls.0.model", "first"),
        ("calls[-1].model", "last"),
        ("calls.-1.model", "last"),
        ("matrix[1][0]", 3),
        ("matrix.1.0", 3),
        ("odd[key].v", 5),
        ("null", None),
        (" spaced key ", 6),
        ("ends.", 7),
    ],
)
def test_a_path_leads_to_what_is_there(path, value):
    row = {
        "a": 1,
        "params.model": "m1",
        "attributes": {"gen_ai.request.model": "m2", "gen_ai": {"request": 7}},
        "x.y": "the longest key",
        "x": {"y": {"z": "deep"}},
        "calls": [{"model": "first"}, {"model": "last"}],
        "matrix": [[1, 2], [3, 4]],
        "odd[key]": {"v": 5},
        "null": None,
        " spaced key ": 6,
        "ends.": 7,
    }
    assert look_up(row, path) == value


@pytest.mark.parametrize(
    "usage",
    [
        [],
        [{"usd": 1}, {}],
        [{"usd": 1}, {"usd": None}],
        [{"usd": "much"}],
        [3],
        {"usd": 1},
        7,
        None,
    ],
)
def test_nobody_knows_the_sum_over_a_list_that_lacks_a_number(usage):
    assert look_up({"usage": usage}, "usage[*].usd") is ABSENT


def test_a_sum_is_exact(imported):
    (event,) = imported({**ROW, "usage": [0.1] * 10}, maps=("actual_cost=usage[*]",))
    assert event.actual_cost == 1


NOWHERE = (
    "b a.b a[0] calls[2] calls[-3] calls[x] calls.model calls[0 calls[1e0] text[0] text.0 . .. "
    "calls[99999999999999999999]"
)


@pytest.mark.parametrize("path", NOWHERE.split())
def test_a_path_to_nowhere_is_absent(path):
    assert look_up({"a": 1, "calls": [{"model": 1}, 2], "text": "abc"}, path) is ABSENT


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("'bench'", "bench"),
        ('"it\'s"', "it's"),
        ("''", ""),
        ("' a {b} '", " a {b} "),
        ("7", 7),
        ("-0.5", -0.5),
        ("+2", 2),
        ("1e3", 1000.0),
        (".25", 0.25),
        ("true", True),
        ("false", False),
        ("ms/1000", 1.5),
        ("ms / 1000", 1.5),
        ("score*100", 29.0),
        ("metrics.cost*0.001", 0.002),
        ("ms+500", 2000),
        ("ms-500", 1000),
        ("calls[0].ms/10", 4),
        ("usage[*].usd", 1.75),
        ("usage[*].usd*2", 3.5),
        ("nested[*].parts[*]", 6),
        ("sums[*]", "a key of that name"),
        ("a-1", "a key of that name"),
        ("text*2", "12 apples"),
        ("flag*2", True),
        ("spelled*2", 3.0),
        ("{kind}-{ms}", "swarm-1500"),
        ("x{kind}", "xswarm"),
    ],
)
def test_a_field_is_given_what_its_source_says(source, value):
    row = {
        "ms": 1500,
        "score": 0.29,
        "metrics": {"cost": 2},
        "calls": [{"ms": 40}],
        "usage": [{"usd": 0.5}, {"usd": "1.25"}],
        "nested": [{"parts": [1, 2]}, {"parts": [3]}],
        "sums[*]": "a key of that name",
        "a-1": "a key of that name",
        "text": "12 apples",
        "flag": True,
        "spelled": "1.5",
        "kind": "swarm",
    }
    found = mapped(row, f"pool_type={source}")["pool_type"]
    assert found == pytest.approx(value) if isinstance(value, float) else found == value
    assert type(found) is type(value) or isinstance(value, int)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("ms/0", "divides by nothing"),
        ("ms/0.0", "divides by nothing"),
        ("'open", "a quote is miss"),
    ],
)
def test_a_source_of_no_meaning_is_refused(source, reason):
    with pytest.raises(ImportFileError, match=reason):
        FieldMap([f"pool_type={source}"])


HOSTILE = (
    "__class__ ms.__class__ {ms.__class__} {0} {ms!r} {ms:>99999999} ms**99 ms*9e999 ms*ms "
    "os.system('x') {{ms}} { } {} ms/1000/1000 import-os"
)


@pytest.mark.parametrize("source", HOSTILE.split())
def test_nothing_is_run(source):
    try:
        row = mapped({"ms": 7}, f"pool_type={source}")
    except (ImportFileError, InvalidEventError):
        return
    assert row.get("pool_type") in (None, "{7}"), row


@given(
    st.text(st.sampled_from("ab.[]01-*/+{}'\" e"), max_size=40),
    st.recursive(
        st.none() | st.integers() | st.text(st.sampled_from("ab."), max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(st.sampled_from("ab.0[]"), max_size=4), inner, max_size=4)
        ),
        max_leaves=12,
    ),
)
def test_any_source_is_read_or_refused(source, value):
    try:
        mapped({"a": value}, f"pool_type={source}")
    except (ImportFileError, InvalidEventError) as error:
        assert "\n" not in str(error)


def test_a_path_of_many_parts_takes_no_time():
    row: Any = 1
    for _ in range(400):
        row = {"a": row, "a.a": {}}
    begun = time.process_time()
    assert look_up(row, ".".join("a" * 400) + ".b") is ABSENT
    FieldMap(["pool_type=" + "a" * 50_000 + "*"])
    FieldMap(["pool_type=" + "1" * 50_000])
    assert time.process_time() - begun < 5


# The seconds between two times


@pytest.mark.parametrize(
    ("end", "start", "seconds"),
    [
        ("2026-03-01T10:01:30Z", "2026-03-01T10:00:00Z", 90),
        ("2026-03-01T11:00:00+01:00", "2026-03-01 09:59:59.500Z", 0.5),
        ("2026-03-01T10:01:30", "2026-03-01T10:00:00", 90),
        (1_772_000_010, 1_772_000_000, 10),
        (1_772_000_010_250, 1_772_000_010, 0.25),
        ("1772000010", 1_772_000_000, 10),
        (datetime(2026, 3, 1, 10, tzinfo=UTC), "2026-03-01T09:00:00Z", 3600),
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:01Z", -1),
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00", None),
        ("2026-03-01T10:00:00Z", "soon", None),
        (None, "2026-03-01T10:00:00Z", None),
        (True, False, None),
        ([1], {}, None),
    ],
)
def test_a_duration_is_what_lies_between_two_times(end, start, seconds):
    row = {"run": {"end": end}, "start": start}
    found = mapped(row, "duration_seconds=run.end - start").get("duration_seconds")
    assert found == seconds


def test_a_minus_without_spaces_or_in_a_key_is_no_difference_of_times():
    times = {"end": "2026-03-01T10:00:05Z", "start": "2026-03-01T10:00:00Z"}
    assert "pool_type" not in mapped(times, "pool_type=end-start")
    assert mapped({**times, "end - start": 7}, "pool_type=end - start")["pool_type"] == 7
    assert mapped({"ms": 9}, "pool_type=ms - 2")["pool_type"] == 7


@pytest.mark.parametrize(("source", "path"), [("end - no", "no"), ("no - end", "no")])
def test_a_difference_of_which_no_row_has_an_end_refuses_the_file(imported, source, path):
    row = {**ROW, "end": "2026-03-01T10:00:05Z"}
    with pytest.raises(ImportFileError, match=f"no row has {path}, which duration_seconds is"):
        imported(row, maps=(f"duration_seconds={source}",))


# Nothing, and the first of several


def test_null_leaves_a_field_unknown_however_the_row_spells_it(imported):
    row = {**ROW, "id": "an id", "quality": 50}
    first, second = imported(row, row, maps=("task_id=null", "quality_score=null"))
    assert first.task_id != second.task_id
    assert first.quality_score is None
    assert first.metadata is None


def test_of_several_maps_of_a_field_a_row_takes_the_first_that_it_has(imported):
    maps = ("pool_type=new.pool", "pool_type={old}/{kind}", "pool_type='other'")
    rows = (
        {**ROW, "task_id": "a", "new": {"pool": "n"}, "old": "o", "kind": "k"},
        {**ROW, "task_id": "b", "new": {"pool": ""}, "old": "o", "kind": "k"},
        {**ROW, "task_id": "c", "new": None, "old": "o"},
    )
    assert [event.pool_type for event in imported(*rows, maps=maps)] == ["n", "o/k", "other"]


def test_several_maps_of_a_field_of_which_no_row_has_any_refuse_the_file(imported):
    maps = ("actual_cost=usd", "actual_cost=cents/100")
    with pytest.raises(ImportFileError, match="no row has usd, which actual_cost is mapped to"):
        imported(ROW, maps=maps)
    (event,) = imported({**ROW, "cents": 50}, maps=maps)
    assert event.actual_cost == 0.5


# What no row has


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("bench", "bench"),
        ("metadata.none", "metadata.none"),
        ("{metadata.none}", "metadata.none"),
        ("no/1000", "no/1000"),
    ],
)
def test_a_path_that_no_row_has_refuses_the_file(imported, home, source, path):
    with pytest.raises(ImportFileError) as caught:
        imported(ROW, ROW, maps=(f"pool_type={source}",))
    message = str(caught.value)
    assert f"no row has {path}, which pool_type is mapped to; name a path that rows have" in message
    assert "(task_id, timestamp, " in message
    assert message.endswith(f"""or say --map "pool_type='{path}'" if that is the text itself""")
    assert list(home.spool.glob("*")) == []


def test_a_path_that_some_rows_lack_is_unknown_there(imported):
    with_it = {**ROW, "task_id": "a", "cost_cents": 50}
    first, second = imported(with_it, {**ROW, "task_id": "b"}, maps=("actual_cost=cost_cents/100",))
    assert (first.actual_cost, second.actual_cost) == (0.5, None)


# What may be left out


def test_what_hooks_may_leave_out_may_be_left_out(imported):
    needed = ("timestamp", "task_type", "repo", "model_tier", "success")
    (event,) = imported({key: ROW[key] for key in needed})
    assert (event.pool_type, event.routing_confidence) == (None, None)


def test_rows_without_a_task_are_tasks_of_their_own(imported, home, tmp_path):
    row = {key: value for key, value in ROW.items() if key != "task_id"}
    other = {**row, "repo": "acme/other"}
    events = imported(row, other, row, row)
    assert len({event.task_id for event in events}) == 4
    assert load(home).loaded == 4

    # Cut and named otherwise, in another order of rows that differ: nothing is new.
    (tmp_path / "again").mkdir()
    files = [
        write_json(tmp_path / "again" / "x.jsonl", [other, row]),
        write_json(tmp_path / "again" / "y.json", [row, row]),
    ]
    with Telemetry(home.root) as telemetry:
        assert import_files(telemetry, files).recorded == 4
    assert load(home).loaded == 0


# Users


@pytest.mark.parametrize("maps", [("user_id=user",), ("user_id={user}",)])
def test_a_user_can_be_mapped_and_erased(imported, home, maps):
    (event, _) = imported(
        {**ROW, "task_id": "a", "user": "ann-7"}, {**ROW, "task_id": "b", "user": "bob"}, maps=maps
    )
    assert event.metadata["user_id"] == "ann-7"
    assert preview_erasure(home, users=["ann-7"]).tasks == 1
    request_erasure(home, users=["ann-7"])
    take_in(home)
    assert not preview_erasure(home, users=["ann-7"])
    assert b"ann-7" not in home.staging.read_bytes()


def test_a_mapped_address_is_a_pseudonym(imported):
    (event,) = imported({**ROW, "mail": "Ann@Example.com"}, maps=("user_id=mail",))
    assert event.metadata["user_id"] == pseudonym("ann@example.com")
    assert "mail" not in str(event.metadata.get("mail", "")) or "@" not in str(event.metadata)


def test_a_case_of_dots_lists_and_constants(home, events_in, tmp_path):
    row = {key: ROW[key] for key in ("timestamp", "task_type", "repo", "success")}
    report = _import(
        home,
        write_json(tmp_path / "a.jsonl", [{**row, "calls": [{"model": "m1"}]}]),
        "pool_type='bench'",
        "routing_confidence=1",
        "model_tier=calls.0.model",
    )
    assert report.recorded == 1
    (event,) = events_in(home.spool)
    assert (event.pool_type, event.routing_confidence, event.model_tier) == ("bench", 1, "m1")


def _import(home: Any, file: Path, *maps: str) -> ImportReport:
    with Telemetry(home.root) as telemetry:
        return import_files(telemetry, [file], field_map=FieldMap(maps))
