"""Random lives of a home, told through dbt itself and through what dbt was seen to execute."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from orb_learning.refresh import Refresher

from .drivers import Compiled, Dbt, Recorded
from .machine import Machine

PARTS = 4
"""Processes that the lives through recorded statements can be spread over."""


def live(
    machine: type[Machine], examples: int, steps: int, config: pytest.Config, part: int = 0
) -> None:
    """Run that many random lives and say how many a minute has."""
    number = config.getoption("--seed") + part
    shrinks = config.getoption("--long")
    started = time.perf_counter()
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink] if shrinks else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(number)(machine), settings=chosen)
    minutes = (time.perf_counter() - started) / 60
    print(f"seed {number}: {examples} examples, {examples / minutes:.0f} a minute")


def test_any_life_of_a_home_through_dbt_gives_what_the_oracle_says(
    memory: Path, parsed: Refresher, request: pytest.FixtureRequest
) -> None:
    class ThroughDbt(Machine):
        folder = memory
        make = staticmethod(lambda root: Dbt(root, parsed))

    is_long = request.config.getoption("--long")
    live(ThroughDbt, 500 if is_long else 5, 4, request.config)


@pytest.mark.parametrize("part", range(PARTS))
def test_any_life_of_a_home_through_the_recorded_statements_gives_what_the_oracle_says(
    memory: Path, recorded: Recorded, request: pytest.FixtureRequest, part: int
) -> None:
    class ThroughStatements(Machine):
        folder = memory
        make = staticmethod(lambda root: Compiled(root, recorded))

    lives = request.config.getoption("--lives")
    lives = lives or (20_000 if request.config.getoption("--long") else 40)
    live(ThroughStatements, max(1, lives // PARTS), 9, request.config, part)
