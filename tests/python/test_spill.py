"""What DuckDB puts to disk is private, and does not outlive its process for long."""

from __future__ import annotations

import gc
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

import orb_learning
from orb_learning import _database
from orb_learning._database import connect, copy_database, in_memory
from orb_learning._locks import FileLock
from orb_learning._spill import SpillFolder, delete_left_spills
from orb_learning.errors import HomeError
from orb_learning.home import Home
from orb_learning.staging import load
from orb_learning.upkeep import request_erasure, take_in
from orb_learning.warehouse import drop_warehouse

NEEDLE = b"spilled-private-text"


def temp_directory_of(connection: duckdb.DuckDBPyConnection) -> str:
    ((found,),) = connection.execute("select current_setting('temp_directory')").fetchall()
    return str(found)


def spill(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("set memory_limit = '60MB'")
    connection.execute("set threads = 1")
    connection.execute("set preserve_insertion_order = false")
    connection.execute(
        f"create temp table texts as select '{NEEDLE.decode()} ' || md5(i::varchar)"
        " || md5((i + 1)::varchar) as text from range(1500000) as numbers(i)"
    )


def texts_left(root: Path) -> list[Path]:
    """Return the files below a directory that hold a text."""
    files = (path for path in root.rglob("*") if path.is_file())
    return [path for path in files if NEEDLE in path.read_bytes()]


OPENINGS: dict[str, Callable[[Home], duckdb.DuckDBPyConnection]] = {
    "to write": lambda home: connect(home.warehouse, home),
    "to read": lambda home: connect(home.warehouse, home, read_only=True),
    "in memory": in_memory,
}


@pytest.fixture
def made(home: Home) -> Home:
    home.create()
    connect(home.warehouse, home).close()
    return home


@pytest.fixture
def killed(made: Home, children) -> Home:
    """A home in which a process was killed that had spilled."""

    def spill_and_die() -> None:
        connection = connect(made.warehouse, made)
        spill(connection)
        os.kill(os.getpid(), signal.SIGKILL)

    pid = children.start(spill_and_die)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    children.kill(pid)
    assert texts_left(made.root), "it has spilled"
    return made


def test_a_killed_process_leaves_its_spill_where_nobody_else_can_read_it(killed):
    assert {path.parent.parent for path in texts_left(killed.root)} == {killed.spill}
    (left,) = killed.spill.iterdir()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (killed.spill, left)] == [0o700] * 2


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_spill_is_private_whatever_the_umask(made, umask):
    before = os.umask(umask)
    try:
        folder = SpillFolder(made)
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (made.spill, folder.path)] == [
        0,
        0,
    ]
    folder.delete()


def test_a_start_deletes_what_a_killed_process_has_spilled(killed):
    load(killed)
    assert texts_left(killed.root) == []
    assert list(killed.spill.iterdir()) == []


def test_opening_to_read_deletes_nothing(killed):
    connect(killed.warehouse, read_only=True).close()
    assert texts_left(killed.root)


def test_an_erasure_deletes_what_a_killed_process_has_spilled(made, monkeypatch):
    request_erasure(made, users=["alice"])
    for folder in (made.spill / f"{os.getpid()}-0123abcd", made.root / "learning.db.tmp"):
        folder.mkdir(parents=True)
        (folder / "duckdb_temp_storage_DEFAULT-0.tmp").write_bytes(NEEDLE)
    # As if it had been killed only after the erasure's own start.
    monkeypatch.setattr(_database, "delete_left_spills", lambda home: None)
    take_in(made)
    assert texts_left(made.root) == []


@pytest.mark.parametrize("name", ["warehouse.duckdb", "staging.duckdb"])
def test_a_spill_of_an_earlier_release_goes_when_its_file_is_opened(made, name):
    """Of one who opened the file with other tools, too."""
    left = made.root / f"{name}.tmp"
    left.mkdir()
    (left / "duckdb_temp_storage_DEFAULT-0.tmp").write_bytes(NEEDLE)
    connect(made.root / name, made).close()
    assert not left.exists()


