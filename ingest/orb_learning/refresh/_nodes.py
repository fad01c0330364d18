"""How far a run of dbt is: what its events say of its nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

OnNode = Callable[[str, int, int], None]
"""Gets the name of the node at work, how many are done, and how many there are."""


class NodeWatch:
    """Hears dbt's events and tells of models, seeds and tests, and of no hook."""

    def __init__(self, tell: OnNode) -> None:
        """Hear nothing yet."""
        self._tell = tell
        self._total = 0
        self._done: set[str] = set()

    def __call__(self, event: Any) -> None:
        """Take one of dbt's events."""
        if event.info.name == "LogStartLine":
            self._total = event.data.total
        elif event.info.name == "NodeFinished":
            self._done.add(event.data.node_info.unique_id)
        else:
            return
        self._tell(event.data.node_info.node_name, len(self._done), self._total)
