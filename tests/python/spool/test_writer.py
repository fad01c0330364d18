"""The spool writer: an acknowledged line is on its way to the loader whatever happens next."""

from __future__ import annotations

import errno
import fcntl
import gc
import os
import re
import resource
import shutil
import signal
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orb_learning.errors import SpoolWriteError, TransientError
from orb_learning.spool import Segment, SpoolWriter, _writer, open_segment, segment_names
from orb_learning.spool._segments import SEGMENT_NAME


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "home" / "spool"


@pytest.fixture
def writer(spool):
    made = SpoolWriter(spool)
    yield made
    made.close()


@pytest.fixture
def open_files() -> Callable[[], int]:
    def count() -> int:
        gc.collect()  # the writers of other tests
        return len(list(Path("/proc/self/fd").iterdir()))

    return count


def segment(spool: Path, name: str) -> Segment:
    opened = open_segment(spool, name)
    assert opened is not None
    return opened


def is_sealed(spool: Path, name: str) -> bool:
    opened = segment(spool, name)
    opened.close()
    return opened.is_sealed


class Disk:
    """The operating system's calls, of which the next can be made to fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.synced = 0

    def fail(self, module: Any, name: str, code: int = errno.EIO) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(code, os.strerror(code))

        self._monkeypatch.setattr(module, name, refuse)

    def write_only(self, count: int) -> None:
        whole = os.write
        self._monkeypatch.setattr(os, "write", lambda fd, data: whole(fd, data[:count]))

    def count_syncs(self) -> None:
        real = os.fsync

        def count(fd: int) -> None:
            self.synced += 1
            real(fd)

        self._monkeypatch.setattr(os, "fsync", count)

    def heal(self) -> None:
        self._monkeypatch.undo()


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def test_nothing_is_touched_before_the_first_line(spool, writer):
    writer.close()
    assert not spool.parent.exists()


def test_a_line_is_in_the_file_when_append_returns(spool, writer, lines_in):
    for number in range(3):
        writer.append(b"%d" % number)
        assert lines_in(spool) == [b"0", b"1", b"2"][: number + 1]


def test_segments_have_the_names_that_the_loader_looks_for(spool, writer):
    writer.append(b"{}")
    (name,) = (path.name for path in spool.iterdir())
    assert SEGMENT_NAME.match(name)
    assert re.fullmatch(rf"\d{{8}}T\d{{12}}-{os.getpid()}-[0-9a-f]{{8}}\.jsonl", name)


def test_what_is_written_is_private_whatever_the_umask(spool, writer):
    before = os.umask(0)
    try:
        writer.append(b"{}")
    finally:
        os.umask(before)
    (file,) = spool.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700
    assert stat.S_IMODE(spool.parent.stat().st_mode) == 0o700


def test_a_strict_umask_does_not_lock_the_owner_out(spool, writer, lines_in):
    before = os.umask(0o277)
    try:
        spool.mkdir(mode=0o700, parents=True)
        spool.parent.chmod(0o700)
        spool.chmod(0o700)
        writer.append(b"{}")
    finally:
        os.umask(before)
    (file,) = spool.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_new_segment_is_begun_beyond_the_size_limit(spool, lines_in):
    writer = SpoolWriter(spool, max_segment_bytes=20)
    lines = [b"%09d" % number for number in range(7)]
    for line in lines:
        writer.append(line)
    writer.close()
    sizes = [(spool / name).stat().st_size for name in segment_names(spool)]
    assert sizes == [20, 20, 20, 10]
    assert lines_in(spool) == lines


def test_a_line_beyond_the_size_limit_gets_a_segment_of_its_own(spool, lines_in):
    writer = SpoolWriter(spool, max_segment_bytes=5)
    for line in (b"a", b"long enough", b"b"):
        writer.append(line)
    writer.close()
    assert len(segment_names(spool)) == 3
    assert lines_in(spool) == [b"a", b"long enough", b"b"]


def test_a_segment_is_sealed_once_its_writer_has_ended_it(spool, writer):
    writer.append(b"1")
    (first,) = segment_names(spool)
    assert not is_sealed(spool, first)
    writer.close()
    assert is_sealed(spool, first)
    writer.append(b"2")
    second = segment_names(spool)[1]
    assert is_sealed(spool, first)
    assert not is_sealed(spool, second)


def test_closing_twice_is_harmless_and_a_later_line_begins_a_new_segment(spool, lines_in):
    writer = SpoolWriter(spool)
    writer.append(b"1")
    writer.close()
    writer.close()
    writer.append(b"2")
    writer.close()
    assert len(segment_names(spool)) == 2
    assert lines_in(spool) == [b"1", b"2"]


@pytest.mark.parametrize("written", [0, 1, 5])
def test_after_a_short_write_the_next_line_is_not_glued_to_the_fragment(
    spool, writer, disk, written, lines_in
):
    writer.append(b"first")
    disk.write_only(written)
    with pytest.raises(SpoolWriteError, match=f"only {written} of 6 bytes written"):
        writer.append(b"torn!")
    disk.heal()
    writer.append(b"next")

    torn, whole = segment_names(spool)
    assert (spool / torn).read_bytes() == b"first\n" + b"torn!"[:written]
    assert is_sealed(spool, torn), "the fragment is given up at once"
    assert (spool / whole).read_bytes() == b"next\n"


def test_a_full_disk_is_a_transient_error_that_names_the_spool(spool, writer, disk, lines_in):
    writer.append(b"1")
    disk.fail(os, "write", errno.ENOSPC)
    with pytest.raises(SpoolWriteError) as caught:
        writer.append(b"2")
    assert str(spool) in str(caught.value)
    assert "No space left on device" in str(caught.value)
    assert isinstance(caught.value, TransientError)
    disk.heal()
    writer.append(b"3")
    assert lines_in(spool) == [b"1", b"3"]


def test_a_file_size_limit_tears_one_line_and_loses_no_other(spool, children, whole_lines_in):
    def write_beyond_the_limit() -> None:
        writer = SpoolWriter(spool)
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
        try:
            for _ in range(9):
                writer.append(b"x" * 99)
            writer.append(b"y" * 49)
            writer.append(b"z" * 99)  # 50 bytes fit, and then all of it into another segment
            writer.append(b"a" * 99)
            with pytest.raises(SpoolWriteError):
                writer.append(b"b" * 1999)
            with pytest.raises(SpoolWriteError):
                writer.append(b"c" * 1999)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        writer.append(b"d" * 1999)

    children.run(write_beyond_the_limit)
    lines = [b"x" * 99] * 9 + [b"y" * 49, b"z" * 99, b"a" * 99, b"d" * 1999]
    assert whole_lines_in(spool) == lines
    for name in segment_names(spool):
        data = (spool / name).read_bytes()
        assert data.endswith(b"\n") or data.split(b"\n")[-1] in (b"z" * 50, b"b" * 800)


@pytest.mark.parametrize(("module", "name"), [(os, "rename"), (fcntl, "flock"), (os, "open")])
def test_a_segment_that_cannot_be_begun_leaves_nothing_open_and_nothing_to_load(
    spool, writer, disk, open_files, lines_in, module, name
):
    before = open_files()
    disk.fail(module, name, errno.ENOLCK)
    with pytest.raises(SpoolWriteError, match="No locks available"):
        writer.append(b"1")
    disk.heal()
    assert open_files() == before
    assert segment_names(spool) == []
    writer.append(b"2")
    assert lines_in(spool) == [b"2"]


@pytest.mark.parametrize("taken", ["home", "home/spool"])
def test_a_spool_that_cannot_be_made_is_a_transient_error(tmp_path, taken, lines_in):
    file = tmp_path / taken
    file.parent.mkdir(exist_ok=True)
    file.write_text("in the way")
    writer = SpoolWriter(tmp_path / "home" / "spool")
    with pytest.raises(SpoolWriteError):
        writer.append(b"1")
    file.unlink()
    writer.append(b"2")
    writer.close()
    assert lines_in(tmp_path / "home" / "spool") == [b"2"]


def test_a_path_that_no_system_can_spell_is_the_same_error(tmp_path):
    with pytest.raises(SpoolWriteError, match=r"null (byte|character)"):
        SpoolWriter(tmp_path / "a\0b").append(b"1")


def test_a_segment_of_that_name_by_someone_else_is_not_followed(spool, writer, monkeypatch):
    spool.mkdir(parents=True)
    opened: list[int] = []
    real = os.open

    def spy(path: Any, flags: int, mode: int = 0o777, **where: int) -> int:
        opened.append(flags)
        return real(path, flags, mode, **where)

    monkeypatch.setattr(os, "open", spy)
    writer.append(b"1")
    directory, made = opened
    assert directory & os.O_NOFOLLOW
    assert directory & os.O_DIRECTORY
    assert made & os.O_NOFOLLOW
    assert made & os.O_EXCL
    assert made & os.O_APPEND
    assert made & os.O_CLOEXEC


@pytest.mark.parametrize("gone", ["home", "home/spool"])
def test_a_spool_that_is_removed_while_open_is_made_again(
    tmp_path, spool, writer, open_files, gone, lines_in, monkeypatch
):
    monkeypatch.setattr(_writer, "RECHECK_SECONDS", 0)
    writer.append(b"1")
    before = open_files()
    shutil.rmtree(tmp_path / gone)
    writer.append(b"2")
    writer.append(b"3")
    assert lines_in(spool) == [b"2", b"3"]
    assert open_files() == before


def test_a_forked_child_gets_a_segment_of_its_own(spool, writer, children, lines_in):
    writer.append(b"parent 1")
    (first,) = segment_names(spool)

    def write() -> None:
        writer.append(b"child 1")
        writer.append(b"child 2")

    children.run(write)
    writer.append(b"parent 2")

    assert (spool / first).read_bytes() == b"parent 1\nparent 2\n"
    (second,) = set(segment_names(spool)) - {first}
    assert (spool / second).read_bytes() == b"child 1\nchild 2\n"
    assert is_sealed(spool, second)


def test_a_fork_before_the_first_line_is_harmless_too(spool, writer, children, lines_in):
    children.run(lambda: writer.append(b"child"))
    writer.append(b"parent")
    assert lines_in(spool) == [b"child", b"parent"]


def test_a_living_child_does_not_keep_its_parents_segment_unsealed(spool, writer, children):
    writer.append(b"parent")
    (name,) = segment_names(spool)
    reader, go = os.pipe()
    ready, tell = os.pipe()

    def live() -> None:
        os.write(tell, b"!")
        os.read(reader, 1)

    pid = children.start(live)
    os.read(ready, 1)
    writer.close()
    assert is_sealed(spool, name)
    os.write(go, b"!")
    children.join(pid)
    for fd in (reader, go, ready, tell):
        os.close(fd)


def test_a_fork_while_another_thread_is_writing_does_not_hang_the_child(
    spool, writer, children, monkeypatch, whole_lines_in
):
    writing, may_go = threading.Event(), threading.Event()
    real = os.write

    def slow(fd: int, data: bytes) -> int:
        writing.set()
        may_go.wait()
        return real(fd, data)

    monkeypatch.setattr(os, "write", slow)
    thread = threading.Thread(target=writer.append, args=(b"parent",))
    thread.start()
    writing.wait()

    def write() -> None:
        os.write = real
        writer.append(b"child")

    children.run(write)
    may_go.set()
    thread.join()
    assert sorted(whole_lines_in(spool)) == [b"child", b"parent"]


def test_a_thread_about_to_write_can_never_hit_a_file_of_the_hosts(
    tmp_path, spool, writer, monkeypatch, lines_in
):
    writer.append(b"1")
    real = os.write
    ours = tmp_path / "ours"

    def late(fd: int, data: bytes) -> int:
        # Between the choice of the descriptor and the write, the hooks are closed and the host
        # opens a file.
        monkeypatch.setattr(os, "write", real)
        writer.close()
        with ours.open("wb"):
            return real(fd, data)

    monkeypatch.setattr(os, "write", late)
    writer.append(b"2")
    assert ours.read_bytes() == b""
    assert lines_in(spool) == [b"1", b"2"]


def test_segments_change_under_threads_that_write(spool, lines_in):
    writer = SpoolWriter(spool, max_segment_bytes=500)
    start = threading.Barrier(4)

    def write(thread: int) -> None:
        start.wait()
        for number in range(500):
            writer.append(b"%d %d" % (thread, number))
            if number % 50 == 0:
                writer.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.close()
    assert sorted(lines_in(spool)) == sorted(
        b"%d %d" % (thread, number) for thread in range(4) for number in range(500)
    )
    assert writer.lines == 2000
    assert writer.written_bytes == sum(file.stat().st_size for file in spool.iterdir())


@pytest.mark.parametrize("moment", ["open", "rename", "flock", "dup2", "write"])
def test_a_signal_handler_may_write_while_the_segment_changes(spool, monkeypatch, lines_in, moment):
    writer = SpoolWriter(spool, max_segment_bytes=5)
    writer.append(b"1")
    module = fcntl if moment == "flock" else os
    real = getattr(module, moment)

    def interrupted(*values: Any, **named: Any) -> Any:
        monkeypatch.setattr(module, moment, real)
        signal.raise_signal(signal.SIGUSR1)
        return real(*values, **named)

    before = signal.signal(signal.SIGUSR1, lambda *_: writer.append(b"from the handler"))
    try:
        monkeypatch.setattr(module, moment, interrupted)
        writer.append(b"long enough for another segment")
    finally:
        signal.signal(signal.SIGUSR1, before)
    writer.append(b"3")
    writer.close()
    assert sorted(lines_in(spool)) == sorted(
        [b"1", b"3", b"from the handler", b"long enough for another segment"]
    )
    assert writer.lines == 4


def test_a_full_disk_is_not_littered_with_empty_segments(spool, writer, disk):
    writer.append(b"1")
    disk.fail(os, "write", errno.ENOSPC)
    for _ in range(3):
        with pytest.raises(SpoolWriteError):
            writer.append(b"2")
    assert len(list(spool.iterdir())) == 1


def test_a_spool_that_is_a_link_is_not_followed(tmp_path, spool, writer):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    spool.parent.mkdir(mode=0o700)
    spool.symlink_to(elsewhere)
    with pytest.raises(SpoolWriteError):
        writer.append(b"1")
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o1777])
def test_a_home_that_others_may_write_to_is_refused_with_the_remedy(spool, writer, mode, lines_in):
    spool.parent.mkdir()
    spool.parent.chmod(mode)
    with pytest.raises(SpoolWriteError, match=f"chmod go-w {re.escape(str(spool.parent))}"):
        writer.append(b"1")
    spool.parent.chmod(mode & ~0o022)
    writer.append(b"2")
    assert lines_in(spool) == [b"2"]


def test_a_spool_that_others_may_read_is_closed_to_them(spool, writer):
    spool.mkdir(parents=True)
    spool.chmod(0o755)
    spool.parent.chmod(0o755)
    writer.append(b"1")
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700


@pytest.mark.parametrize("umask", [0o777, 0o177])
def test_a_home_is_made_usable_whatever_the_umask(spool, writer, lines_in, umask):
    before = os.umask(umask)
    try:
        writer.append(b"1")
    finally:
        os.umask(before)
    assert stat.S_IMODE(spool.stat().st_mode) == 0o700
    assert stat.S_IMODE(spool.parent.stat().st_mode) == 0o700
    assert lines_in(spool) == [b"1"]


def test_without_an_interval_nothing_is_forced_to_the_disk(writer, disk):
    disk.count_syncs()
    writer.append(b"1")
    writer.close()
    assert disk.synced == 0


def test_an_interval_of_zero_forces_every_line(spool, disk):
    disk.count_syncs()
    writer = SpoolWriter(spool, fsync_interval_seconds=0)
    for expected in (1, 2, 3):
        writer.append(b"x")
        assert disk.synced == expected
    writer.close()
    assert disk.synced == 4, "the segment's last lines too"


def test_an_interval_forces_lines_when_it_is_over(spool, disk, monkeypatch):
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    disk.count_syncs()
    writer = SpoolWriter(spool, fsync_interval_seconds=10)
    synced = []
    for clock[0] in (100.0, 109.9, 110.0, 119.9, 120.0):
        writer.append(b"x")
        synced.append(disk.synced)
    assert synced == [0, 0, 1, 1, 2]
    writer.close()


def test_a_line_that_cannot_be_forced_to_the_disk_is_not_acknowledged(
    spool, disk, open_files, whole_lines_in
):
    before = open_files()
    writer = SpoolWriter(spool, fsync_interval_seconds=0)
    writer.append(b"1")
    disk.fail(os, "fsync")
    with pytest.raises(SpoolWriteError, match="Input/output error"):
        writer.append(b"2")
    disk.heal()
    assert all(is_sealed(spool, name) for name in segment_names(spool))
    assert open_files() == before + 1, "the number stays taken, the file does not stay open"
    writer.append(b"3")
    assert len(segment_names(spool)) == 2
    writer.close()


def test_a_segment_that_cannot_be_forced_to_the_disk_is_closed_all_the_same(
    spool, disk, open_files
):
    before = open_files()
    writer = SpoolWriter(spool, fsync_interval_seconds=1000, max_segment_bytes=2)
    writer.append(b"1")
    disk.fail(os, "fsync")
    with pytest.raises(SpoolWriteError, match="Input/output error"):
        writer.append(b"2")
    disk.heal()
    writer.append(b"3")
    disk.fail(os, "fsync")
    with pytest.raises(OSError, match="Input/output error"):
        writer.close()
    assert all(is_sealed(spool, name) for name in segment_names(spool))
    del writer
    assert open_files() == before


def test_a_write_that_fails_when_the_segment_is_looked_at_goes_to_another_one(
    spool, writer, disk, monkeypatch, lines_in
):
    monkeypatch.setattr(_writer, "RECHECK_SECONDS", 0)
    writer.append(b"1")
    real = os.write

    def once(fd: int, data: bytes) -> int:
        monkeypatch.setattr(os, "write", real)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "write", once)
    writer.append(b"2")
    assert len(segment_names(spool)) == 2
    assert lines_in(spool) == [b"1", b"2"]


def test_a_spool_that_cannot_be_closed_to_others_is_not_written(spool, writer, disk, open_files):
    spool.mkdir(parents=True)
    spool.chmod(0o755)
    spool.parent.chmod(0o755)
    before = open_files()
    disk.fail(os, "fchmod", errno.EPERM)
    with pytest.raises(SpoolWriteError, match="Operation not permitted"):
        writer.append(b"1")
    assert open_files() == before
