"""Database files: who may open them, what errors say, and what a copy keeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

IS_2 = int(duckdb.__version__.partition(".")[0]) >= 2


def make(path: Path, value: int = 1) -> Path:
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"create table t as select {value} as i")
    return path


def value_in(connection: duckdb.DuckDBPyConnection) -> int:
    ((value,),) = connection.execute("select i from t").fetchall()
    return value


@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_that_another_process_writes_cannot_even_be_read(tmp_path, read_only):
    """Why readers get a publication, and the text by which `_database.explained` says so."""
    path = make(tmp_path / "held.db")
    script = (
        "import duckdb, sys\n"
        "try: duckdb.connect(sys.argv[1], read_only=sys.argv[2] == 'True')\n"
        "except duckdb.IOException as error: print(error)\n"
    )
    with duckdb.connect(str(path)):
        child = subprocess.run(
            [sys.executable, "-c", script, str(path), str(read_only)],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert "Could not set lock on file" in child.stdout


def test_one_process_cannot_open_a_file_with_two_configurations(tmp_path):
    """Why `LearningDatabase` attaches its file, and a text that `_database.explained` matches."""
    path = make(tmp_path / "twice.db")
    with (
        duckdb.connect(str(path)),
        pytest.raises(duckdb.ConnectionException, match="different configuration"),
    ):
        duckdb.connect(str(path), read_only=True)


def test_one_process_cannot_open_a_file_that_is_attached_for_writing(tmp_path):
    """A text that `_database.explained` matches."""
    path = make(tmp_path / "attached.db")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{path}' as other")
        with pytest.raises(duckdb.Error, match="Unique file handle conflict"):
            duckdb.connect(str(path))


def test_a_file_that_is_open_can_be_attached_read_only_elsewhere_in_the_process(tmp_path):
    """A notebook may hold `learning.db` open while `LearningDatabase` attaches it."""
    path = make(tmp_path / "open.db")
    with duckdb.connect(str(path), read_only=True), duckdb.connect() as connection:
        connection.execute(f"attach '{path}' as learning (read_only)")
        assert connection.execute("select i from learning.t").fetchall() == [(1,)]


def test_what_is_no_database_is_named_so(tmp_path):
    """A text that `_database.explained` matches."""
    path = tmp_path / "text.db"
    path.write_bytes(b"not a database " * 1000)
    with pytest.raises(duckdb.IOException, match="not a valid DuckDB database file"):
        duckdb.connect(str(path))


def test_a_flipped_byte_in_the_data_is_reported_when_it_is_read(tmp_path):
    """A damaged store is noticed by reading it, and not by opening it."""
    path = tmp_path / "damaged.db"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table t as select hash(range) as i from range(200000)")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with (
        duckdb.connect(str(path), read_only=True) as connection,
        pytest.raises(duckdb.Error, match=r"computed checksum \d+ does not match stored checksum"),
    ):
        connection.execute("select sum(i) from t").fetchall()


def test_a_second_connect_to_a_replaced_path_gets_the_old_database(tmp_path):
    """Why a publication has a path of its own, and readers open that and not a fixed one."""
    path = make(tmp_path / "current.db", 1)
    fresh = make(tmp_path / "fresh.db", 2)
    with duckdb.connect(str(path), read_only=True) as before:
        fresh.replace(path)
        with duckdb.connect(str(path), read_only=True) as after:
            assert (value_in(before), value_in(after)) == (1, 1)
    with duckdb.connect(str(path), read_only=True) as connection:
        assert value_in(connection) == 2


def test_a_link_that_moved_is_another_database(tmp_path):
    """`learning.db` is a link: connecting again gives the new publication, beside the old one."""
    link = tmp_path / "learning.db"
    link.symlink_to(make(tmp_path / "first.db", 1))
    with duckdb.connect(str(link), read_only=True) as before:
        link.unlink()
        link.symlink_to(make(tmp_path / "second.db", 2))
        with duckdb.connect(str(link), read_only=True) as after:
            assert (value_in(before), value_in(after)) == (1, 2)


def test_an_open_publication_is_read_on_after_its_file_is_gone(tmp_path):
    """Old publications are removed without asking who still reads them."""
    path = make(tmp_path / "pruned.db")
    with duckdb.connect(str(path), read_only=True) as connection:
        path.unlink()
        assert value_in(connection) == 1


def test_a_checkpoint_within_a_transaction_that_wrote_is_refused(tmp_path):
    """Why a publication is a copy through SQL, taken outside of any transaction."""
    with duckdb.connect(str(make(tmp_path / "busy.db"))) as connection:
        connection.execute("begin; insert into t values (2)")
        with pytest.raises(duckdb.TransactionException, match="Cannot CHECKPOINT"):
            connection.execute("checkpoint")


def test_detaching_a_new_database_leaves_one_file(tmp_path):
    """`publish` renames one file: a log beside it would be left behind."""
    with duckdb.connect(str(make(tmp_path / "source.db"))) as connection:
        connection.execute(f"attach '{tmp_path / 'copy.db'}' as publication")
        connection.execute("create table publication.main.t as from source.main.t")
        connection.execute("detach publication")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["copy.db", "source.db"]


def test_a_whole_copy_keeps_constraints_and_indexes_and_leaves_no_log(tmp_path):
    """How a database is rebuilt smaller, or backed up while it is open."""
    with duckdb.connect(str(tmp_path / "source.db")) as connection:
        connection.execute("create table t (i int primary key, j int not null)")
        connection.execute("create index plain on t (j)")
        connection.execute("insert into t values (1, 1)")
        connection.execute(f"attach '{tmp_path / 'copy.db'}' as copy")
        connection.execute("copy from database source to copy")
        connection.execute("detach copy")
    assert not (tmp_path / "copy.db.wal").exists()
    with duckdb.connect(str(tmp_path / "copy.db")) as connection:
        assert connection.execute("select index_name from duckdb_indexes()").fetchall() == [
            ("plain",)
        ]
        for wrong in ("(1, 2)", "(2, null)"):
            with pytest.raises(duckdb.ConstraintException):
                connection.execute(f"insert into t values {wrong}")


def test_scattered_deletes_do_not_shrink_a_file_but_a_copy_does(tmp_path):
    """Why the vectors' store is written anew to forget rows, with all their bytes."""
    path, copy = tmp_path / "holes.db", tmp_path / "copy.db"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "create table t as select range as i, hash(range) as h from range(500000)"
        )
        connection.execute("checkpoint")
        before = path.stat().st_size
        connection.execute("delete from t where i % 3 > 0")
        connection.execute("checkpoint")
        connection.execute(f"attach '{copy}' as copy")
        connection.execute("create table copy.main.t as from holes.main.t")
        connection.execute("detach copy")
    assert path.stat().st_size > before * 0.8
    assert copy.stat().st_size < before * 0.6


