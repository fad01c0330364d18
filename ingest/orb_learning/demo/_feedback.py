"""What people say about results."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

from orb_learning._telemetry import Telemetry
from orb_learning.demo._clock import around
from orb_learning.demo._outbox import HookCall
from orb_learning.demo._tasks import Result, Task
from orb_learning.events import Feedback
from orb_learning.records import FeedbackRecord

FEEDBACK_SHARE = 0.12

_WORDS = (
    ("thumbs_up", "thumbs_down"),
    ("accepted", "rejected"),
    ("rating", "rating"),
    ("comment", "comment"),
)
_WORD_WEIGHTS = (45, 20, 25, 10)
_PRAISE = ("Merged as it was.", "Exactly what I needed.", "Good tests, thank you.")
_COMPLAINTS = ("Missed the edge case.", "Had to rewrite half of it.", "Breaks the build.")
_PEOPLE = ("ada", "barbara", "edsger", "frances", "grace", "tony", None)


def feedback_call(
    telemetry: Telemetry, task: Task, result: Result, ended_at: datetime
) -> tuple[HookCall, datetime]:
    """Return one person's feedback on a result and when it is given, minutes to days later."""
    rng = task.rng
    at = ended_at + timedelta(hours=around(rng, 3, 1.5))
    is_happy = rng.random() < (0.9 if result.success else 0.1)
    praise, complaint = rng.choices(_WORDS, _WORD_WEIGHTS)[0]
    feedback_type = praise if is_happy else complaint
    has_comment = feedback_type == "comment" or rng.random() < 0.15
    values: dict[str, Any] = {
        "feedback_id": task.new_id("judgement"),
        "feedback_type": feedback_type,
        "rating": rng.randint(4, 5) if is_happy else rng.randint(1, 3),
        "comment": rng.choice(_PRAISE if is_happy else _COMPLAINTS) if has_comment else None,
        "user_id": rng.choice(_PEOPLE),
    }
    if feedback_type != "rating":
        values["rating"] = None
    event_id = task.new_id("feedback")
    hook = telemetry.capture_feedback
    spelling = rng.randrange(3)
    if spelling == 0:
        return partial(hook, task.task_id, event_id=event_id, occurred_at=at, **values), at
    if spelling == 1:
        record = FeedbackRecord(task_id=task.task_id, timestamp=at, **values)
        return partial(hook, record, event_id=event_id), at
    event = Feedback(task_id=task.task_id, occurred_at=at, event_id=event_id, **values)
    return partial(hook, event), at
