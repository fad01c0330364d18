"""The log: names and counts on standard error, for people or for programs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from orb_learning.logs import configure


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root = logging.getLogger("orb_learning")
    before = (root.handlers, root.level, root.propagate)
    yield
    root.handlers, root.propagate = before[0], before[2]
    root.setLevel(before[1])


def test_a_person_reads_the_level_and_the_message(capsys):
    configure()
    logging.getLogger("orb_learning.staging").info("load %d", 7)
    logging.getLogger("orb_learning.staging").debug("hidden")
    assert capsys.readouterr() == ("", "INFO load 7\n")


def test_a_program_reads_one_object_a_line(capsys):
    configure(logging.DEBUG, "json")
    before = datetime.now(UTC)
    logging.getLogger("orb_learning.home").debug("%s has\ntwo lines", "ünïcödé")
    out, err = capsys.readouterr()

    assert out == ""
    assert err.count("\n") == 1
    entry = json.loads(err)
    assert before <= datetime.fromisoformat(entry.pop("time")) <= datetime.now(UTC)
    assert entry == {
        "level": "debug",
        "logger": "orb_learning.home",
        "message": "ünïcödé has\ntwo lines",
    }


def test_a_program_reads_an_exception_in_the_same_line(capsys):
    configure(style="json")
    try:
        _ = 1 / 0
    except ZeroDivisionError:
        logging.getLogger("orb_learning").exception("failed")
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert json.loads(err)["exception"].endswith("ZeroDivisionError: division by zero")


def test_configuring_twice_logs_once(capsys):
    configure()
    configure(logging.WARNING)
    logging.getLogger("orb_learning").warning("once")
    logging.getLogger("orb_learning").info("hidden")
    assert capsys.readouterr().err == "WARNING once\n"


def test_other_libraries_logs_are_left_alone(capsys, caplog):
    configure()
    logging.getLogger("orb_learning").warning("ours")
    logging.getLogger("another").warning("theirs")
    assert capsys.readouterr().err == "WARNING ours\n"
    assert caplog.messages == ["theirs"]


@pytest.mark.parametrize("style", ["text", "json"])
def test_what_is_logged_is_one_line_and_commands_no_terminal(capsys, style):
    configure(style=style)
    odd = "a\x1b[2J\n\x9b31m\x7f\u202e\u2028\U000e0041"
    logging.getLogger("orb_learning").warning("said %s", odd)
    try:
        raise ValueError(odd)
    except ValueError:
        logging.getLogger("orb_learning").exception("failed")
    said, *traceback = capsys.readouterr().err.splitlines()
    assert said.isprintable()
    assert all(line.isprintable() for line in traceback)
    if style == "json":
        assert json.loads(said)["message"] == f"said {odd}"
