"""What the tests of all folders share: how many random examples they try."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("orb_learning", parent=settings(), deadline=None)
settings.register_profile("long", settings.get_profile("orb_learning"), max_examples=300)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("long" if config.getoption("--long") else "orb_learning")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="try many more random histories")
    parser.addoption("--seed", type=int, default=20261125, help="of tests/machine")
    parser.addoption("--lives", type=int, help="so many random lives through recorded statements")
