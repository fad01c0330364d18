"""Publishing: readers see one publication or the next, whole, and never anything between."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orb_learning import publication
from orb_learning.errors import HomeError, NotPublishedError, RefreshError
from orb_learning.home import Home
from orb_learning.publication import KEPT, Publication, _publish, _swap, current
from publishing import AS_OF, fill, publish, published, warehouse_of


@pytest.fixture
def warehouse(home):
    with warehouse_of(home) as connection:
        yield connection


def publish_run(connection: duckdb.DuckDBPyConnection, home: Home, run: int) -> Publication:
    fill(connection, run)
    return publish(connection, home, schema="main", as_of=AS_OF)


def read(path: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_what_is_published_can_be_read_through_one_fixed_link(home, warehouse):
    first = publish_run(warehouse, home, 1)
    link = home.learning_db.lstat().st_ino
    assert home.learning_db.readlink() == Path("published/current/learning.db")
    assert home.current.readlink() == Path(first.id)
    assert read(home.learning_db, "select distinct run from second") == [(1,)]

    second = publish_run(warehouse, home, 2)
    assert home.learning_db.lstat().st_ino == link, "the link itself stays"
    assert home.current.readlink() == Path(second.id)
    assert read(home.learning_db, "select distinct run from second") == [(2,)]


def test_a_manifest_says_what_was_published(home, warehouse):
    before = datetime.now(UTC)
    made = publish_run(warehouse, home, 1)

    assert current(home) == made
    assert json.loads((home.current / "manifest.json").read_text()) == asdict(made)
    assert before <= datetime.fromisoformat(made.published_at) <= datetime.now(UTC)
    assert (made.as_of, made.load_id, made.release) == (AS_OF, 1, "0.1.0")
    assert made.rows == {"first": 100, "second": 100}


def test_nothing_is_published_before_the_first(home):
    with pytest.raises(NotPublishedError) as caught:
        current(home)
    assert str(caught.value) == (
        f"nothing is published in {home.root} yet, a new home: there is no such directory; "
        "run `orb-learning refresh` or `dbt build`"
    )


def test_what_a_newer_release_says_more_is_passed_over(home, warehouse):
    made = publish_run(warehouse, home, 1)
    manifest = home.current / "manifest.json"
    manifest.chmod(0o600)
    manifest.write_text(json.dumps(asdict(made) | {"something": "new"}))
    assert current(home) == made


@pytest.mark.parametrize("changed", [{"id": 5}, {"as_of": None}, {"similarity": None}])
def test_a_manifest_of_another_kind_counts_as_none(home, warehouse, changed):
    made = publish_run(warehouse, home, 1)
    manifest = home.current / "manifest.json"
    manifest.chmod(0o600)
    manifest.write_text(json.dumps(asdict(made) | changed))
    with pytest.raises(NotPublishedError):
        current(home)


@pytest.mark.parametrize(
    "manifest",
    ["", "[]", "7", "{}", '{"id": "x"}', '{"of a": "newer kind"}', "[" * 100_000],
)
def test_a_manifest_that_is_none_counts_as_nothing_published(home, warehouse, manifest):
    publish_run(warehouse, home, 1)
    (home.current / "manifest.json").chmod(0o600)
    (home.current / "manifest.json").write_text(manifest)
    with pytest.raises(NotPublishedError):
        current(home)


def test_a_home_can_be_moved_with_what_it_published(home, warehouse):
    publish_run(warehouse, home, 1)
    warehouse.close()
    moved = Home(home.root.rename(home.root.with_name("moved")))
    assert read(moved.learning_db, "select distinct run from first") == [(1,)]


def test_publications_cannot_be_written_and_are_private(home, warehouse):
    made = publish_run(warehouse, home, 1)
    folder = home.published / made.id
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(file.name for file in folder.iterdir()) == ["learning.db", "manifest.json"]
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o400


def test_published_tasks_lie_in_the_order_of_their_ids_unpacked(home, warehouse):
    warehouse.execute(
        "create table tasks as select uuid() as task_id, now() as first_routed_at, 1 as load_id"
        " from range(1000)"
    )

    publish(warehouse, home, schema="main", as_of=AS_OF)

    ids = read(home.learning_db, "select task_id from tasks order by rowid")
    assert len(ids) == 1000
    assert ids == sorted(ids)
    packed = "select distinct compression from pragma_storage_info('tasks') where {}"
    segments = "column_name = 'task_id' and segment_type <> 'VALIDITY'"
    assert read(home.learning_db, packed.format(segments)) == [("Uncompressed",)]


def test_every_table_of_the_schema_is_copied_and_nothing_else(home, warehouse):
    fill(warehouse, 1)
    warehouse.execute("create view a_view as from first")
    warehouse.execute("create temp table temporary as from first")
    warehouse.execute("create schema other")
    warehouse.execute("create table other.elsewhere as from first")
    warehouse.execute("create table empty (n INTEGER)")
    warehouse.execute(
        """
        create table typed as select uuid() as id, '{"a": 1}'::json as metadata,
            range(384)::float[384] as embedding, ['x'] as names, timestamp '2026-03-01' as at,
            1.5::decimal(38, 9) as cost
        """
    )

    made = publish(warehouse, home, schema="main", as_of=AS_OF)

    assert made.rows == {"empty": 0, "first": 100, "second": 100, "typed": 1}
    assert [name for (name,) in read(home.learning_db, "select table_name from duckdb_tables()")]
    assert read(home.learning_db, "select count(*) from duckdb_views() where not internal") == [
        (0,)
    ]
    described = "select column_name, column_type from (describe typed)"
    assert read(home.learning_db, described) == warehouse.execute(described).fetchall()
    assert read(home.learning_db, "from typed") == warehouse.execute("from typed").fetchall()
    assert warehouse.execute("select current_schema()").fetchall() == [("main",)]


def test_another_schema_can_be_published(home, warehouse):
    warehouse.execute('create schema "a schema"')
    warehouse.execute('create table "a schema"."order" as select 7 as "select"')
    assert publish(warehouse, home, schema="a schema", as_of=AS_OF).rows == {"order": 1}
    assert read(home.learning_db, 'select "select" from "order"') == [(7,)]


def test_indexes_are_copied(home, warehouse):
    fill(warehouse, 1)
    warehouse.execute("create index by_run on first (run, n)")
    warehouse.execute("create index by_n on second (n)")
    publish(warehouse, home, schema="main", as_of=AS_OF)
    assert read(
        home.learning_db, "select table_name, index_name from duckdb_indexes() order by all"
    ) == [("first", "by_run"), ("second", "by_n")]


def test_a_reader_that_opens_all_the_time_never_fails_and_never_sees_a_mixture(home, children):
    with warehouse_of(home) as warehouse:
        publish_run(warehouse, home, 0)
    told, tell = os.pipe()
    stop, end = os.pipe()
    os.set_blocking(stop, False)

    def goes_on() -> bool:
        try:
            os.read(stop, 1)
        except BlockingIOError:
            return True
        return False

    def read_until_told() -> None:
        seen = []
        while goes_on():
            ((one, other),) = read(
                home.learning_db,
                "select (select list(distinct run) from first), "
                "(select list(distinct run) from second)",
            )
            assert one == other, "a mixture of two publications"
            assert len(one) == 1
            seen += one
            os.write(tell, b".")
        assert seen == sorted(seen), "an older publication after a newer one"
        assert len(set(seen)) > 1, "the reader never saw a swap"

    def look_until_told() -> None:
        # A thousand times quicker than reading, to catch a moment without a database.
        while goes_on():
            home.learning_db.stat()

    watching = [children.start(read_until_told), children.start(look_until_told)]
    with warehouse_of(home) as warehouse:
        for run in range(1, 31):
            publish_run(warehouse, home, run)
            os.read(told, 1)
    os.write(end, b"!!")
    for child in watching:
        children.join(child)
    for fd in (told, tell, stop, end):
        os.close(fd)


def test_a_publication_is_on_disk_before_it_gets_its_name(home, warehouse, disk_steps):
    made = publish_run(warehouse, home, 1)

    making = home.published / f".{made.id}"
    named = disk_steps.index(("rename", making))
    for path in (making / "learning.db", making / "manifest.json", making):
        assert ("sync", path) in disk_steps[:named], path
    current = disk_steps.index(("replace", home.published / ".current-new"))
    assert ("sync", home.published) in disk_steps[named:current], "before a link leads to it"
    assert disk_steps[current + 1 :] == [("sync", home.published), ("sync", home.root)]


def test_the_link_leads_to_a_database_after_every_step(home, warehouse, monkeypatch):
    publish_run(warehouse, home, 1)
    steps = []

    def watched(name: str) -> None:
        original = getattr(Path, name)

        def step(self: Path, *arguments: Any, **options: Any) -> Any:
            result = original(self, *arguments, **options)
            steps.append((name, home.learning_db.exists() and home.current.exists()))
            return result

        monkeypatch.setattr(Path, name, step)

    for name in ("rename", "replace", "symlink_to", "unlink"):
        watched(name)
    publish_run(warehouse, home, 2)

    assert {name for name, _ in steps} >= {"rename", "replace"}
    assert all(leads for _, leads in steps), steps


def test_who_still_reads_an_old_publication_can_read_on(home, warehouse):
    publish_run(warehouse, home, 0)
    with duckdb.connect(str(home.current.resolve() / "learning.db"), read_only=True) as reader:
        for run in range(1, KEPT + 3):
            publish_run(warehouse, home, run)
        assert reader.execute("select distinct run from first").fetchall() == [(0,)]


def test_old_publications_are_removed(home, warehouse):
    made = [publish_run(warehouse, home, run).id for run in range(KEPT + 3)]
    assert published(home) == made[-KEPT:]


def test_the_current_publication_stays_even_if_the_clock_went_back(home, warehouse, monkeypatch):
    for run in range(KEPT):
        publish_run(warehouse, home, run)
    monkeypatch.setattr(_publish, "utc_now", lambda: datetime(2020, 1, 1, tzinfo=UTC))
    made = publish_run(warehouse, home, 9)
    assert made.id.startswith("20200101T")
    assert current(home) == made
    assert read(home.learning_db, "select distinct run from first") == [(9,)]


def test_what_a_publisher_left_when_it_died_is_removed_and_nothing_else(home, warehouse):
    home.create()
    abandoned = home.published / ".20260301T120000000000-00ff"
    abandoned.mkdir()
    (abandoned / "learning.db").write_text("half a copy")
    (abandoned / "learning.db").chmod(0o400)
    (home.published / ".current-0a1b2c3d").symlink_to("nowhere")
    (home.root / ".learning.db-0a1b2c3d").symlink_to("nowhere")
    (home.root / ".learning.db-notes").write_text("mine")
    foreign = {"0-backup", "backup", ".cache", "zzz"}
    for name in foreign:
        (home.published / name).mkdir()
    (home.published / "notes.txt").write_text("mine")

    made = [publish_run(warehouse, home, run).id for run in range(KEPT + 1)]

    assert set(published(home)) == {*made[-KEPT:], *foreign, "notes.txt"}
    assert [file.name for file in home.root.glob(".*")] == [".learning.db-notes"]


def test_only_the_tables_that_are_named_are_published(home, warehouse):
    def publish_only(*names: str) -> None:
        publication.publish(warehouse, home, schema="main", as_of=AS_OF, tables=names)
        found = read(home.learning_db, "select table_name from duckdb_tables()")
        assert {name for (name,) in found} == set(current(home).rows) == set(names)

    fill(warehouse, 1)
    warehouse.execute("create index of_second on second (n)")
    publish_only("first", "second")
    fill(warehouse, 2)
    publish_only("first")
    fill(warehouse, 3)
    publish_only("first")
    assert read(home.learning_db, "select distinct run from first") == [(3,)]
    before = current(home)
    with pytest.raises(RefreshError, match=r"cannot copy the warehouse: .*third.* does not exist"):
        publish_only("first", "third")
    assert current(home) == before


def test_a_short_copy_is_not_published(home, warehouse, monkeypatch):
    made = publish_run(warehouse, home, 1)
    copy = _publish.copy_tables

    def copy_short(connection: duckdb.DuckDBPyConnection, path: Path, schema: str) -> Any:
        rows = copy(connection, path, schema)
        with duckdb.connect(str(path)) as short:
            short.execute("delete from second where n = 7")
        return rows

    monkeypatch.setattr(_publish, "_updated", lambda *_: None)
    monkeypatch.setattr(_publish, "copy_tables", copy_short)
    with pytest.raises(RefreshError) as caught:
        publish_run(warehouse, home, 2)

    assert str(caught.value) == (
        "the copy of second holds 99 rows instead of 100; the last publication stands"
    )
    assert current(home) == made
    assert published(home) == [made.id]
    assert read(home.learning_db, "select distinct run from second") == [(1,)]


def test_a_copy_that_was_not_closed_is_not_published(home, warehouse, monkeypatch):
    made = publish_run(warehouse, home, 1)
    verify = _publish.connect

    @contextmanager
    def connect_and_leave(path: Path, **options: Any) -> Iterator[duckdb.DuckDBPyConnection]:
        with verify(path, **options) as connection:
            yield connection
        path.with_name(path.name + ".wal").touch()

    monkeypatch.setattr(_publish, "connect", connect_and_leave)
    with pytest.raises(RefreshError, match="was not closed cleanly; the last publication stands"):
        publish_run(warehouse, home, 2)
    assert (current(home), published(home)) == (made, [made.id])


def test_a_warehouse_that_cannot_be_copied_is_one_line(home, warehouse):
    made = publish_run(warehouse, home, 1)
    warehouse.execute('create table "half"" a name" (n INTEGER)')
    with pytest.raises(RefreshError) as caught:
        publish_run(warehouse, home, 2)
    assert str(caught.value).startswith("cannot copy the warehouse: Parser Error: ")
    assert str(caught.value).endswith("; the last publication stands")
    assert "\n" not in str(caught.value)
    assert (current(home), published(home)) == (made, [made.id])

    warehouse.execute('drop table "half"" a name"')
    assert publish_run(warehouse, home, 3).rows == {"first": 100, "second": 100}


@pytest.mark.parametrize("place", ["learning.db", "published/current"])
def test_a_foreign_file_is_not_replaced(home, warehouse, place):
    home.create()
    (home.root / place).write_text("mine")
    with pytest.raises(HomeError) as caught:
        publish_run(warehouse, home, 1)
    assert str(caught.value) == (
        f"{home.root / place} is not the link that publishing makes; move it away"
    )
    assert (home.root / place).read_text() == "mine"
    assert published(home) == []


def test_a_link_to_somewhere_else_is_put_right(home, warehouse):
    home.learning_db.symlink_to("elsewhere.db")
    home.current.symlink_to("nowhere")
    publish_run(warehouse, home, 1)
    assert read(home.learning_db, "select distinct run from first") == [(1,)]


def test_a_place_that_cannot_be_written_is_one_line(home, warehouse):
    home.published.rmdir()
    with pytest.raises(HomeError) as caught:
        publish_run(warehouse, home, 1)
    assert str(caught.value).startswith(f"cannot publish to {home.published}: [Errno 2] ")


@pytest.mark.parametrize("folder", ["it's mine", '"quoted"', "[a]*", "with spaces; and more"])
def test_a_home_may_have_any_name(tmp_path, folder):
    home = Home(tmp_path / folder)
    with warehouse_of(home) as warehouse:
        publish_run(warehouse, home, 1)
    assert read(home.learning_db, "select distinct run from first") == [(1,)]


@pytest.mark.parametrize("step", range(11))
def test_a_publisher_that_dies_at_any_step_leaves_a_whole_publication(
    home, children, monkeypatch, step
):
    with warehouse_of(home) as warehouse:
        publish_run(warehouse, home, 1)
    steps = iter(range(100))

    def die_at(module: Any, name: str) -> None:
        real = getattr(module, name)

        def maybe(*arguments: Any) -> Any:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments)

        monkeypatch.setattr(module, name, maybe)

    def publish_and_die() -> None:
        with warehouse_of(home) as warehouse:
            fill(warehouse, 2)
            for name in ("_updated", "_verify", "sync", "swap", "prune"):
                die_at(_publish, name)
            for name in ("sync", "_replace_link"):
                die_at(_swap, name)
            publish(warehouse, home, schema="main", as_of=AS_OF)

    dying = children.start(publish_and_die)
    ended = os.waitid(os.P_PID, dying, os.WEXITED | os.WNOWAIT)
    assert ended is not None
    assert (ended.si_code, ended.si_status) == (os.CLD_KILLED, signal.SIGKILL)
    children.kill(dying)

    ((run, other),) = read(
        home.learning_db, "select (select max(run) from first), (select max(run) from second)"
    )
    assert run == other
    assert current(home).id == home.current.readlink().name
    with warehouse_of(home) as warehouse:
        made = publish_run(warehouse, home, 3)
    assert published(home)[-1] == made.id
    assert not [name for name in published(home) if name.startswith(".")]
    assert read(home.learning_db, "select distinct run from second") == [(3,)]


def test_where_anything_was_erased_only_publications_of_the_same_tables_stay(home, warehouse):
    older = publish_run(warehouse, home, 1)
    newer = publish_run(warehouse, home, 2)
    manifest = home.published / older.id / "manifest.json"
    manifest.chmod(0o600)
    said = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**said, "lineage": {"executions": "before a restore"}}))

    _swap.prune(home, newer, 0)
    assert published(home) == sorted([older.id, newer.id])
    _swap.prune(home, newer, older.load_id)
    assert published(home) == [newer.id]
