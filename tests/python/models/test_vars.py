"""No var can put SQL of its own into the project, and a wrong one is refused in one clear line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from orb_learning.errors import ProjectError, RefreshError
from orb_learning.refresh import Refresher, retention_days
from orb_learning.refresh._project import PROJECT_VARIABLE

from .warehouse import Warehouse

PROJECT = Path(__file__).parents[3]
SMUGGLED = "x' || (select content from read_text('/etc/hostname')) || '"

# Which model reads the var, and what refuses it.
AS_OF = "as_of must be a date or a UTC time, like 2026-06-15 or 2026-06-15T12:00:00, not '"
WINDOW = "a window must be a whole number of days, not '"
READ = {
    "as_of": ("tier_performance", AS_OF),
    "tier_window_days": ("tier_performance", WINDOW),
    "pool_window_days": ("pool_performance", WINDOW),
    "quality_window_days": ("quality_trend", WINDOW),
    "pattern_window_days": ("solution_patterns", WINDOW),
    "pattern_min_uses": ("solution_patterns", "pattern_min_uses must be a whole number, not '"),
    "routing_arm": ("int_arm_days", "routing_arm must be model_tier, pool_type or both, not '"),
    "evidence_window_days": ("int_arm_retries", WINDOW),
    "evidence_half_life_days": (
        "int_arm_sums",
        "evidence_half_life_days must be a number above 0, not '",
    ),
    "success_value_usd": ("escalation_plans", "success_value_usd must be a number above 0, not '"),
    "evidence_min_tries": ("arm_evidence", "evidence_min_tries must be a whole number, not '"),
    "evidence_min_costs": ("arm_evidence", "evidence_min_costs must be a whole number, not '"),
    "max_clock_skew_seconds": (
        "int_attempts",
        "max_clock_skew_seconds must be a whole number of seconds, not '",
    ),
    "full_build_tasks": (
        "int_attempts",
        "full_build_tasks must be a whole number of tasks from 1 on, not '",
    ),
    "indexes": ("solution_patterns", "indexes must be true or false, not '"),
    "publish_past": ("tier_performance", "publish_past must be true or false, not '"),
}
NOT_READ = {"raw_retention_days", "derived_retention_days"}
"""Vars that no SQL is made of: `orb-learning prune` reads them from the file."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, parsed: Refresher) -> Warehouse:
    """A warehouse with its tables, so that what only a second run does is done too."""
    warehouse = Warehouse(tmp_path_factory.mktemp("vars") / "home", parsed)
    warehouse.run()
    return warehouse


def refusal(warehouse: Warehouse, command: str, selected: str, **given: Any) -> str:
    with pytest.raises(RefreshError) as caught:
        warehouse.refresher.invoke([command, "--select", selected, "--vars", json.dumps(given)])
    return str(caught.value)


def test_every_var_of_the_project_is_tried_here() -> None:
    text = (PROJECT / "dbt_project.yml").read_text()
    block = re.search(r"(?ms)^vars:\n(.*?)^\S", text)
    assert block
    assert set(re.findall(r"(?m)^  (\w+):", block[1])) == READ.keys() | NOT_READ


@pytest.mark.parametrize("name", READ)
def test_a_var_with_sql_in_it_is_refused_in_one_line_that_says_what_it_must_be(
    built: Warehouse, name: str
) -> None:
    model, rule = READ[name]

    said = refusal(built, "run", model, **{name: SMUGGLED})

    assert f"{rule}{SMUGGLED}'" in said
    assert "\n" not in said
    assert read_text_in(built) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("as_of", "2026-13-45"),
        ("as_of", "1969-12-31"),
        ("as_of", "2026-06-15 -- "),
        ("tier_window_days", 10**12),
        ("tier_window_days", -1),
        ("tier_window_days", True),
        ("pattern_min_uses", "many"),
        ("routing_arm", "tier"),
        ("evidence_window_days", -1),
        ("evidence_half_life_days", 0),
        ("evidence_half_life_days", "1e3"),
        ("success_value_usd", -40),
        ("success_value_usd", "0.0"),
        ("evidence_min_tries", 1.5),
        ("evidence_min_costs", True),
        ("indexes", "false"),
        ("publish_past", "yes"),
    ],
)
def test_a_var_that_is_not_what_it_must_be_is_refused_too(
    built: Warehouse, name: str, value: object
) -> None:
    model, rule = READ[name]
    assert f"{rule}{value}'" in refusal(built, "run", model, **{name: value})


@pytest.mark.parametrize("model", ["int_arm_choices", "escalation_plans"])
@pytest.mark.parametrize(
    "name",
    [
        "evidence_window_days",
        "evidence_half_life_days",
        "success_value_usd",
        "evidence_min_tries",
        "evidence_min_costs",
    ],
)
def test_a_var_with_sql_in_it_does_not_reach_the_text_that_names_the_rule(
    built: Warehouse, name: str, model: str
) -> None:
    said = refusal(built, "run", model, **{name: SMUGGLED})

    assert f"{READ[name][1]}{SMUGGLED}'" in said
    assert read_text_in(built) == []


def test_a_var_with_sql_in_it_does_not_reach_a_data_test_either(built: Warehouse) -> None:
    patterns = "solution_patterns,test_name:accepted_range"
    totals = "tier_performance,test_name:total_matches_fact"

    uses = refusal(built, "test", patterns, pattern_min_uses=SMUGGLED)
    days = refusal(built, "test", totals, tier_window_days=SMUGGLED)

    assert f"accepted_range needs numbers, not '{SMUGGLED}'" in uses
    assert f"{WINDOW}{SMUGGLED}'" in days
    assert read_text_in(built) == []


def test_a_var_that_only_pruning_reads_is_in_no_sql(built: Warehouse) -> None:
    given = json.dumps(dict.fromkeys(sorted(NOT_READ), SMUGGLED))

    built.refresher.invoke(["run", "--vars", given])

    assert read_text_in(built) == []


@pytest.mark.parametrize("name", sorted(NOT_READ))
def test_pruning_refuses_a_retention_that_is_no_number_of_days(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (tmp_path / "dbt_project.yml").write_text(f"name: orb_learning\nvars:\n  {name}: -1\n")
    monkeypatch.setenv(PROJECT_VARIABLE, str(tmp_path))
    with pytest.raises(ProjectError, match=f"^{name} in .* must be days from 0 on, not -1$"):
        retention_days()


def read_text_in(warehouse: Warehouse) -> list[Path]:
    """Return the SQL files that dbt made with the smuggled function in them."""
    made = (warehouse.home.root / "target").rglob("*.sql")
    return [file for file in made if "read_text" in file.read_text()]
