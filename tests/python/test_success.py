"""What flags, codes and words of any host say of how work ended."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import Any

import pytest

from orb_learning._success import (
    FAILURE,
    SPEAKING,
    SUCCESS,
    UNFINISHED,
    WORDS,
    UnknownWordError,
    Vocabulary,
)

KNOWN = Vocabulary()


class Status(Enum):
    DONE = "Completed "
    FAILED = 7
    RUNNING = "at it"
    ODD = "odd"


class Code(IntEnum):
    FINE = 0
    BROKEN = 3


class Truth:
    """A number of numpy's."""

    def __float__(self) -> float:
        return 1.0


class bool_:  # noqa: N801
    """A flag as numpy has it, which is no number."""

    def __bool__(self) -> bool:
        return False


class Unreadable:
    def __str__(self) -> str:
        raise RuntimeError


class Sealed(str):
    __slots__ = ()

    def lower(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({"success": True}, SUCCESS),
        ({"success": False}, FAILURE),
        ({"success": "no"}, FAILURE),
        ({"success": " Yes "}, SUCCESS),
        ({"success": 1}, SUCCESS),
        ({"success": 0.0}, FAILURE),
        ({"success": Truth()}, SUCCESS),
        ({"success": bool_()}, FAILURE),
        ({"status": True}, SUCCESS),
        ({"success": None}, None),
        ({"status": "FAIL"}, FAILURE),
        ({"status": "passed"}, SUCCESS),
        ({"status": "un-resolved"}, None),
        ({"status": "unresolved"}, FAILURE),
        ({"status": "timed-out"}, FAILURE),
        ({"status": "TIMED_OUT"}, FAILURE),
        ({"status": Sealed("failed")}, FAILURE),
        ({"status": "1.0"}, SUCCESS),
        ({"status": "0.0"}, FAILURE),
        ({"status": Status.DONE}, SUCCESS),
        ({"status": Status.FAILED}, FAILURE),
        ({"status": Status.RUNNING}, UNFINISHED),
        ({"status": "in_progress"}, UNFINISHED),
        ({"status": "Queued"}, UNFINISHED),
        ({"status": 200}, SUCCESS),
        ({"status": 299}, SUCCESS),
        ({"status": "204"}, SUCCESS),
        ({"status": 400}, FAILURE),
        ({"status": 599}, FAILURE),
        ({"status_code": 503}, FAILURE),
        ({"ok": False}, FAILURE),
        ({"ok": "true"}, SUCCESS),
        ({"resolved": False}, FAILURE),
        ({"passed": True}, SUCCESS),
        ({"passed": 12}, None),
        ({"passed": 12, "failed": 3}, FAILURE),
        ({"passed": 12, "failed": 0}, SUCCESS),
        ({"is_error": True}, FAILURE),
        ({"is_error": "false"}, SUCCESS),
        ({"is_error": False, "subtype": "success"}, SUCCESS),
        ({"subtype": "success", "is_error": True}, FAILURE),
        ({"subtype": "error_max_turns"}, FAILURE),
        ({"status": "failed: out of memory"}, FAILURE),
        ({"status": "Not resolved"}, FAILURE),
        ({"status": "timeout after 30 s"}, FAILURE),
        ({"returncode": 0}, SUCCESS),
        ({"returncode": -9}, FAILURE),
        ({"exit_code": "1"}, FAILURE),
        ({"exit_code": Code.FINE}, SUCCESS),
        ({"exit_code": Code.BROKEN}, FAILURE),
        ({"cancelled": True}, FAILURE),
        ({"cancelled": False}, None),
        ({"timed_out": True, "success": True}, FAILURE),
        ({"success": True, "status": "queued"}, UNFINISHED),
        ({"success": False, "status": "queued"}, FAILURE),
        ({"success": True, "status": "green"}, SUCCESS),
        ({"outcome": "a patch was applied"}, None),
        ({"isError": True}, FAILURE),
        ({"exitCode": 1}, FAILURE),
        ({"statusCode": 500}, FAILURE),
        ({"status": "500"}, FAILURE),
        ({"exit_code": float("nan"), "success": True}, SUCCESS),
        ({"is_error": "error"}, FAILURE),
        ({"is_error": "off"}, SUCCESS),
        ({"has_error": "disk full"}, FAILURE),
        ({"failed": ["t1"]}, FAILURE),
        ({"failed": []}, SUCCESS),
        ({"cancelled": "by user"}, FAILURE),
        ({"timed_out": "after 30 s"}, FAILURE),
        ({"is_error": Status.ODD}, FAILURE),
        ({"is_error": Unreadable(), "ok": True}, SUCCESS),
        ({"success": True, "timeout": 30}, SUCCESS),
        ({"outcome": "failed"}, FAILURE),
        ({"cost": 1}, None),
        ({}, None),
    ],
)
def test_whatever_says_failure_is_one(told: dict[str, Any], says: str | None):
    if told.get("status") == "un-resolved":
        with pytest.raises(UnknownWordError):
            KNOWN.verdict(told)
    else:
        assert KNOWN.verdict(told) == says


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"status": "green"}, "green"),
        ({"status": "green", "is_error": False}, "green"),
        ({"success": "maybe"}, "maybe"),
        ({"success": 0.5}, "0.5"),
        ({"status": 302}, "302"),
        ({"ok": "perhaps"}, "perhaps"),
        ({"passed": "some"}, "some"),
        ({"state": "anything"}, "anything"),
        ({"outcome": "regressed"}, "regressed"),
        ({"status_code": 302}, "302"),
        ({"exit_code": "n/a"}, "n/a"),
        ({"status": "no errors"}, "no errors"),
        ({"status": Status.ODD}, "odd"),
        ({"status": Unreadable()}, "Unreadable"),
        ({"status": ["done"]}, "list"),
    ],
)
def test_a_word_that_nobody_knows_is_named_with_the_known_ones_and_the_remedy(told, word):
    with pytest.raises(UnknownWordError) as caught:
        KNOWN.verdict(told)
    said = str(caught.value)
    assert said.startswith(f"status word '{word}' unknown; known are success, ")
    assert "Telemetry(status_words={" in said
    assert f"--status-word '{word}=success'" in said


def test_words_are_taught_whatever_their_case():
    words = Vocabulary({"Green": True, "dead-end": False, "done": False})
    assert words.verdict({"status": "GREEN"}) == SUCCESS
    assert words.verdict({"status": "dead end"}) == FAILURE
    assert words.verdict({"status": "done"}) == FAILURE  # the host knows its words best


@pytest.mark.parametrize("taught", [{"green": 1}, {"": True}, {7: True}, {"green": None}])
def test_what_is_taught_is_a_word_and_true_or_false(taught):
    with pytest.raises(ValueError, match="status_words takes words with True or False, not "):
        Vocabulary(taught)


def test_every_word_is_spelled_as_it_is_looked_up():
    assert all(word == " ".join(word.lower().split()) for word in WORDS)
    assert not any(set(word) & set("_-") for word in WORDS)
    assert len(set(SPEAKING)) == len(SPEAKING)
