"""A model of texts that needs no library and no weights, for tests that are not about the model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

FORM = "type: task: repo: tier: pool: success: | true refactor bug_fix large swarm"
"""What nearly every execution's text has; it weighs little."""


class WordModel:
    """Adds up a fixed random direction for each word: texts that share words are near."""

    def __init__(self, identity: str = "words") -> None:
        self.identity = identity
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str]) -> Any:
        self.texts += texts
        return np.array([sum(map(_direction, text.split())) for text in texts], np.float32)


def _direction(word: str) -> Any:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8])
    return np.random.default_rng(seed).standard_normal(384) * (0.2 if word in FORM.split() else 1)
