"""What the tests of the hooks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from orb_learning import Telemetry
from orb_learning.capture import _known, _run, _scope
from orb_learning.events import Event


@pytest.fixture(autouse=True)
def no_task() -> None:
    """Begin each test outside any task, whatever the one before it has routed."""
    _scope._current.set(None)
    _run._running.set(None)
    _known._known.clear()


@pytest.fixture
def recorded(telemetry: Telemetry, events_in: Any) -> Callable[[], list[Event]]:
    """Return the events in the spool, in the order in which they were recorded."""
    return lambda: events_in(telemetry.home.spool)
