"""One parse of the dbt project for all tests of the models."""

from __future__ import annotations

import pytest

from orb_learning.refresh import Refresher

from .warehouse import Warehouse


@pytest.fixture(scope="session")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Refresher:
    """A refresher whose manifest others may share."""
    warehouse = Warehouse(tmp_path_factory.mktemp("parsed") / "home")
    warehouse.refresher.invoke(["list", "--resource-type", "source"])
    return warehouse.refresher
