"""Fixtures of several folders; pytest finds them here."""

import pytest

from stores import empty_staging, hold, migrated, pool, spool, staging

__all__ = ["empty_staging", "hold", "migrated", "pool", "spool", "staging"]


@pytest.fixture(autouse=True)
def begun(request: pytest.FixtureRequest) -> None:
    """Begin with a schema that is there, where going up and down is not what is tested."""
    if request.path.name not in ("test_erasure.py", "test_schema.py"):
        request.getfixturevalue("migrated")
