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

SEED = 20261125


def live(machine: type[Machine], examples: int, steps: int, *, shrinks: bool) -> None:
    """Run that many random lives and say how many a minute has."""
    started = time.perf_counter()
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink] if shrinks else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(SEED)(machine), settings=chosen)
    minutes = (time.perf_counter() - started) / 60
    print(f"seed {SEED}: {examples} examples, {examples / minutes:.0f} a minute")


def test_any_life_of_a_home_through_dbt_gives_what_the_oracle_says(
    memory: Path, parsed: Refresher, request: pytest.FixtureRequest
) -> None:
    class ThroughDbt(Machine):
        folder = memory
        make = staticmethod(lambda root: Dbt(root, parsed))

    is_long = request.config.getoption("--long")
    live(ThroughDbt, 500 if is_long else 10, 4, shrinks=is_long)


def test_any_life_of_a_home_through_the_recorded_statements_gives_what_the_oracle_says(
    memory: Path, recorded: Recorded, request: pytest.FixtureRequest
) -> None:
    class ThroughStatements(Machine):
        folder = memory
        make = staticmethod(lambda root: Compiled(root, recorded))

    is_long = request.config.getoption("--long")
    live(ThroughStatements, 20_000 if is_long else 60, 9, shrinks=is_long)
