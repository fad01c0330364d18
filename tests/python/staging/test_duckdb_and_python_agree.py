"""What DuckDB validates and what Python validates is one and the same, for any line."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odd_lines import OddLines

from orb_learning._coercion import in_nfc
from orb_learning.events import EVENT_TYPES, Event, content_hash
from orb_learning.home import Home
from orb_learning.staging import _batch, _bulk, _loader, load
from orb_learning.staging._canonical import canonical
from test_types import NAMES, REQUIRED

QUARANTINE = "quarantine_id, load_id, segment, byte_offset, byte_length, claimed_type, reason, line"


def loaded(folder: Path, segments: dict[str, bytes], *, only_python: bool) -> dict[str, Any]:
    """Load segments into a new home and return all that a load stores, but for the time."""
    home = Home(folder)
    home.create()
    for name, data in segments.items():
        (home.spool / name).write_bytes(data)
    load(home, _only_python=only_python)
    queries = {kind: f"select * from raw.{kind} order by all" for kind in EVENT_TYPES}
    queries["quarantine"] = f"select {QUARANTINE} from ledger.quarantine order by all"
    queries["segments"] = "select * from ledger.segments order by all"
    queries["loads"] = "select * exclude (loaded_at) from ledger.loads order by all"
    with duckdb.connect(str(home.staging), read_only=True) as connection:
        return {name: connection.execute(query).fetchall() for name, query in queries.items()}


def assert_both_agree(folder: Path, segments: dict[str, bytes]) -> None:
    by_python = loaded(folder / "python", segments, only_python=True)
    in_bulk = loaded(folder / "bulk", segments, only_python=False)
    for name, rows in by_python.items():
        more = [row for row in in_bulk[name] if row not in rows]
        fewer = [row for row in rows if row not in in_bulk[name]]
        assert (more[:3], fewer[:3]) == ([], []), name
    assert in_bulk == by_python


def odd_segments(seed: int, lines: int) -> dict[str, bytes]:
    source = OddLines(seed)
    made = [source.line() for _ in range(lines)]
    made += made[:: max(1, lines // 20)]
    third = len(made) // 3 + 1
    return {
        f"{part}.jsonl": b"\n".join(made[part * third :][:third]) + b"\n" * (part % 2)
        for part in range(3)
    }


@pytest.fixture
def by_python(monkeypatch) -> list[bytes]:
    """Keep the lines that Python validates."""
    seen: list[bytes] = []
    validate = _batch.Batch.validate

    def watch(batch: _batch.Batch, line: Any, place: Any) -> None:
        seen.append(line.data)
        validate(batch, line, place)

    monkeypatch.setattr(_batch.Batch, "validate", watch)
    return seen


@settings(max_examples=3)
@given(seed=st.integers(0, 2**32))
def test_any_lines_are_taken_refused_and_stored_alike(tmp_path_factory, seed):
    assert_both_agree(tmp_path_factory.mktemp("homes"), odd_segments(seed, 300))


def test_lines_of_known_seeds_are_taken_refused_and_stored_alike(tmp_path, request):
    for seed in range(300 if request.config.getoption("--long") else 2):
        assert_both_agree(tmp_path / str(seed), odd_segments(seed, 3000))


@settings(max_examples=5)
@given(data=st.data())
def test_events_with_any_values_are_stored_alike(tmp_path_factory, values_of, data):
    events = [
        cls(**values)
        for cls in EVENT_TYPES.values()
        for values in data.draw(st.lists(values_of(cls), min_size=1, max_size=4))
    ]
    lines = b"".join(event.to_line() + b"\n" for event in events)
    assert_both_agree(tmp_path_factory.mktemp("homes"), {"a.jsonl": lines})


@pytest.mark.parametrize("kind", ["routing_decision", "quality_policy_adjusted", "feedback"])
def test_odd_values_in_any_place_are_taken_refused_and_stored_alike(tmp_path, kind):
    lines = [line.encode("utf-8", "surrogatepass") for line in OddLines(0).with_odd_values(kind)]
    assert_both_agree(tmp_path, {"a.jsonl": b"\n".join(lines) + b"\n"})


def test_what_a_hook_writes_does_not_pass_through_python(spool, staging, by_python):
    source = OddLines(1)
    events = [event for event in (source.event() for _ in range(500)) if _is_for_sql(event)]
    spool.write("a.jsonl", *events)
    staging.load()
    rare = re.compile(rb'"(nested|ratio)"|:0\.00001|:1e-0?5')
    assert all(rare.search(line) for line in by_python)
    assert len(by_python) < len(events) / 2


def _is_for_sql(event: Event) -> bool:
    return event.type_name in EVENT_TYPES and canonical(event.type_name) is not None


def test_the_hash_in_sql_is_the_hash_in_python(spool, staging, pool, by_python):
    events = [pool(number, pool_type=None if number % 2 else "x") for number in range(10)]
    spool.write("a.jsonl", *events)
    staging.load()
    assert by_python == []
    stored = staging.query("select event_hash from raw.pool_created")
    assert {value.hex for (value,) in stored} == {content_hash(event.to_line()) for event in events}


def test_a_block_that_duckdb_would_read_otherwise_goes_to_python_alone(
    spool, staging, pool, by_python
):
    for number, odd in enumerate((b"\0", b"\1", b"\r", b"\xff", b"\n", b"\xef\xbb\xbf")):
        spool.write(f"{number}.jsonl", odd + b"\n" + pool(number).to_line())
    spool.write("9.jsonl", pool(9), "grüße".encode())
    staging.load()
    assert len(staging.pools()) == 7
    assert pool(0).to_line() in by_python
    assert pool(9).to_line() not in by_python


@pytest.mark.parametrize("odd", [b"x\ry", b"x\1y", b""])
def test_what_duckdb_splits_otherwise_is_left_to_python(
    spool, staging, pool, by_python, monkeypatch, odd
):
    monkeypatch.setattr(_bulk, "_UNCLEAN", ())
    spool.write("a.jsonl", pool(1), odd, pool(2))
    staging.load()
    assert staging.pools() == ["pool-0001", "pool-0002"]
    assert len(staging.reasons()) == 1
    assert odd in by_python


def test_bytes_that_duckdb_drops_leave_every_line_to_python(
    spool, staging, pool, by_python, monkeypatch
):
    monkeypatch.setattr(_bulk, "_MARK", b"never")
    marked = b"\xef\xbb\xbf" + pool(1).to_line()
    spool.write("a.jsonl", marked, pool(2))
    staging.load()
    assert staging.pools() == ["pool-0002"]
    assert by_python == [marked, pool(2).to_line()]


def test_an_old_line_has_its_names_in_the_one_form(spool, staging, pool, by_python):
    """A name in two forms would be two repositories, tiers or pools in every mart."""
    composed = [pool(number, pool_type="caf\u00e9").to_line() for number in range(2)]
    decomposed = composed[0].replace("\u00e9".encode(), b"e\xcc\x81")
    spool.write("a.jsonl", decomposed, composed[1])
    staging.load()
    assert staging.query("select pool_type from raw.pool_created") == [("caf\u00e9",)] * 2
    assert by_python == [decomposed]


def test_no_name_of_any_event_keeps_another_form(tmp_path):
    """DuckDB must doubt each of them, or it would store what Python spells otherwise."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    said: dict[str, Any] = {**dict.fromkeys(NAMES, composed), "candidates": {composed: 1.0}}
    lines = b"".join(
        cls(**{**REQUIRED[cls], **{name: said[name] for name in said if name in cls.model_fields}})
        .to_line()
        .replace(composed.encode(), decomposed.encode())
        + b"\n"
        for cls in EVENT_TYPES.values()
    )
    assert decomposed in lines.decode()
    in_bulk = loaded(tmp_path / "bulk", {"a.jsonl": lines}, only_python=False)
    assert not in_bulk["quarantine"]
    assert decomposed not in str(in_bulk)
    assert loaded(tmp_path / "python", {"a.jsonl": lines}, only_python=True) == in_bulk


