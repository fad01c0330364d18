"""Where a publication beside a home may be made, and what is left when it cannot be."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from orb_learning import Telemetry, _faults
from orb_learning._database import connect
from orb_learning._locks import FileLock
from orb_learning.errors import HomeError, RefreshError
from orb_learning.home import Home
from orb_learning.publication import current
from orb_learning.refresh import RefreshReport
from orb_learning.upkeep import _aside, refresh_into
from publishing import publish_marts


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Home]:
    """Publish marts made by hand where dbt would build them; return the homes it was asked for."""
    asked: list[Home] = []

    class WithoutDbt:
        def __init__(self, root: Path, project: Path | None) -> None:
            self.home = Home(root)

        def refresh(self, *, as_of: str | None, on_progress: object) -> RefreshReport:
            asked.append(self.home)
            assert self.home.staging.exists()
            return RefreshReport(publish_marts(self.home), [], 0.0)

    monkeypatch.setattr(_aside, "Refresher", WithoutDbt)
    return asked


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda into: (into / "spool").mkdir() or (into / "spool" / "x").touch(), "holds spool"),
        (lambda into: (into / "staging.duckdb").touch(), "holds staging.duckdb"),
        (lambda into: (into / "notes.txt").touch(), "holds notes.txt"),
        (lambda into: into.rmdir() or into.touch(), "Not a directory; name another"),
        (lambda into: into.chmod(0o777), "others may write to home"),
        (lambda into: (into / "learning.db").touch(), "is not the link that publishing makes"),
    ],
)
def test_a_directory_that_holds_something_else_is_refused(home, tmp_path, built, make, said):
    into = tmp_path / "into"
    into.mkdir(mode=0o700)
    make(into)
    before = sorted(into.rglob("*"))
    with pytest.raises(HomeError, match=said):
        refresh_into(home, into)
    assert {path for path in before if not path.exists()} == set()
    assert not (into / _aside.BUILDING).exists()


@pytest.mark.parametrize("inside", [".", "published", "june", "spool/june"])
def test_a_directory_of_the_home_is_refused(home, built, inside):
    home.create()
    with pytest.raises(HomeError, match="is the home's own; name a directory outside"):
        refresh_into(home, home.root / inside)
    assert not home.staging.exists()


def test_a_link_to_the_home_is_the_home(home, tmp_path, built):
    home.create()
    (tmp_path / "link").symlink_to(home.root)
    with pytest.raises(HomeError, match="is the home's own"):
        refresh_into(home, tmp_path / "link")


def test_a_call_replaces_what_an_earlier_one_made_and_what_a_killed_one_left(home, tmp_path, built):
    into = Home(tmp_path / "into")
    (into.root / _aside.BUILDING / "published").mkdir(parents=True, mode=0o700)
    (into.root / _aside.BUILDING / "staging.duckdb").write_text("half a copy")
    home.create()
    (home.embeddings).mkdir()
    (home.embeddings / "store.json").write_text("{}")

    made = [refresh_into(home, into.root).publication for _ in range(2)]

    assert current(into) == made[1]
    assert names(into.published) == {"current", made[1].id}
    assert names(into.root) == {
        *("published", "learning.db", "spool"),
        *("refresh.lock", "refresh.turn", "refresh.pid"),
    }
    assert (home.embeddings / "store.json").exists()
    assert [one.root for one in built] == [into.root / _aside.BUILDING] * 2


def test_only_its_owner_reads_what_is_made(home, tmp_path, built):
    before = os.umask(0o022)
    try:
        refresh_into(home, tmp_path / "into")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "into").stat().st_mode) == 0o700


def test_a_build_that_fails_leaves_what_was_published_there(home, tmp_path, built, monkeypatch):
    into = Home(tmp_path / "into")
    made = refresh_into(home, into.root).publication

    def fail(*_: object) -> None:
        raise RefreshError("a test failed; the last publication stands")

    monkeypatch.setattr(_aside.Refresher, "refresh", lambda *_, **__: fail())
    with pytest.raises(RefreshError):
        refresh_into(home, into.root)
    assert current(into) == made
    assert not (into.root / _aside.BUILDING).exists()


def test_what_cannot_be_written_is_one_line(home, tmp_path, built, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "staging.duckdb")

    monkeypatch.setattr(_aside.shutil, "copyfile", full)
    with pytest.raises(HomeError, match=r"cannot publish into .*: .*No space left on device"):
        refresh_into(home, tmp_path / "into")


def test_the_home_is_free_while_the_publication_is_made(home, tmp_path, built, monkeypatch):
    refresh = _aside.Refresher.refresh

    def look(self, **how):
        lock = FileLock(home.lock_file)
        assert lock.acquire()
        lock.release()
        return refresh(self, **how)

    monkeypatch.setattr(_aside.Refresher, "refresh", look)
    refresh_into(home, tmp_path / "into")


@pytest.mark.parametrize(
    "point", ["load.committed", "publish.copied", "publish.pruned", "publish.current:2"]
)
def test_a_kill_leaves_one_whole_publication_and_no_event_is_lost(
    home, tmp_path, built, children, point
):
    into = Home(tmp_path / "into")
    before = refresh_into(home, into.root).publication
    with Telemetry(home.root, strict=True) as hooks:
        hooks.capture_feedback_sync("task", feedback_type="thumbs_up")

    def make_and_die() -> None:
        _faults.arm(point)
        refresh_into(home, into.root)

    dying = children.start(make_and_die)
    ended = os.waitid(os.P_PID, dying, os.WEXITED | os.WNOWAIT)
    assert (ended.si_code, ended.si_status) == (os.CLD_KILLED, signal.SIGKILL)
    children.kill(dying)

    assert (current(into) == before) is (point != "publish.current:2")
    made = refresh_into(home, into.root).publication
    assert current(into) == made
    assert names(into.published) == {"current", made.id}
    assert not (into.root / _aside.BUILDING).exists()
    with connect(home.staging, read_only=True) as staging:
        assert staging.execute("select count(*) from raw.feedback").fetchall() == [(1,)]


def test_the_vectors_of_the_home_are_published_beside_it_too(home, tmp_path, built):
    home.embeddings.mkdir(parents=True, mode=0o700)
    (home.embeddings / "store.json").write_text('{"model": "letters"}')
    with connect(home.embeddings / "vectors.duckdb") as vectors:
        vectors.execute(
            "create table execution_embeddings"
            " (content_hash varchar, embedding float[384], vector_id bigint)"
        )

    made = refresh_into(home, tmp_path / "into").publication

    assert made.similarity["model"] == "letters"
    assert names(home.embeddings) == {"store.json", "vectors.duckdb", "store.lock"}
