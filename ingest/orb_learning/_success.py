"""Whether a host's flags, codes and words say that work succeeded, failed, or is not over."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from enum import Enum
from typing import Any, Final

from orb_learning._coercion import in_nfc, is_bool

SUCCESS, FAILURE, UNFINISHED = "success", "failure", "unfinished"
SHOWN_WORDS = 6
MAX_SHOWN = 60
UNKNOWN_WORD = "status word '"
"""What the reason begins with of an outcome that is refused for its word."""

WORDS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            *("success", "successful", "succeeded", "succeed", "ok", "okay", "pass", "passed"),
            *("complete", "completed", "done", "finished", "resolved", "solved"),
            *("true", "yes", "y", "1", "1.0"),
        ),
        SUCCESS,
    ),
    **dict.fromkeys(
        (
            *("failure", "failed", "fail", "error", "errored", "exception", "crash", "crashed"),
            *("incomplete", "unresolved", "unsolved", "unsuccessful", "rejected", "refused"),
            *("timeout", "timed out", "timedout", "cancelled", "canceled", "aborted", "abort"),
            *("killed", "interrupted", "terminated", "expired", "denied", "invalid", "broken"),
            *("not ok", "notok", "false", "no", "n", "0", "0.0"),
        ),
        FAILURE,
    ),
    **dict.fromkeys(
        (
            *("queued", "pending", "running", "in progress", "inprogress", "submitted"),
            *("started", "starting", "waiting", "scheduled", "processing", "working", "active"),
            *("created", "new", "open", "todo", "retrying", "paused", "blocked", "deferred"),
            *("ongoing", "in flight", "incoming", "planned", "assigned", "up next"),
        ),
        UNFINISHED,
    ),
}
"""What a word means, in lower case, with one space for `_` and `-`; other words are unknown."""

_STATES = ("status", "status_code", "statusCode", "state", "outcome", "subtype")
_FLAGS = ("ok", "is_ok", "passed", "resolved", "solved", "succeeded", "is_success", "successful")
_FAULTS = ("is_error", "isError", "has_error", "hasError", "failed", "is_failure", "errored")
_STOPS = ("timed_out", "timedOut", "cancelled", "canceled")
_CODES = ("returncode", "return_code", "exit_code", "exitcode", "exitCode", "exit_status")
SPEAKING: Final = ("success", *_STATES, *_FLAGS, *_FAULTS, *_STOPS, *_CODES)
"""The fields that say how work ended."""

FLAGS: Final = frozenset(SPEAKING) - {"state", "outcome", "subtype"}
"""Those that are about nothing else."""

_NO_FAULT = frozenset(("", "false", "no", "n", "none", "null", "off", "0", "0.0"))
_TROUBLE = frozenset(("error", "errored", "failed", "fail", "failure", "exception", "timeout"))
"""What begins with one of these is a failure, whatever follows."""


class StatusError(ValueError):
    """What a host says of its work is no outcome."""


class UnfinishedError(StatusError):
    """The work is not over."""


class UnknownWordError(StatusError):
    """A word that is neither known nor taught."""


class Vocabulary:
    """What the words of one host mean: the known ones, and those that it has taught."""

    def __init__(self, taught: Mapping[str, bool] | None = None) -> None:
        """Learn the host's own words, whatever their case.

        Args:
            taught: each word with whether it says success.

        Raises:
            ValueError: a word is no text, or what it says is neither true nor false.
        """
        for word, says in (taught or {}).items():
            if not isinstance(word, str) or not word.strip() or not isinstance(says, bool):
                raise ValueError(
                    f"status_words takes words with True or False, not {word!r}: {says!r}"
                )
        own = {
            _spelled(word): SUCCESS if says else FAILURE for word, says in (taught or {}).items()
        }
        self._words = {**WORDS, **own}

    def verdict(self, told: Mapping[Any, Any]) -> str | None:
        """Return how the fields say that work ended; None where none of them says anything.

        Where they contradict each other a failure wins, then what is not over.

        Raises:
            UnknownWordError: all that speak are words that nobody knows.
        """
        said: set[str] = set()
        is_faultless = False
        unknown: list[object] = []
        for name in SPEAKING:
            value = told.get(name)
            if value is None or _is_missing(value):
                continue
            if name in _FAULTS or name in _STOPS:
                is_fault = _is_fault(value)
                if is_fault:
                    said.add(FAILURE)
                is_faultless |= is_fault is False and name in _FAULTS
                continue
            meaning = self._meaning(name, value)
            if meaning is not None:
                said.add(meaning)
            elif _is_word_of(name, value):
                unknown.append(value)
        for meaning in (FAILURE, UNFINISHED, SUCCESS):
            if meaning in said:
                return meaning
        if unknown:
            raise UnknownWordError(_unknown(unknown[0]))
        return SUCCESS if is_faultless else None

    def _meaning(self, name: str, value: object) -> str | None:
        if name in _CODES:
            number = _number(value)
            return None if number is None else SUCCESS if number == 0 else FAILURE
        if name in _STATES and (number := _number(value)) is not None and number not in (0, 1):
            return SUCCESS if 200 <= number < 300 else FAILURE if 400 <= number < 600 else None
        return self.meaning(value)

    def meaning(self, value: object) -> str | None:
        """Return what one flag, number, word or enum's member says; None if nobody knows."""
        for word in _words_of(value):
            spelled = _spelled(word)
            if (meaning := self._words.get(spelled)) is not None:
                return meaning
            first, _, rest = spelled.partition(" ")
            if first.strip(":;,.!") in _TROUBLE:
                return FAILURE
            if first == "not" and self._words.get(rest) == SUCCESS:
                return FAILURE
        return None