def test_duckdb_knows_each_name_that_python_would_spell_otherwise(tmp_path):
    letters = [chr(code) for code in range(1, 0x30000) if not 0xD800 <= code < 0xE000]
    texts = [text for one in letters if one.isprintable() for text in (one, f"e{one}\u0323")]
    (tmp_path / "a.txt").write_text("\n".join(texts))
    with duckdb.connect() as connection:
        taken = connection.execute(
            "select line from read_csv($file, columns = {line: 'VARCHAR'}, header = false,"
            " auto_detect = false, delim = '\1', quote = '', escape = '', new_line = '\\n')"
            " where nfc_normalize(line) = line",
            {"file": str(tmp_path / "a.txt")},
        ).fetchall()
    assert len(taken) > 100_000
    assert [text for (text,) in taken if in_nfc(text) != text] == []


def test_a_doubtful_line_takes_no_other_with_it(spool, staging, pool, by_python):
    doubtful = pool(1).to_line() + b" "
    spool.write("a.jsonl", pool(0))
    spool.write("b.jsonl", doubtful, pool(2))
    staging.load()
    assert staging.pools() == ["pool-0000", "pool-0001", "pool-0002"]
    assert by_python == [doubtful]


def test_many_lines_are_validated_in_two_threads(spool, staging, pool, by_python, monkeypatch):
    monkeypatch.setattr(_bulk, "_LINES_OF_ONE_THREAD", 5)
    spool.write("a.jsonl", *(pool(number) for number in (*range(9), 3)))
    staging.load()
    assert staging.pools() == [f"pool-{number:04}" for number in range(9)]
    assert staging.segments() == {"a.jsonl": (10, 9, 1, 0, True)}
    assert by_python == []


def test_the_lines_file_needs_no_linux(spool, staging, pool, monkeypatch, by_python):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    spool.write("a.jsonl", pool(1))
    staging.load()
    assert staging.pools() == ["pool-0001"]
    assert by_python == []


def test_a_load_ends_with_a_certain_number_of_bytes(home, spool, staging, pool, monkeypatch):
    monkeypatch.setattr(_loader, "MAX_LOAD_BYTES", 1)
    for number in range(3):
        spool.write(f"{number}.jsonl", pool(number))
    sizes: list[int] = []
    load(home, on_progress=sizes.append)
    assert sizes == [1, 1, 1]
