"""Embedding between refreshes, in a process of its own."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from contextlib import suppress

from orb_learning.errors import NotPublishedError
from orb_learning.home import Home
from orb_learning.publication import current
from orb_learning.refresh._state import version_of

EMBED_EVERY_SECONDS = 60.0
"""Between the beginnings of two embedding runs at least: most of a short one is loading."""

_CHILD_SECONDS = 5.0
_NICEST = 19

logger = logging.getLogger("orb_learning.schedule")


class Embedder:
    """Embeds between turns, in a process of the lowest priority that nothing waits for."""

    def __init__(self, home: Home) -> None:
        """Start nothing yet."""
        self._home = home
        self._child: subprocess.Popen[bytes] | None = None
        self._load_id = 0
        self._done_for = 0
        self._not_before = time.monotonic()
        self._vectors = self._stored()

    def vectors(self) -> object:
        """Return the version of what is stored; of a run at work, the one it began with."""
        if self._child is None or self._child.poll() is not None:
            return self._stored()
        return self._vectors

    def start_if_due(self) -> None:
        """Start a run if none is at work and something may be missing."""
        try:
            published = current(self._home)
        except NotPublishedError:
            return
        if self._child is not None:
            if (code := self._child.poll()) is None:
                return
            self._child = None
            if code:
                logger.warning("embedding ended with code %d; trying again after new events", code)
            # A run that changed something may have met its limit; one that did not is the last.
            if code or self._stored() == self._vectors:
                self._done_for = self._load_id
        if published.load_id == self._done_for or not published.rows.get("executions"):
            return
        if time.monotonic() < self._not_before:
            return
        self._not_before = time.monotonic() + EMBED_EVERY_SECONDS
        self._load_id = published.load_id
        self._vectors = self._stored()
        self._child = subprocess.Popen(  # noqa: S603 - this very interpreter and package
            [sys.executable, "-m", "orb_learning", "--home", str(self._home.root), "embed"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "TTY_COMPATIBLE": "0"},  # its progress is nobody's; rich reads it
            start_new_session=True,  # Ctrl-C is ours to pass on
        )
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, self._child.pid, _NICEST)
        logger.debug("embedding in process %d", self._child.pid)

    def stop(self) -> None:
        """End a run at work; what it has committed stays."""
        if self._child is None:
            return
        self._child.terminate()
        try:
            self._child.wait(_CHILD_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _stored(self) -> object:
        folder = self._home.embeddings
        return version_of(folder / "vectors.duckdb", folder / "store.json")
