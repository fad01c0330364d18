"""The simulated orchestrator: repeatable, within its period, and loadable without a flaw."""

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from orb_learning import Telemetry
from orb_learning.demo import Simulation, SimulationReport, simulate
from orb_learning.home import Home
from orb_learning.staging import LoadReport, load

UNTIL = datetime(2026, 3, 2, tzinfo=UTC)
SMALL = Simulation(tasks=300, days=5, seed=7)


def run(
    root: Path, simulation: Simulation = SMALL, until: datetime = UNTIL
) -> tuple[Home, SimulationReport]:
    with Telemetry(root, strict=True) as telemetry:
        report = asyncio.run(simulate(telemetry, simulation, until=until))
    return telemetry.home, report


def spooled(home: Home) -> list[bytes]:
    """Return the spool's lines in the order of writing, without the real time."""
    lines = [
        line for path in sorted(home.spool.iterdir()) for line in path.read_bytes().splitlines()
    ]
    return [re.sub(rb'"captured_at":"[^"]*",', b"", line, count=1) for line in lines]


def event_ids(home: Home) -> set[str]:
    return {json.loads(line)["event_id"] for line in spooled(home)}


@dataclass(frozen=True)
class Loaded:
    home: Home
    report: SimulationReport
    first_load: LoadReport

    def rows(self, query: str) -> list[tuple]:
        with duckdb.connect(str(self.home.staging), read_only=True) as connection:
            return connection.execute(query).fetchall()

    def value(self, query: str) -> object:
        return self.rows(query)[0][0]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    home, report = run(tmp_path_factory.mktemp("home"))
    return Loaded(home, report, load(home))


def test_two_runs_write_the_same_events_in_the_same_order(tmp_path):
    one, one_report = run(tmp_path / "one")
    other, other_report = run(tmp_path / "other")
    assert spooled(one) == spooled(other)
    assert one_report == other_report


def test_the_number_of_workers_changes_no_event(tmp_path, monkeypatch):
    many, many_report = run(tmp_path / "many")
    monkeypatch.setattr("orb_learning.demo._orchestrator._WORKERS", 1)
    one, one_report = run(tmp_path / "one")
    assert spooled(many) != spooled(one)
    assert sorted(spooled(many)) == sorted(spooled(one))
    assert many_report == one_report


@pytest.mark.parametrize(
    ("simulation", "until"),
    [
        (Simulation(tasks=300, days=5, seed=8), UNTIL),
        (Simulation(tasks=301, days=5, seed=7), UNTIL),
        (SMALL, UNTIL + timedelta(days=1)),
    ],
    ids=["seed", "tasks", "until"],
)
def test_another_simulation_shares_no_event_id(tmp_path, simulation, until):
    one, _ = run(tmp_path / "one")
    other, _ = run(tmp_path / "other", simulation, until)
    assert event_ids(one).isdisjoint(event_ids(other))


def test_every_event_loads_and_every_duplicate_is_found(loaded):
    assert loaded.first_load.quarantined == 0
    assert loaded.first_load.duplicates == loaded.report.duplicates_sent > 0
    assert loaded.first_load.loaded == len(event_ids(loaded.home))


def test_a_second_run_into_the_same_home_adds_nothing(tmp_path):
    home, _ = run(tmp_path)
    first = load(home)
    run(tmp_path)
    second = load(home)
    assert second.lines == second.duplicates == first.lines
    assert second.loaded == second.quarantined == 0


def test_everything_occurs_within_the_simulated_days(loaded):
    times = [
        datetime.fromisoformat(json.loads(line)["occurred_at"]) for line in spooled(loaded.home)
    ]
    assert UNTIL - timedelta(days=SMALL.days) <= min(times)
    assert max(times) < UNTIL
    assert UNTIL - max(times) < timedelta(hours=1)


def test_a_period_shorter_than_a_task_still_ends_at_until(tmp_path):
    home, report = run(tmp_path, Simulation(tasks=4000, days=1))
    times = [datetime.fromisoformat(json.loads(line)["occurred_at"]) for line in spooled(home)]
    assert max(times) < UNTIL
    # Tasks routed shortly before the end are still running.
    assert report.pending > 20


def test_the_report_counts_what_staging_holds(loaded):
    report = loaded.report
    assert report.tasks == SMALL.tasks
    assert report.tasks == loaded.value(
        """
        select count(*) from (
            select task_id from raw.routing_decision
            union
            select task_id from raw.execution_recorded
        )
        """
    )
    decided = loaded.value("select count(*) from raw.routing_decision")
    recorded = loaded.value("select count(*) from raw.execution_recorded")
    assert recorded > 0
    assert decided + recorded == report.attempts > report.tasks
    assert loaded.value("select count(*) from raw.feedback") == report.feedback > 0
    assert loaded.value("select count(*) from raw.pool_created") == report.pools
    assert 0 < report.failures < report.attempts / 2
    assert 0 < report.late_events < report.attempts / 10