def _is_missing(value: object) -> bool:
    """Tell whether a value is the NaN that files have for none."""
    return type(value) is float and math.isnan(value)


def _is_fault(value: Any) -> bool | None:
    """Tell what a field named after a fault says; None if it cannot be read."""
    kind = type(value)
    with suppress(Exception):
        if issubclass(kind, str):
            return _spelled(str.__str__(value)) not in _NO_FAULT
        if issubclass(kind, bool | Mapping | list | tuple | set | frozenset):
            return bool(value)
        if (number := _number(value)) is not None:
            return number > 0
        if words := tuple(_words_of(value)):
            return not _NO_FAULT.intersection(map(_spelled, words))
    return None


def _is_word_of(name: str, value: object) -> bool:
    """Tell whether a value that says nothing known must be told, not passed over.

    A number of passed tests is a count, and a sentence in `outcome` no status.
    """
    if name in ("state", "outcome", "subtype"):
        words = tuple(_words_of(value))
        return bool(words) and " " not in words[0].strip() and _number(value) is None
    return name not in _FLAGS or _number(value) is None


def _unknown(value: object) -> str:
    """Return the one line about a word that nobody knows, with the words that are known.

    The word stands whole, for whoever masks it: half a secret looks like none.
    """
    words = tuple(_words_of(value))
    word = words[0] if words else type(value).__name__
    shown = word if len(word) <= MAX_SHOWN else "…"
    good, bad = (
        ", ".join([word for word, meaning in WORDS.items() if meaning == says][:SHOWN_WORDS])
        for says in (SUCCESS, FAILURE)
    )
    return (
        f"{UNKNOWN_WORD}{word}' unknown; known are {good}, … as success and {bad}, … as failure "
        f"(docs/hooks.md); teach yours: Telemetry(status_words={{{shown!r}: True}}) or "
        f"--status-word '{shown}=success', or =failure if it says that"
    )


def _words_of(value: object) -> Iterable[str]:
    """Return the texts that a value may be known by."""
    with suppress(Exception):
        kind = type(value)  # a proxy claims to be of another
        if issubclass(kind, Enum):
            member: Any = value
            words = (*_words_of(member.value), str(member.name))
            # A number may only tell the members apart; as a code it is asked for elsewhere.
            return words if issubclass(type(member.value), str) else words[::-1]
        if issubclass(kind, str):
            return (str.__str__(value),)
        if is_bool(value):
            return ("true" if value else "false",)
        if (number := _number(value)) is not None:
            return (f"{number:g}",)
    return ()


def _spelled(word: str) -> str:
    return " ".join(in_nfc(word).replace("_", " ").replace("-", " ").lower().split())


def _number(value: Any) -> float | None:
    kind = type(value)
    if is_bool(value):
        return None
    with suppress(Exception):
        if issubclass(kind, int | float | str) or hasattr(kind, "__float__"):
            return float(value)
    return None