@pytest.mark.parametrize("name", ["warehouse.duckdb", "staging.duckdb"])
def test_a_start_empties_the_spill_beside_any_store(made, name):
    """The folder stays: a tool of a person's own may have the file open."""
    left = made.root / f"{name}.tmp"
    left.mkdir()
    (left / "duckdb_temp_storage_DEFAULT-0.tmp").write_bytes(NEEDLE)
    (left / "of others").write_bytes(b"")
    connect(made.root / "another.duckdb", made).close()
    assert [path.name for path in left.iterdir()] == ["of others"]


def test_a_warehouse_goes_with_what_was_spilled_of_it(made):
    left = made.root / "warehouse.duckdb.tmp"
    left.mkdir()
    (left / "duckdb_temp_storage_DEFAULT-0.tmp").write_bytes(NEEDLE)
    drop_warehouse(made)
    assert not left.exists()


def test_a_living_process_keeps_its_spill(made, children):
    with in_memory(made) as connection:
        spill(connection)
        children.run(lambda: delete_left_spills(made))
        delete_left_spills(made)
        assert texts_left(made.spill)
        assert connection.execute("select count(distinct text) from texts").fetchall() == [
            (1_500_000,)
        ]


def test_a_forks_child_leaves_its_parents_spill(made, children):
    folder = SpillFolder(made)
    children.run(folder.delete)
    assert folder.path.exists()
    folder.delete()
    assert not folder.path.exists()


def test_a_folder_that_was_deleted_before_it_was_locked_is_made_again(made, monkeypatch):
    acquire = FileLock.acquire
    first = []

    def swept(lock: FileLock) -> bool:
        if not first:
            first.append(made.spill)
            delete_left_spills(made)
        return acquire(lock)

    monkeypatch.setattr(FileLock, "acquire", swept)
    folder = SpillFolder(made)
    assert folder.path.exists()
    assert list(made.spill.iterdir()) == [folder.path]
    folder.delete()


def test_what_else_lies_beside_the_spills_stays(home, tmp_path):
    """The folder may be a link into another disk's."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "of others").mkdir(parents=True)
    home.create()
    home.spill.symlink_to(elsewhere)
    with in_memory(home) as connection:
        spill(connection)
        assert texts_left(elsewhere)
    del connection
    delete_left_spills(home)
    gc.collect()
    assert [path.name for path in elsewhere.iterdir()] == ["of others"]


@pytest.mark.parametrize("opening", OPENINGS.values(), ids=list(OPENINGS))
def test_each_opening_spills_into_a_folder_of_its_own(made, opening):
    with opening(made) as one, in_memory(made) as other:
        folders = {Path(temp_directory_of(each)) for each in (one, other)}
        assert len(folders) == 2
        assert {folder.parent for folder in folders} == {made.spill}
        assert all(folder.is_dir() for folder in folders)
    del one, other
    gc.collect()
    assert list(made.spill.iterdir()) == []


def test_a_copy_leaves_no_spill(made):
    copy_database(made, made.warehouse, made.root / "copy.duckdb")
    gc.collect()
    assert list(made.spill.iterdir()) == []


def test_who_names_no_home_spills_nowhere(made):
    for connection in (in_memory(), connect(made.warehouse, read_only=True)):
        with connection:
            assert temp_directory_of(connection) == ""
            with pytest.raises(duckdb.OutOfMemoryException):
                spill(connection)
    assert not texts_left(made.root)


def test_a_home_that_cannot_be_written_is_named(home):
    home.create()
    home.spill.write_bytes(b"")
    with pytest.raises(HomeError, match=f"cannot make {home.spill}"):
        in_memory(home)


def test_the_package_opens_duckdb_in_one_place():
    """dbt alone opens it elsewhere, as the plugin says."""
    package = Path(orb_learning.__file__).parent
    opening = [path for path in package.rglob("*.py") if "duckdb.connect(" in path.read_text()]
    assert opening == [package / "_database.py"]
