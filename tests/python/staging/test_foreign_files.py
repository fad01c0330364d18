"""What lies in the spool and is no segment is left alone."""

from __future__ import annotations

import os
import socket

import pytest

from orb_learning.spool import MAX_READ_BYTES, open_segment, segment_names
from orb_learning.staging import LoadReport, _loader

NO_SEGMENTS = [
    ".hidden.jsonl",
    ".20260301T120000000000-1-00000000.jsonl",
    "a.jsonl.gz",
    "a.jsonl.tmp",
    "a.jsonl~",
    "a.json",
    "a.txt",
    "jsonl",
    ".jsonl",
    "A.JSONL",
    "a b.jsonl",
    "a.b.jsonl",
    "a*.jsonl",
    "[ab].jsonl",
    "a?.jsonl",
    "{a,b}.jsonl",
    "a'b.jsonl",
    "ä.jsonl",
    "a\nb.jsonl",
    "a.jsonl\n",
    "x" * 121 + ".jsonl",
]


@pytest.mark.parametrize("name", NO_SEGMENTS)
def test_a_file_with_another_name_is_left_alone(spool, staging, pool, name):
    spool.write("a1.jsonl", pool(1))
    spool.write(name, pool(2))

    assert staging.load() == LoadReport(1, 1, 1)
    assert staging.pools() == ["pool-0001"]
    assert (spool.folder / name).exists()


def test_a_segment_may_have_any_plain_name(spool, staging, pool):
    names = ["-rf.jsonl", "_.jsonl", "x" * 120 + ".jsonl", "UPPER-case_9.jsonl"]
    for number, name in enumerate(names):
        spool.write(name, pool(number))
    assert staging.load() == LoadReport(1, 4, 4)
    assert sorted(staging.segments()) == sorted(names)


def test_what_only_has_a_segments_name_is_ignored_with_a_warning(
    spool, staging, pool, caplog, monkeypatch
):
    outside = spool.write("good.jsonl", pool(1)).rename(spool.folder.parent / "outside.jsonl")
    spool.write("good.jsonl", pool(2))
    (spool.folder / "folder.jsonl").mkdir()
    os.mkfifo(spool.folder / "pipe.jsonl")
    (spool.folder / "link.jsonl").symlink_to(outside)
    (spool.folder / "dangling.jsonl").symlink_to("nowhere")
    (spool.folder / "loop.jsonl").symlink_to("loop.jsonl")
    monkeypatch.chdir(spool.folder)  # a socket's path may have 107 bytes only
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jsonl")

    assert staging.load() == LoadReport(1, 1, 1)

    assert staging.pools() == ["pool-0002"]
    odd = ["dangling", "folder", "link", "loop", "pipe", "socket"]
    assert caplog.messages == [
        f"ignored {name}.jsonl in the spool: it is not a regular file of ours"
        for name in [*odd, *odd]
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can make another user's file")
def test_another_users_file_is_not_loaded(spool, staging, pool):
    spool.write("a.jsonl", pool(1))
    os.chown(spool.write("b.jsonl", pool(2)), 65534, 65534)
    assert staging.load() == LoadReport(1, 1, 1)
    assert staging.pools() == ["pool-0001"]


def test_a_file_larger_than_any_segment_is_ignored_with_a_warning(spool, staging, pool, caplog):
    spool.write("a.jsonl", pool(1))
    os.truncate(spool.write("b.jsonl", pool(2)), MAX_READ_BYTES + 1)

    assert staging.load() == LoadReport(1, 1, 1)

    assert "ignored b.jsonl in the spool: 1073741825 bytes are more than" in caplog.messages[0]


@pytest.mark.parametrize(("more", "lines"), [(0, 1), (1, 0)])
def test_a_file_as_large_as_may_be_is_read(spool, staging, pool, monkeypatch, more, lines):
    size = spool.write("a.jsonl", pool(1)).stat().st_size
    monkeypatch.setattr(_loader, "MAX_READ_BYTES", size - more)
    assert staging.load().lines == lines


def test_a_spool_that_is_not_there_has_no_segments(spool):
    assert segment_names(spool.folder) == []


def test_an_empty_segment_is_no_load(spool, staging):
    spool.write("a.jsonl")
    assert staging.load() == LoadReport()
    assert staging.segments() == {}


def test_segments_are_read_in_the_order_of_their_names(spool, staging, pool):
    spool.write("b.jsonl", pool(1))
    spool.write("a.jsonl", pool(1), pool(2))
    staging.load()
    assert staging.segments() == {"a.jsonl": (2, 2, 0, 0, True), "b.jsonl": (1, 0, 1, 0, True)}


def test_a_segment_cut_short_while_it_is_read_gives_what_is_left(spool, pool):
    line = pool(1).to_line() + b"\n"
    file = spool.write("a.jsonl", pool(1), pool(2))
    segment = open_segment(spool.folder, "a.jsonl")
    assert segment is not None
    os.truncate(file, len(line) + 5)
    try:
        lines = list(segment.lines(0))
    finally:
        segment.close()
    assert [one.fault for one in lines] == ["", "torn: the segment ends within this line"]
    assert lines[1].length == 5
