"""Whom a line is about, however it spells them, and nobody else."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID, uuid5

import pytest

from orb_learning._types import task_uuid
from orb_learning.events import Feedback, InvalidEvent, RoutingOutcome, SolutionExtracted
from orb_learning.staging import named_by_event, named_by_refused

TASK = UUID("9d3a1c52-4f9b-4a9e-8f7e-0c5d4e2b1a00")
OTHER = UUID("11111111-2222-4333-8444-555555555555")


def named_by(line: bytes, *, is_refused: bool) -> set[tuple[str, str]]:
    return set(named_by_refused(line) if is_refused else named_by_event(line))


def users_of(line: bytes, *, is_refused: bool = False) -> set[str]:
    return {name for subject, name in named_by(line, is_refused=is_refused) if subject == "user"}


def tasks_of(line: bytes, *, is_refused: bool = False) -> set[str]:
    return {name for subject, name in named_by(line, is_refused=is_refused) if subject == "task"}


def outcome(**fields: Any) -> bytes:
    return RoutingOutcome(task_id=OTHER, success=True, **fields).to_line()


def refused(payload: Any, reason: str = "rating: too high") -> bytes:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return InvalidEvent(claimed_type="feedback", reason=reason, payload=text).to_line()


def test_an_event_is_about_its_task_and_its_user():
    line = outcome(metadata={"user_id": "maria"})
    assert named_by(line, is_refused=False) == {("task", str(OTHER)), ("user", "maria")}
    said = Feedback(task_id=TASK, feedback_type="accepted", user_id='ann "a" o\'hara', comment="é")
    assert users_of(said.to_line()) == {'ann "a" o\'hara'}
    assert tasks_of(said.to_line()) == {str(TASK)}


def test_words_of_a_text_count_from_four_letters_on():
    found = users_of(b"no json, of joe and anna, and of dan:emma", is_refused=True)
    assert {"anna", "emma", "dan:emma"} <= found
    assert not {"joe", "dan", "and", "of"} & found


@pytest.mark.parametrize(
    "metadata",
    [
        {"follows": str(TASK)},
        {"task_id": str(TASK)},
        {"reviewer": {"user_id": "maria"}},
        {"note": f"a redo of {TASK} for maria"},
        {"maria": "user_id"},
        {"user_id": ["maria"]},
        {"user_id": {"is": "maria"}},
        {"user_id": None},
    ],
)
def test_an_event_is_about_nobody_whom_it_only_mentions(metadata):
    line = outcome(metadata=metadata)
    assert named_by(line, is_refused=False) == {("task", str(OTHER))}


@pytest.mark.parametrize(("user", "text"), [(42, "42"), (4.5, "4.5"), (True, "true")])
def test_a_user_may_be_a_number(user, text):
    assert users_of(outcome(metadata={"user_id": user})) == {text}
    assert users_of(refused({"user_id": user}), is_refused=True) >= {text}


def test_an_event_of_no_task_is_about_the_one_in_its_metadata():
    line = SolutionExtracted(
        solution_summary="cache it",
        task_context="slow",
        success_rate=1.0,
        metadata={"task_id": str(TASK).upper()},
    ).to_line()
    assert tasks_of(line) == {str(TASK)}


def test_a_foreign_writers_spaces_hide_nobody():
    fields = json.loads(outcome(metadata={"user_id": "maria"}))
    spaced = json.dumps(fields, indent=1).replace("\n", " ").replace('":', '" :').encode()
    assert users_of(spaced) == {"maria"}


def test_an_event_behind_a_fragment_is_about_its_own_subjects():
    line = b'{"event_id":"0199c3' + outcome(metadata={"user_id": "maria"})
    assert named_by(line, is_refused=False) == {("task", str(OTHER)), ("user", "maria")}


@pytest.mark.parametrize(
    "payload",
    [
        {"task_id": "TICKET-7", "rating": 9, "user_id": "maria"},
        {"given": "TICKET-7", "user_id": "maria"},
        {"given": {"task_ref": "TICKET-7", "by": [{"user_id": "maria"}]}},
        "{'task_id': 'TICKET-7', 'user_id': 'maria', 'comment': 'cut of",
        "task_id=TICKET-7, user_id=maria",
        json.dumps({"user_id": "maria", "task_id": "TICKET-7", "comment": "x" * 99})[:60],
        json.dumps('{"user_id":"maria","task_id":"TICKET-7","comment":"a line cut of'),
        json.dumps("Review(user_id='maria', task='TICKET-7')"),
        {"given": "Review(user_id='maria', task='TICKET-7')", "rating": 9},
        {"id": "TICKET-7", "user_id": "maria"},
    ],
)
def test_a_refusal_is_about_those_it_names_by_their_names(payload):
    line = refused(payload)
    assert str(task_uuid("TICKET-7")) in tasks_of(line, is_refused=True)
    assert "maria" in users_of(line, is_refused=True)
    assert "maria" in users_of(line), "an InvalidEvent is none of the events with a row"


def test_what_a_refusals_json_says_elsewhere_is_no_id():
    line = refused({"comment": "maria gave 1", "attempt": 1, "user_id": "bob"})
    assert users_of(line, is_refused=True) & {"maria", "1", "comment", "bob"} == {"bob"}


def test_both_of_two_equal_keys_count():
    assert users_of(b'{"user_id":"ann","user_id":"bob"}', is_refused=True) == {"ann", "bob"}


@pytest.mark.parametrize(
    "line",
    [
        b'{"event_id":"0199c3{"event_id":"x","user_id":"okta:1234","rating":9}',
        b'{"user_id":"okta:1234","comment":"torn he',
        b"said by okta:1234, it seems",
        b"'okta:1234' said so",
        b'"{\\"user_id\\":\\"okta:1234\\"," torn',
    ],
)
def test_a_user_is_found_in_text_that_is_no_json(line):
    assert "okta:1234" in users_of(line, is_refused=True)


def test_short_words_of_a_text_are_no_ids():
    text = b'no json: 1 of a "b" by:maria.'
    assert users_of(text, is_refused=True) & {"1", "a", "of", "b", "maria"} == {"b", "maria"}


def test_a_uuid_is_found_anywhere_in_what_was_refused():
    for line in (f"no json {TASK}".encode(), refused({"note": f"redo of {str(TASK).upper()}"})):
        assert str(TASK) in tasks_of(line, is_refused=True)


@pytest.mark.parametrize(
    "line", [b"[]", b"", b"{}", b'{"task_id":" "}', b'{"user_id":""}', b"7 of"]
)
def test_what_names_nobody_is_about_nobody(line):
    assert named_by(line, is_refused=True) == named_by(line, is_refused=False) == set()


@pytest.mark.parametrize("name", ["o'hara", 'ann "a"', 'ann "a" o\'hara'])
def test_quotes_within_an_id_do_not_hide_it_in_what_is_torn(name):
    torn = json.dumps({"user_id": name, "comment": "torn he"})[:-4].encode()
    assert name in users_of(torn, is_refused=True)


def test_any_value_of_a_row_that_an_import_refused_may_be_an_id():
    row = json.dumps({"ticket": "TICKET-7", "agent": "maria", "_more": ["7"], "note": None})
    named = set(named_by_refused(row.encode(), is_imported=True))
    assert {("task", str(task_uuid("TICKET-7"))), ("user", "maria"), ("user", "7")} <= named
    wrapped = InvalidEvent(
        event_id=uuid5(TASK, "row"), claimed_type="execution_recorded", reason="x", payload=row
    )
    assert named <= set(named_by_event(wrapped.to_line()))
    assert ("user", "maria") not in set(named_by_refused(row.encode()))


@pytest.mark.parametrize(
    "text",
    ['"' * 40_000, '"' + '\\"' * 20_000, "\\" * 40_000, '"user_id":"' * 4_000, "[" * 40_000],
    ids=["quotes", "escaped quotes", "backslashes", "keys", "brackets"],
)
def test_a_hostile_text_takes_time_in_proportion(text):
    started = time.process_time()
    named_by(text.encode(), is_refused=True)
    named_by(refused(text), is_refused=False)
    assert time.process_time() - started < 2.0


@pytest.mark.parametrize("event_id", [7, None, "no uuid"])
def test_a_refusal_without_an_id_or_a_payload_is_about_whom_its_reason_names(event_id):
    line = json.dumps(
        {
            "event_type": "invalid_event",
            "event_id": event_id,
            "payload": None,
            "reason": f"task_id={TASK} is not known",
        }
    ).encode()
    assert tasks_of(line, is_refused=True) >= {str(TASK)}


def test_a_name_with_a_broken_escape_is_read_without_it():
    assert "maria" in users_of(rb'{"user": "mar\ia" and more', is_refused=True)
