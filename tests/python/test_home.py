"""The home directory: where it is, who may write to it, and the lock among its writers."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import select
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orb_learning import Telemetry
from orb_learning._locks import FileLock
from orb_learning.errors import BusyError, HomeError, SpoolWriteError, TransientError
from orb_learning.home import HOME_VARIABLE, LOCK_TIMEOUT_VARIABLE, Home
from orb_learning.publication import current


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    monkeypatch.delenv(LOCK_TIMEOUT_VARIABLE, raising=False)


class Holder:
    """A child that holds the lock until it is told to let go."""

    def __init__(self, home: Home, start: Callable[[Callable[[], object]], int]) -> None:
        held_reader, held_writer = os.pipe()
        go_reader, self._go = os.pipe()

        def hold() -> None:
            with home.locked(0):
                os.write(held_writer, b"!")
                os.read(go_reader, 1)

        self.pid = start(hold)
        os.close(held_writer)
        os.close(go_reader)
        assert os.read(held_reader, 1) == b"!", "the child holds the lock"
        os.close(held_reader)

    def let_go(self) -> None:
        os.write(self._go, b"!")

    def close(self) -> None:
        os.close(self._go)


@pytest.fixture
def holder(home, children):
    holding = Holder(home, children.start)
    yield holding
    holding.close()


def test_a_home_is_where_the_argument_says(monkeypatch, tmp_path):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "other"))
    assert Home.locate(tmp_path / "here").root == tmp_path / "here"
    assert Home.locate(str(tmp_path / "here")).root == tmp_path / "here"


def test_without_an_argument_a_home_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "there"))
    assert Home.locate().root == tmp_path / "there"


@pytest.mark.parametrize("unset", [None, ""])
def test_by_default_a_home_is_the_folder_data(monkeypatch, tmp_path, unset):
    monkeypatch.chdir(tmp_path)
    if unset is not None:
        monkeypatch.setenv(HOME_VARIABLE, unset)
    assert Home.locate(unset).root == tmp_path / "data"


@pytest.mark.parametrize("root", ["~no-such-user", "~no-such-user/home"])
def test_a_home_of_a_user_who_is_none_is_refused_in_one_line(monkeypatch, root):
    with pytest.raises(HomeError, match=rf"^home {root}: there is no such user.*from / on$"):
        Telemetry(root)
    monkeypatch.setenv(HOME_VARIABLE, root)
    with pytest.raises(HomeError, match="there is no such user"):
        Telemetry()


def test_a_relative_home_in_a_directory_that_is_gone_is_refused_in_one_line(monkeypatch, tmp_path):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for root in (None, "here", "./here"):
        with pytest.raises(HomeError, match=r"relative to the current directory, which is gone"):
            Telemetry(root)
    assert Telemetry(tmp_path / "home").home.root == tmp_path / "home"


def test_a_home_stays_where_it_is_when_the_process_changes_its_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    home = Home.locate("relative")
    monkeypatch.chdir("/")
    assert home.root == tmp_path / "relative"


def test_a_home_may_be_given_relative_to_the_users_own(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Home.locate("~/orb").root == tmp_path / "orb"


def test_every_store_has_its_place_and_locating_touches_nothing(tmp_path):
    home = Home.locate(tmp_path / "home")
    places = (
        home.spool,
        home.staging,
        home.warehouse,
        home.published,
        home.current,
        home.learning_db,
        home.lock_file,
        home.lock_holder,
        home.schedule,
        home.schedule_lock,
    )
    assert [str(place.relative_to(home.root)) for place in places] == [
        "spool",
        "staging.duckdb",
        "warehouse.duckdb",
        "published",
        "published/current",
        "learning.db",
        "refresh.lock",
        "refresh.pid",
        "schedule.json",
        "schedule.lock",
    ]
    assert not home.root.exists()


def test_a_home_is_private_to_its_owner_whatever_the_umask(home):
    before = os.umask(0)
    try:
        home.create()
        home.create()
    finally:
        os.umask(before)
    for directory in (home.root, home.spool, home.published):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700


USABLE = "-a b'c\"d;e%f{{ g }}{% h %}\n[i]*~$HOME\\é😀:&=,@!|<>`^\t\r\x01 "
"""A name of signs that mean something to a shell, a URL, SQL, Jinja, YAML or a pattern."""
UNUSABLE = {
    "a#b": "dbt and DuckDB cannot open a path with # or ? in it",
    "a?b": "dbt and DuckDB cannot open a path with # or ? in it",
    "DuckLake:a": "dbt takes a path with ducklake: in it for something else",
    os.fsdecode(b"a\xffb"): "DuckDB cannot open a path that is not UTF-8",
    "a\0b": "a path holds no zero byte",
}


@pytest.mark.parametrize("name", UNUSABLE, ids=ascii)
@pytest.mark.parametrize("below", ["", "home"])
def test_a_path_that_not_every_store_can_use_is_refused_before_anything_is_made(
    tmp_path, name, below
):
    home = Home(tmp_path / name / below)
    with pytest.raises(HomeError) as caught:
        home.create()
    assert str(caught.value) == (
        f"cannot use {str(home.root)!r} as home: {UNUSABLE[name]}; "
        f"rename it or point {HOME_VARIABLE} elsewhere"
    )
    assert str(caught.value).isprintable()
    with Telemetry(home.root) as telemetry:
        telemetry.capture_routing_outcome_sync(task_id="1", success=True)
        assert telemetry.stats().dropped == 1
    with (
        Telemetry(home.root, strict=True) as telemetry,
        pytest.raises(SpoolWriteError, match="as home: "),
    ):
        telemetry.capture_routing_outcome_sync(task_id="1", success=True)
    assert list(tmp_path.iterdir()) == []


def test_any_other_path_is_used_by_hooks_and_refresh_alike(tmp_path, refresh):
    root = tmp_path / USABLE / " x.duckdb "
    with Telemetry(root, strict=True) as telemetry:
        telemetry.capture_routing_outcome_sync(task_id="1", success=True)
    refresh(root)
    assert current(Home(root)).rows["executions"] == 1


def test_a_home_of_another_user_is_refused_by_all_but_root(home, monkeypatch):
    home.root.mkdir(mode=0o700)
    owner = home.root.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(HomeError, match=rf"belongs to another user \(uid {owner}\)"):
        home.create()
    with Telemetry(home.root) as telemetry:
        telemetry.capture_routing_outcome_sync(task_id="1", success=True)
        assert telemetry.stats().dropped == 1
    assert list(home.root.iterdir()) == []

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    home.create()


def test_who_holds_the_lock_is_written_to_no_link(home, tmp_path):
    home.create()
    mine = tmp_path / "mine"
    mine.write_text("mine")
    home.lock_holder.symlink_to(mine)
    with home.locked():
        pass
    assert mine.read_text() == "mine"


def test_the_lock_is_no_link(home, tmp_path):
    home.create()
    home.lock_file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeError, match="make it a writable file or remove it"):
        home.acquire_lock()
    assert not (tmp_path / "elsewhere").exists()


def test_who_holds_the_lock_is_private(home):
    before = os.umask(0)
    try:
        with home.locked():
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(home.lock_holder.stat().st_mode) == 0o600


@pytest.mark.parametrize("taken", ["home", "home/spool", "home/published"])
def test_a_home_that_cannot_be_made_says_what_to_do(home, taken):
    file = home.root.parent / taken
    file.parent.mkdir(exist_ok=True)
    file.write_text("")
    with pytest.raises(HomeError) as caught:
        home.create()
    assert str(caught.value) == (
        f"cannot use {home.root} as home: File exists; "
        "make it writable or point ORB_LEARNING_HOME elsewhere"
    )


def test_a_home_that_cannot_be_written_says_what_to_do(children):
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.create()
        home.root.chmod(0o555)
        if os.getuid() == 0:
            os.chown(home.root, 65534, -1)

        def create_as_nobody() -> None:
            was_root = os.getuid() == 0
            if was_root:
                os.setresuid(65534, 65534, 0)
            try:
                with pytest.raises(HomeError, match=f"cannot write to home {home.root}"):
                    home.create()
            finally:
                if was_root:
                    os.setresuid(0, 0, 0)

        children.run(create_as_nobody)
        home.root.chmod(0o700)


def test_a_second_process_is_told_who_holds_the_lock(home, holder):
    with pytest.raises(BusyError) as caught, home.locked(0):
        pytest.fail("two processes hold the lock")
    assert str(caught.value) == (
        f"process {holder.pid} still holds {home.lock_file} after 0 s; "
        "try again when it has finished"
    )
    assert isinstance(caught.value, TransientError)


@pytest.mark.parametrize("content", [None, "", "somebody"])
def test_a_holder_without_a_name_is_another_process(home, holder, content):
    home.lock_holder.unlink()
    if content is not None:
        home.lock_holder.write_text(content)
    with pytest.raises(BusyError, match=r"^another process still holds"):
        home.acquire_lock(0)


def test_an_unrelated_program_is_kept_out_too(home):
    program = (
        "import sys\n"
        "from orb_learning.errors import BusyError\n"
        "from orb_learning.home import Home\n"
        "try: Home.locate(sys.argv[1]).acquire_lock(0)\n"
        "except BusyError as error: print(error)\n"
        "else: print('got it')"
    )
    run = [sys.executable, "-c", program, str(home.root)]
    with home.locked(0):
        told = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert told.startswith(f"process {os.getpid()} still holds {home.lock_file}")


def test_waiting_ends_when_the_holder_lets_go(home, holder, children, caplog):
    class LetGo(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            holder.let_go()

    handler = LetGo()
    logger = logging.getLogger("orb_learning.home")
    logger.addHandler(handler)
    try:
        with home.locked(60):
            children.join(holder.pid)
    finally:
        logger.removeHandler(handler)
    assert caplog.messages == [
        f"process {holder.pid} holds {home.lock_file}; waiting up to 60 s for it"
    ]


def test_a_holder_that_is_killed_frees_the_lock(home, holder, children):
    children.kill(holder.pid)
    with home.locked(0):
        assert home.lock_holder.read_text() == str(os.getpid())


def test_the_lock_is_re_entrant_and_held_until_the_last_release(home, children):
    def is_free() -> bool:
        reader, writer = os.pipe()

        def try_it() -> None:
            try:
                with home.locked(0):
                    os.write(writer, b"y")
            except BusyError:
                os.write(writer, b"n")

        children.run(try_it)
        answer = os.read(reader, 1)
        os.close(reader)
        os.close(writer)
        return answer == b"y"

    with home.locked(0):
        with home.locked(0):
            assert not is_free()
        assert not is_free()
    assert is_free()


def test_the_lock_is_freed_when_its_holder_fails(home):
    with pytest.raises(ZeroDivisionError), home.locked(0):
        _ = 1 / 0
    with home.locked(0):
        pass


def test_the_lock_is_one_for_all_spellings_of_a_home(home, tmp_path):
    home.create()
    (tmp_path / "link").symlink_to(home.root)
    with home.locked(0), Home.locate(tmp_path / "link").locked(0):
        pass


def test_the_lock_file_is_private(home):
    before = os.umask(0)
    try:
        with home.locked(0):
            assert stat.S_IMODE(home.lock_file.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_a_lock_file_that_cannot_be_used_says_what_to_do(home):
    home.create()
    home.lock_file.mkdir()
    with pytest.raises(HomeError, match="make it a writable file or remove it"):
        home.acquire_lock(0)


def test_a_holder_that_cannot_be_noted_does_not_keep_the_lock(home, children):
    home.create()
    home.lock_holder.mkdir()
    with home.locked(0):
        pass

    def take_it() -> None:
        with home.locked(0):
            pass

    children.run(take_it)


def test_an_unusable_home_cannot_be_locked(home):
    home.root.write_text("")
    with pytest.raises(HomeError), home.locked(0):
        pytest.fail("there is nothing to lock")


def test_how_long_to_wait_may_come_from_the_environment(home, holder, monkeypatch):
    monkeypatch.setenv(LOCK_TIMEOUT_VARIABLE, "0.01")
    with pytest.raises(BusyError, match=r"after 0\.01 s"):
        home.acquire_lock()


@pytest.mark.parametrize("seconds", ["soon", "10 s", "-1", "nan", " "])
def test_a_wait_that_is_no_number_of_seconds_is_refused(home, monkeypatch, seconds):
    monkeypatch.setenv(LOCK_TIMEOUT_VARIABLE, seconds)
    with pytest.raises(HomeError, match=f"{LOCK_TIMEOUT_VARIABLE} must be seconds"):
        home.acquire_lock()
    assert not home.root.exists()


@pytest.mark.parametrize("seconds", ["", "0", "600", "1e3"])
def test_a_wait_may_be_any_number_of_seconds(home, monkeypatch, seconds):
    monkeypatch.setenv(LOCK_TIMEOUT_VARIABLE, seconds)
    with home.locked():
        pass


def test_whoever_waits_has_the_lock_before_one_that_takes_it_again_at_once(home, children):
    rounds, begins = os.pipe()
    done, ends = os.pipe()

    def refresh_without_a_pause() -> None:
        os.close(ends)
        is_over = False
        while not is_over:
            with home.locked():
                os.write(begins, b"!")
                is_over = bool(select.select([done], [], [], 0.02)[0])

    pid = children.start(refresh_without_a_pause)
    os.close(begins)
    os.close(done)
    for _ in range(3):
        assert os.read(rounds, 65536), "it is at work again"
        with home.locked(60):
            os.set_blocking(rounds, False)
            with contextlib.suppress(BlockingIOError):
                # One is at work already, and a few fit between two looks at the lock.
                assert len(os.read(rounds, 65536)) < 10
            os.set_blocking(rounds, True)
    os.close(ends)
    children.join(pid)


def test_who_waits_and_dies_stands_in_nobodys_way(home, children, holder):
    here, there = os.pipe()

    class Waits(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            os.write(there, b"!")

    def wait() -> None:
        logging.getLogger("orb_learning.home").addHandler(Waits())
        home.acquire_lock(600)

    pid = children.start(wait)
    assert os.read(here, 1) == b"!"
    children.kill(pid)
    holder.let_go()
    with home.locked(60):
        pass


def test_the_threads_of_a_process_wait_for_their_turn_together(home, children, holder):
    got = []

    def take() -> None:
        with home.locked(60):
            got.append(True)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    holder.let_go()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    before = home.lock_file.with_suffix(".turn")
    assert FileLock(before).acquire(), "nobody keeps the turn"


# The lock itself


def test_a_lock_that_is_not_held_may_be_given_back(tmp_path):
    lock = FileLock(tmp_path / "lock")
    lock.release()
    assert lock.acquire()
    lock.release()
    lock.release()
    assert lock.acquire()
    assert not FileLock(tmp_path / "lock").acquire()
    lock.release()
    assert FileLock(tmp_path / "lock").acquire()


def test_a_lock_is_private_to_its_owner(tmp_path):
    assert FileLock(tmp_path / "lock").acquire()
    assert stat.S_IMODE((tmp_path / "lock").stat().st_mode) == 0o600


def test_a_lock_whose_file_is_removed_as_it_is_taken_is_taken_on_the_next_one(
    tmp_path, monkeypatch
):
    flock, left = fcntl.flock, [None]

    def remove_and_lock(fd: int, operation: int) -> None:
        if left:
            left.pop()
            (tmp_path / "lock").unlink()
        flock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", remove_and_lock)
    assert FileLock(tmp_path / "lock").acquire(timeout_seconds=60)
    assert not FileLock(tmp_path / "lock").acquire()


def test_a_lock_that_the_system_refuses_leaves_no_descriptor(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    before = len([*Path("/proc/self/fd").iterdir()])
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OSError, match="No locks"):
        FileLock(tmp_path / "lock").acquire()
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_a_forks_child_holds_nothing_and_keeps_nothing(tmp_path, children):
    lock = FileLock(tmp_path / "lock")
    assert lock.acquire()

    def look() -> None:
        assert not lock.acquire()
        lock.release()

    children.run(look)
    assert not FileLock(tmp_path / "lock").acquire(), "the child freed it"
    lock.release()
