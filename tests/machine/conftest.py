"""One parse of the dbt project and one recording of what dbt executes, for all tests here."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orb_learning.refresh import Refresher
from warm_dbt import keep_parse

from .drivers import Dbt, Recorded, record


@pytest.fixture(scope="session")
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: thousands of homes are synced to disk otherwise."""
    shared = "/dev/shm"
    folder = Path(tempfile.mkdtemp(dir=shared if os.access(shared, os.W_OK) else None))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def parsed(memory: Path) -> Refresher:
    dbt = Dbt(memory / "parsed")
    keep_parse(dbt.refresher)
    return dbt.refresher


@pytest.fixture(scope="session")
def recorded(memory: Path, parsed: Refresher) -> Recorded:
    return record(memory / "recorded", parsed)
