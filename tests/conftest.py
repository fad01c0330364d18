"""What the tests of all folders share: how many random examples they try, and for how long."""

from __future__ import annotations

import gc

import pytest
from hypothesis import settings

settings.register_profile("orb_learning", parent=settings(), deadline=None)
settings.register_profile("long", settings.get_profile("orb_learning"), max_examples=300)


@pytest.hookimpl(tryfirst=True)  # before pytest-timeout asks how long
def pytest_configure(config: pytest.Config) -> None:
    is_long = config.getoption("--long") or config.getoption("--lives")
    settings.load_profile("long" if config.getoption("--long") else "orb_learning")
    if is_long and config.getoption("--timeout") is None:
        config.option.timeout = 0  # hours, where that many were asked for


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Keep the garbage collector from what lives as long as the session: modules and tests."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="try many more random histories")
    parser.addoption("--seed", type=int, default=20261125, help="of tests/machine")
    parser.addoption("--lives", type=int, help="so many random lives through recorded statements")
