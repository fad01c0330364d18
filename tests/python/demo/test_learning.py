"""The simulated router asks what was learned, and does better for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from orb_learning import Telemetry
from orb_learning.demo import Learner, Simulation, simulate, weeks_of
from orb_learning.home import Home
from orb_learning.refresh import Refresher

UNTIL = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday


def test_from_the_middle_on_the_router_follows_and_records_what_it_was_told(
    tmp_path: Path, refresh: Callable[..., None], parsed: Refresher
) -> None:
    home = Home.locate(tmp_path / "home")
    learner = Learner(home.root)
    learner._refresher._manifest = parsed._manifest
    with Telemetry(home.root, strict=True) as telemetry:
        asyncio.run(
            simulate(telemetry, Simulation(tasks=2_000, days=28), until=UNTIL, learner=learner)
        )
    learner.close()
    refresh(home.root, as_of="2026-03-01")

    before, *_, after = weeks_of(home)
    assert before.advised == 0
    assert after.advised > 0.9
    assert before.mean_cost is not None and after.mean_cost is not None
    assert after.mean_cost < before.mean_cost
    decisions = [
        event
        for path in home.spool.iterdir()
        for event in map(json.loads, path.read_text().splitlines())
        if str(event.get("policy_version")).startswith("escalation/1 value=2.4 ")
        and event["event_type"] == "routing_decision"
    ]
    assert len(decisions) > 500
    for event in decisions:
        assert event["propensity"] == event["candidates"][event["model_tier"]]
        assert abs(sum(event["candidates"].values()) - 1) < 1e-9
    # What explores is told apart from what is sure.
    assert {event["propensity"] < 0.5 for event in decisions} == {True, False}