def test_the_log_of_a_path_with_a_question_mark_is_misplaced(tmp_path):
    """Why `_database.connect` refuses such a path."""
    path = tmp_path / "what?.db"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create table t (i int)")
        assert not path.with_name("what?.db.wal").exists()
        assert path.with_name("what.wal?.db").exists()


def test_a_spill_leaves_its_folder_as_it_was_once_the_database_is_closed(tmp_path):
    """Why a lock can lie in the folder that `_spill` gives to a database."""
    (tmp_path / "lock").touch()
    config = {"temp_directory": str(tmp_path), "memory_limit": "60MB", "threads": "1"}
    with duckdb.connect(config=config) as connection:
        connection.execute("create table t as select md5(range::varchar) from range(2000000)")
        assert list(tmp_path.glob("duckdb_temp_*"))
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_two_databases_spill_into_files_of_the_same_names(tmp_path):
    """Why each database gets a folder of its own; DuckDB 2.0 numbers the files."""
    names = []
    for folder in (tmp_path / "one", tmp_path / "other"):
        config = {"temp_directory": str(folder), "memory_limit": "60MB", "threads": "1"}
        with duckdb.connect(config=config) as connection:
            connection.execute("create table t as select md5(range::varchar) from range(2000000)")
            names.append({path.name for path in folder.iterdir()})
    assert bool(names[0] & names[1]) is not IS_2
