"""The tables of evidence and advice over several runs: what stays, and what a var changes."""

from __future__ import annotations

from typing import Any

import pytest

from orb_learning.publication import current
from orb_learning.refresh import Refresher
from orb_learning.serving import Recommender

from .test_routing import AS_OF, history, recorded, tried
from .warehouse import Tables, Warehouse

FEW: dict[str, Any] = {"evidence_min_tries": 3, "evidence_min_costs": 2}
TABLES = {
    "main_intermediate.int_arm_days",
    "main_intermediate.int_arm_retries",
    "main_intermediate.int_task_groups",
    "main_intermediate.int_arm_group_pairs",
    "main_intermediate.int_usual_costs",
    "main_intermediate.int_arm_sums",
    "main_intermediate.int_arm_choices",
    "main.arm_evidence",
    "main.arm_pair_evidence",
    "main.routing_recommendations",
    "main.escalation_plans",
}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory, parsed: Refresher) -> Warehouse:
    made = Warehouse(tmp_path_factory.mktemp("routing-refresh") / "home", parsed)
    made.write(recorded(run) for run in [*history(9, 150), *tried("grand", 2, 1)])
    run(made)
    return made


def run(warehouse: Warehouse, *arguments: str, as_of: str = AS_OF.isoformat(), **given: Any) -> Any:
    return warehouse.run(*arguments, as_of=as_of, **(FEW | given))


def assert_as_a_full_refresh(warehouse: Warehouse, **given: Any) -> Tables:
    """Run as it comes and as a full refresh, and return the tables of both."""
    run(warehouse, **given)
    found = warehouse.tables()
    run(warehouse, "--full-refresh", **given)
    rebuilt = warehouse.tables()
    assert found.keys() >= TABLES
    for name in TABLES:
        assert found[name] == rebuilt[name], (name, given)
        assert found[name], name
    return found


def test_with_nothing_new_on_the_same_day_every_table_stays_and_nothing_is_published(
    warehouse: Warehouse,
) -> None:
    before, tables = current(warehouse.home), warehouse.tables()
    for as_of in (f"{AS_OF}T08:00:00", f"{AS_OF}T23:59:59.999999"):
        run(warehouse, as_of=as_of)
        after = warehouse.tables()
        for name in TABLES:
            assert after[name] == tables[name], name
        assert current(warehouse.home).id == before.id


def test_other_arms_give_what_a_full_refresh_gives(warehouse: Warehouse) -> None:
    arms = {}
    for kind in ("pool_type", "both", "model_tier"):
        tables = assert_as_a_full_refresh(warehouse, routing_arm=kind)
        arms[kind] = {row[1] for row in tables["main_intermediate.int_usual_costs"]}
        answer = Recommender(warehouse.home.root).recommend("type0")
        assert (answer.model_tier is None) == (kind == "pool_type")
        assert (answer.pool_type is None) == (kind == "model_tier")
    assert arms["pool_type"] == {"solo", "swarm"}
    assert {tuple(arm.split(" | ")) for arm in arms["both"]} <= {
        (tier, pool) for tier in arms["model_tier"] for pool in arms["pool_type"]
    }


def test_a_window_moves_and_may_be_none_at_all(warehouse: Warehouse) -> None:
    days = {}
    for window in (7, "null", 90):
        tables = assert_as_a_full_refresh(warehouse, evidence_window_days=window)
        days[window] = len({row[0] for row in tables["main_intermediate.int_arm_days"]})
    assert 1 < days[7] <= 8 < days[90] < days["null"]

    for as_of in ("2026-05-01", AS_OF.isoformat()):
        tables = assert_as_a_full_refresh(warehouse, as_of=as_of)


def test_without_a_half_life_every_run_counts_as_one(warehouse: Warehouse) -> None:
    run(warehouse, evidence_half_life_days="null")
    tables = warehouse.tables()
    assert tables["main.arm_evidence"]
    advice = Recommender(warehouse.home.root)
    for known in advice.evidence():
        assert known.effective_tries == known.first_tries
    assert "half_life=none" in str(advice.recommend("type0").policy_version)
    nothing = {"evidence_min_tries": 0, "evidence_min_costs": 0}
    run(warehouse, evidence_half_life_days=0.5, evidence_window_days=0, **nothing)
    policy = str(Recommender(warehouse.home.root).recommend("type0").policy_version)
    assert policy == "safe_gain/1 value=40 window=0 half_life=0.5 min=0,0"
