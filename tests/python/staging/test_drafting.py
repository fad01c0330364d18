"""A migration is drafted from the event classes, or what only a person can say is named."""

from __future__ import annotations

import runpy
import sys
from typing import Literal

import duckdb
import pytest

from orb_learning.errors import MigrationError
from orb_learning.events import EVENT_TYPES, Event, PoolClosed, PoolCreated
from orb_learning.staging import _drafting, known_migrations, raw_columns, upgrade

NEXT = known_migrations()[-1].version + 1


class ClosedByWhom(PoolClosed):
    closed_by: str | None = None


class PoolMoved(Event):
    event_type: Literal["pool_moved"] = "pool_moved"
    pool_id: str
    moved_to: str | None = None


class ClosedByAll(PoolClosed):
    closed_by: list[str]


class CountedReason(PoolClosed):
    reason: int | None = None


@pytest.fixture
def say(monkeypatch, tmp_path):
    """Let the event classes say something else, and drafts go into an empty folder."""
    monkeypatch.setattr(_drafting, "FOLDER", tmp_path)

    def these(**kinds: type[Event]) -> None:
        monkeypatch.setattr(_drafting, "EVENT_TYPES", EVENT_TYPES | kinds)

    return these


def test_a_field_that_may_be_null_is_a_column_that_comes_and_goes(say):
    say(pool_closed=ClosedByWhom)
    assert _drafting.drafted() == (
        "alter table raw.pool_closed add column closed_by VARCHAR;\n",
        "alter table raw.pool_closed drop column closed_by;\n",
    )


def test_a_new_kind_of_event_is_a_table_that_comes_and_goes(say):
    say(pool_moved=PoolMoved)
    up, down = _drafting.drafted()
    with duckdb.connect() as connection:
        upgrade(connection)
        connection.execute(up)
        described = connection.execute("describe raw.pool_moved").fetchall()
        assert {name: type_ for name, type_, *_ in described} == raw_columns(PoolMoved)
        nullable = {name for name, _, null, *_ in described if null == "YES"}
        assert nullable == {"metadata", "moved_to"}
        connection.execute(down)
        with pytest.raises(duckdb.CatalogException):
            connection.execute("describe raw.pool_moved")


def test_what_came_last_goes_first(say):
    say(pool_moved=PoolMoved, pool_closed=ClosedByWhom)
    _, down = _drafting.drafted()
    assert down.splitlines() == [
        "drop table raw.pool_moved;",
        "alter table raw.pool_closed drop column closed_by;",
    ]


@pytest.mark.parametrize(
    ("cls", "said"),
    [
        (ClosedByAll, "raw.pool_closed.closed_by may not be null, and rows of before have none"),
        (CountedReason, "raw.pool_closed.reason is VARCHAR, CountedReason says INTEGER"),
        (PoolCreated, "raw.pool_closed.reason is VARCHAR, PoolCreated says nothing"),
    ],
)
def test_what_becomes_of_rows_is_left_to_a_person(say, cls, said):
    say(pool_closed=cls)
    with pytest.raises(MigrationError) as caught:
        _drafting.drafted()
    assert str(caught.value) == f"write this step by hand: {said}"


def test_there_is_nothing_to_draft_where_nothing_differs():
    with pytest.raises(MigrationError, match="the newest schema is what the event classes say"):
        _drafting.drafted()


def test_a_draft_is_the_next_pair_of_files(say, tmp_path, capsys):
    say(pool_closed=ClosedByWhom)
    _drafting.main(["closed_by"])
    files = [tmp_path / f"{NEXT:04}_closed_by.{direction}.sql" for direction in ("up", "down")]
    assert capsys.readouterr().out.splitlines() == [str(file) for file in files]
    assert tuple(file.read_text() for file in files) == _drafting.drafted()


@pytest.mark.parametrize("arguments", [[], ["Closed by"], ["closed", "by"], ["../closed"]])
def test_make_migration_takes_one_word(monkeypatch, arguments):
    monkeypatch.setattr(sys, "argv", ["make", *arguments])
    monkeypatch.delitem(sys.modules, _drafting.__name__)
    with pytest.raises(SystemExit, match="names no migration; use a word like added_field"):
        runpy.run_module(_drafting.__name__, run_name="__main__")