def test_pending_and_failures_follow_from_the_events_alone(loaded):
    """Each attempt's outcome lies between its decision and the next one."""
    pending, failures = loaded.rows(
        """
        with attempts as (
            select
                task_id,
                occurred_at as decided_at,
                lead(occurred_at, 1, 'infinity') over (
                    partition by task_id order by occurred_at
                ) as next_decided_at
            from raw.routing_decision
        ),
        outcomes as (
            select task_id, occurred_at, success from raw.routing_outcome
            union all
            select task_id, occurred_at, success from raw.pool_execution_complete
            union all
            select task_id, occurred_at, success from raw.task_completed
        ),
        ended as (
            select any_value(success) as success, count(distinct success) as opinions
            from attempts left join outcomes on
                outcomes.task_id = attempts.task_id
                and outcomes.occurred_at >= decided_at
                and outcomes.occurred_at < next_decided_at
            group by attempts.task_id, decided_at
            union all
            select success, 1 from raw.execution_recorded
        )
        select count(*) filter (opinions = 0), count(*) filter (not success)
        from ended where opinions < 2
        """
    )[0]
    assert (pending, failures) == (loaded.report.pending, loaded.report.failures)


def test_a_stated_attempt_is_the_place_of_its_decision(loaded):
    decisions = loaded.rows(
        """
        select attempt, row_number() over (partition by task_id order by occurred_at) as place
        from raw.routing_decision
        """
    )
    stated = [(attempt, place) for attempt, place in decisions if attempt is not None]
    left_out = [place for attempt, place in decisions if attempt is None]
    assert all(attempt == place for attempt, place in stated)
    assert max(stated) > (1, 1)
    assert max(left_out) > 1


def test_a_failed_attempt_is_tried_again_on_a_higher_tier(loaded):
    retries = loaded.rows(
        """
        select * from (
            select
                lag(model_tier) over (partition by task_id order by occurred_at) as before,
                model_tier
            from raw.routing_decision
        )
        where before is not null
        """
    )
    tiers = ["small", "medium", "large", "frontier"]
    assert len(retries) > 10
    for before, after in retries:
        assert tiers.index(after) > tiers.index(before) or before == after == "frontier"


def test_a_decision_states_the_probability_of_every_candidate(loaded):
    decisions = loaded.rows(
        "select model_tier, propensity, candidates, policy_version from raw.routing_decision"
    )
    for tier, propensity, candidates, policy_version in decisions:
        assert json.loads(candidates)[tier] == propensity
        assert policy_version is not None


def test_nobody_knows_what_the_local_pool_costs(loaded):
    costs = dict(
        loaded.rows(
            "select pool_type, count(actual_cost) from raw.pool_execution_complete group by all"
        )
    )
    assert costs.pop("local") == 0
    assert costs and all(costs.values())


def test_dearer_tiers_solve_hard_tasks_more_often(tmp_path):
    home, report = run(tmp_path, Simulation(tasks=3000, days=5))
    rates = dict(
        Loaded(home, report, load(home)).rows(
            """
            select model_tier, avg(success::integer)
            from raw.routing_decision join raw.routing_outcome using (task_id)
            where raw.routing_decision.attempt = raw.routing_outcome.attempt
                and complexity_score > 65
            group by model_tier
            """
        )
    )
    assert rates["frontier"] > rates["large"] > rates["medium"] > rates["small"]


def test_progress_adds_up_to_all_tasks(tmp_path):
    steps: list[int] = []
    with Telemetry(tmp_path) as telemetry:
        simulation = Simulation(tasks=250, days=1)
        asyncio.run(simulate(telemetry, simulation, until=UNTIL, on_progress=steps.append))
    assert sum(steps) == 250
    assert len(steps) > 1


@pytest.mark.parametrize(
    ("simulation", "until"),
    [
        (SMALL, UNTIL.replace(tzinfo=None)),
        (Simulation(tasks=0), UNTIL),
        (Simulation(days=0), UNTIL),
    ],
)
def test_a_senseless_simulation_is_refused_before_any_event(tmp_path, simulation, until):
    with pytest.raises(ValueError, match=r"until must be|at least one"):
        run(tmp_path, simulation, until)
    assert not Home.locate(tmp_path).spool.exists()
