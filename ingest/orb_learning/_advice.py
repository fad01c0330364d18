"""What a recommender answers, as far as hooks know it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Advice:
    """An answer that a host can hand to `capture_routing_decision` as it is."""

    __slots__ = ()

    def to_decision(self) -> Mapping[str, Any]:
        """Return the fields of the routing decision that follows the advice."""
        raise NotImplementedError
