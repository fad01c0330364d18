"""What the tests of the hooks share."""

from __future__ import annotations

import pytest

from orb_learning.capture import _scope


@pytest.fixture(autouse=True)
def no_task() -> None:
    """Begin each test outside any task, whatever the one before it has routed."""
    _scope._current.set(None)
