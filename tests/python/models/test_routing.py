"""What the models say of arms is what the formulas say, and what a recommender says too."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pytest

from orb_learning.events import ExecutionRecorded, TaskErased
from orb_learning.refresh import Refresher
from orb_learning.serving import Recommender

from . import routing_oracle as oracle
from .routing_models import PUBLISHED, Learned, RoutingModels, Rows, rows_of
from .routing_oracle import Rules, Run
from .warehouse import LOAD_COLUMNS, Warehouse

AS_OF = date(2026, 6, 15)
NOON = datetime(2026, 6, 15, 12)
LOOSE = Rules(AS_OF, window_days=None, half_life_days=None, min_tries=3, min_costs=1, value=5)
"""Other vars than those of the project: nothing fades, little is enough, and money counts more."""

ARMS: dict[str, tuple[float, float]] = {
    "grand": (0.8, 3.0),
    "large": (0.72, 1.5),
    "medium": (0.65, 0.5),
    "small": (0.5, 0.05),
}
"""How often each succeeds, and what a run of it costs."""


def history(seed: int, tasks: int, arms: dict[str, tuple[float, float]] = ARMS) -> list[Run]:
    """Return a random history: late tries, groups, unknown arms and costs, and one absurd cost."""
    draw = random.Random(seed)
    hardness = {f"type{number}": draw.uniform(-0.35, 0.15) for number in range(3)}
    names = [*arms, *arms, "rare", None]
    found: list[Run] = []

    def run(arm: str | None, at: datetime, **values: Any) -> Run:
        share, cost = arms.get(arm or "", (0.5, 1.0))
        source = draw.choice(["reported"] * 7 + ["estimate", "unknown", "nothing"])
        price = round(cost * draw.lognormvariate(0, 0.6), 4)
        made = Run(
            repo=values.pop("repo", f"repo{draw.randrange(3)}"),
            arm=arm if arm != "rare" or draw.random() < 0.15 else None,
            success=draw.random() < share + hardness[values["task_type"]] + values.pop("more", 0),
            at=at,
            ended_at=at + timedelta(minutes=draw.randrange(1, 90)),
            cost={"reported": price, "nothing": 0.0}.get(source),
            estimate=price if source == "estimate" else None,
            duration=draw.choice([None, 0.1, 12.5, 1e6 / 3]),
            quality=draw.choice([None, 60, 91]),
            **values,
        )
        found.append(made)
        return made

    for number in range(tasks):
        task, kind = UUID(int=seed * 100_000 + number + 1), draw.choice(list(hardness))
        at = NOON - timedelta(days=draw.randrange(-1, 100), minutes=draw.randrange(600))
        group = draw.choice([None, None, f"{seed}/{number // 4}", f"{seed}/{number % 7}"])
        last = run(draw.choice(names), at, task=task, task_type=kind, group=group)
        for attempt in range(2, draw.choice([2, 3, 4, 5])):
            if last.success and draw.random() < 0.9:
                break
            waits = draw.choice([0, 0, 5, -1])  # the last was decided before the failure
            at = last.ended_at + timedelta(minutes=waits)
            last = run(
                draw.choice([*names, last.arm]), at, task=task, task_type=kind, group=group,
                attempt=attempt + draw.randrange(2) * attempt, repo=last.repo, more=-0.2,
            )  # fmt: skip
            if last.attempt != attempt:
                break
    recent = (n for n, run in enumerate(found) if run.arm and Rules(AS_OF).holds(run.at.date()))
    place = next(recent)
    found[place] = replace(found[place], cost=123_456.0)
    return found


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, parsed: Refresher) -> RoutingModels:
    """The models with the project's vars."""
    return RoutingModels(tmp_path_factory.mktemp("routing") / "home", parsed, AS_OF)


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory, parsed: Refresher) -> RoutingModels:
    """The models with other vars."""
    return RoutingModels(
        tmp_path_factory.mktemp("loose") / "home", parsed, AS_OF,
        evidence_window_days="null", evidence_half_life_days="null",
        evidence_min_tries=LOOSE.min_tries, evidence_min_costs=LOOSE.min_costs,
        success_value_usd=LOOSE.value,
    )  # fmt: skip


@pytest.fixture
def learn(models: RoutingModels) -> Iterator[Callable[..., Learned]]:
    made: list[Learned] = []

    def learn(runs: list[Run], by: RoutingModels = models) -> Learned:
        made.append(by.learn(runs))
        return made[-1]

    yield learn
    for learned in made:
        learned.close()


Tables = dict[str, Rows]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, parsed: Refresher) -> Warehouse:
    """A home with a history that dbt has built and published."""
    warehouse = Warehouse(tmp_path_factory.mktemp("built") / "home", parsed)
    warehouse.write(recorded(run) for run in history(7, 450))
    warehouse.run(as_of=AS_OF.isoformat())
    return warehouse


def recorded(run: Run) -> ExecutionRecorded:
    """Return the event of a run that brings its every field."""
    return ExecutionRecorded(
        task_id=run.task, attempt=run.attempt, timestamp=run.at.replace(tzinfo=UTC),
        occurred_at=run.ended_at.replace(tzinfo=UTC), task_type=run.task_type, repo=run.repo,
        task_description="this", model_tier=run.arm or "unknown",
        pool_type="swarm" if run.task.int % 3 else "solo",
        routing_confidence=0.5, success=run.success, duration_seconds=run.duration,
        quality_score=run.quality, cost_estimate=run.estimate, actual_cost=run.cost,
        task_group=run.group,
    )  # fmt: skip


def tables_of(warehouse: Warehouse) -> Tables:
    with duckdb.connect(str(warehouse.home.warehouse), read_only=True) as connection:
        return {name: rows_of(connection, f"main.{name}") for name in PUBLISHED}


# -- equal to the formulas --------------------------------------------------------------------


def near(found: object, expected: object, rel: float = 1e-6) -> bool:
    if isinstance(found, float) and isinstance(expected, int | float):
        return math.isclose(found, expected, rel_tol=rel, abs_tol=rel / 1e3)
    return found == expected


def assert_near(found: dict[str, Any], expected: dict[str, Any], where: object) -> None:
    for name, value in expected.items():
        assert near(found[name], value), f"{where}, {name}: {found[name]} instead of {value}"


def cost_ends(cost: float | None, variance: float | None) -> tuple[float | None, float | None]:
    if not cost or variance is None:
        return cost, cost
    factor = math.exp(1.96 * math.sqrt(variance) / cost)
    return cost / factor, cost * factor


def assert_evidence(found: Rows, known: oracle.Evidence) -> None:
    keys = {(row["level"], row["repo"], row["task_type"], row["arm"]) for row in found}
    assert keys == {(level_of(*cell), *cell, arm) for cell, of in known.items() for arm in of}
    for row in found:
        of = known[row["repo"], row["task_type"]][row["arm"]]
        counts, weighted = of.sums.counts, of.sums.weighted
        low, high = oracle.share_interval(of.success, of.variance)
        cost_low, cost_high = cost_ends(of.cost, of.cost_variance)
        names = ("runs", "first_tries", "first_successes", "costed", "cost_outliers", "estimated")
        assert_near(
            row,
            {name: counts[name] for name in names}
            | {
                "effective_tries": weighted["n"],
                "success": of.success,
                "success_variance": of.variance,
                "success_low": low,
                "success_high": high,
                "costed_share": counts["costed"] / counts["runs"] if counts["runs"] else None,
                "cost": of.cost,
                "cost_variance": of.cost_variance,
                "cost_low": cost_low,
                "cost_high": cost_high,
                "duration_seconds": of.duration,
                "quality": of.quality,
                "is_comparable": of.is_comparable,
                "last_seen": of.sums.last_seen,
                "as_of": AS_OF,
                "arm_kind": "model_tier",
                "model_tier": row["arm"],
                "pool_type": None,
            },
            (row["level"], row["repo"], row["task_type"], row["arm"]),
        )


def level_of(repo: str | None, kind: str | None) -> str:
    return "repo" if repo else "task_type" if kind else "everything"


def assert_pairs(found: Rows, pairs: oracle.Pairs, known: oracle.Evidence) -> None:
    keys = {(row["task_type"], row["failed_arm"], row["next_arm"]) for row in found}
    assert keys == {(kind, *pair) for kind, of in pairs.items() for pair in of}
    for row in found:
        kind = row["task_type"]
        after = pairs[kind][row["failed_arm"], row["next_arm"]]
        low, high = oracle.share_interval(after.success, after.variance)
        assert_near(
            row,
            {
                "level": level_of(None, kind),
                "runs": after.runs,
                "effective_tries": after.tries,
                "dependence": after.dependence,
                "log_odds_drop": after.drop,
                "success": after.success,
                "success_low": low,
                "success_high": high,
                "cost_factor": after.factor,
                "cost": after.factor * (known[None, kind][row["next_arm"]].cost or 0),
            },
            (kind, row["failed_arm"], row["next_arm"]),
        )


def assert_choices(found: Rows, known: oracle.Evidence, rules: Rules) -> None:
    assert {(row["repo"], row["task_type"]) for row in found} == known.keys()
    for row in found:
        cell = row["repo"], row["task_type"]
        chosen = oracle.choice(known, cell, rules)
        if chosen is None:
            assert row["arm"] is None
            assert row["is_abstained"]
            assert row["arms_worth_trying"] == []
            continue
        of = known[cell][chosen.arm]
        assert_near(
            row,
            {
                "level": level_of(*cell),
                "arm": chosen.arm,
                "reference_arm": chosen.reference,
                "gain_usd": chosen.gain,
                "gain_sd_usd": chosen.gain_sd,
                "is_abstained": chosen.is_abstained,
                "nearest_arm": chosen.nearest,
                "nearest_arm_runs_needed": chosen.runs_needed,
                "arms_worth_trying": chosen.worth_trying,
                "success": of.success,
                "cost": of.cost,
                "runs": of.sums.counts["first_tries"],
                "success_value_usd": rules.value,
            },
            cell,
        )


def assert_plans(found: Rows, known: oracle.Evidence, pairs: oracle.Pairs, rules: Rules) -> None:
    assert {row["task_type"] for row in found} == {kind for repo, kind in known if repo is None}
    for row in found:
        plan = oracle.best_plan(known, pairs, row["task_type"], rules)
        if plan is None:
            assert row["arms"] == []
            continue
        low, high = oracle.share_interval(plan.success, plan.success_variance)
        cost_low, cost_high = cost_ends(plan.cost, plan.cost_variance)
        assert_near(
            row,
            {
                "arms": list(plan.arms),
                "success": plan.success,
                "success_low": low,
                "success_high": high,
                "cost": plan.cost,
                "cost_low": cost_low,
                "cost_high": cost_high,
                "expected_attempts": plan.attempts,
                "pair_runs": plan.runs,
                "dependence": plan.dependence,
            },
            row["task_type"],
        )


def assert_formulas(tables: Any, runs: list[Run], rules: Rules) -> None:
    known = oracle.evidence(runs, rules)
    pairs = oracle.pair_evidence(runs, rules, known)
    assert_evidence(tables["arm_evidence"], known)
    assert_pairs(tables["arm_pair_evidence"], pairs, known)
    assert_choices(tables["routing_recommendations"], known, rules)
    assert_plans(tables["escalation_plans"], known, pairs, rules)


def test_what_dbt_builds_of_a_history_is_what_the_formulas_say(built: Warehouse) -> None:
    runs = history(7, 450)
    tables = tables_of(built)

    assert_formulas(tables, runs, Rules(AS_OF))

    # The history tells of everything that is compared.
    arms = tables["arm_evidence"]
    assert {row["is_comparable"] for row in arms} == {True, False}
    assert sum(row["cost_outliers"] for row in arms) == 3
    assert {row["dependence"] for row in tables["arm_pair_evidence"]} >= {"pooled"}
    assert any(row["runs"] > 0 for row in tables["arm_pair_evidence"])
    assert any(run.attempt > 1 for run in runs)


@pytest.mark.parametrize("seed", range(4))
def test_any_history_gives_what_the_formulas_say(learn: Callable[..., Learned], seed: int) -> None:
    runs = history(seed, 60 + 150 * seed)
    assert_formulas(learn(runs), runs, Rules(AS_OF))


@pytest.mark.parametrize("seed", range(4, 7))
def test_any_history_gives_what_the_formulas_say_with_other_vars(
    learn: Callable[..., Learned], loose: RoutingModels, seed: int
) -> None:
    many = {f"arm{n}": (0.3 + 0.03 * (n * 7 % 16), 0.01 * 1.5**n) for n in range(16)}
    runs = history(seed, 500, many if seed == 4 else ARMS)
    assert_formulas(learn(runs, loose), runs, LOOSE)


# -- equal to what a recommender says ---------------------------------------------------------

NUMBERS = ("success", "success_low", "success_high", "cost", "cost_low", "cost_high")


def assert_advice(tables: Any, recommender: Recommender) -> None:
    for row in tables["routing_recommendations"]:
        kind, repo = row["task_type"] or "of no kind that was seen", row["repo"]
        advice = recommender.recommend(kind, repo)
        assert advice.arm == row["arm"]
        assert advice.reference_arm == row["reference_arm"]
        assert advice.abstained == row["is_abstained"]
        assert advice.reason.partition(";")[0] == row["reason"]
        assert advice.model_tier == row["model_tier"]
        assert advice.pool_type == row["pool_type"]
        for name in NUMBERS:
            assert near(getattr(advice, name), row[name], 1e-9), name
        if row["arm"] is None:
            assert advice.candidates == {}
            continue
        assert advice.level == row["level"]
        assert advice.as_of == row["as_of"]
        assert advice.policy_version == row["policy_version"]
        open_minded = recommender.recommend(kind, repo, explore=0.5)
        assert sorted(open_minded.candidates) == row["arms_worth_trying"]
    for row in tables["escalation_plans"]:
        plan = recommender.recommend_escalation(row["task_type"] or "of no kind that was seen")
        assert list(plan.arms) == row["arms"]
        for name in (*NUMBERS, "expected_attempts"):
            assert near(getattr(plan, name), row[name], 1e-9), name
        assert plan.dependence == row["dependence"]
        if row["arms"]:
            assert plan.pair_runs == row["pair_runs"]
            assert plan.policy_version == row["policy_version"]


def test_a_recommender_says_what_dbt_has_published(built: Warehouse) -> None:
    assert_advice(tables_of(built), Recommender(built.home.root))


@pytest.mark.parametrize("seed", range(3))
def test_a_recommender_says_what_the_models_say_of_any_history(
    learn: Callable[..., Learned], seed: int
) -> None:
    learned = learn(history(seed, 40 + 100 * seed))
    assert_advice(learned, learned.recommender())


def test_a_recommender_says_what_the_models_say_at_other_vars_and_of_many_arms(
    learn: Callable[..., Learned], loose: RoutingModels
) -> None:
    many = {f"arm{n}": (0.3 + 0.03 * (n * 7 % 16), 0.01 * 1.5**n) for n in range(16)}
    learned = learn(history(4, 500, many), loose)
    assert_advice(learned, learned.recommender())


# -- what must stand --------------------------------------------------------------------------

TYPES = [f"type{number}" for number in range(4)]
REPOS = [f"repo{number}" for number in range(5)]


def tried(
    arm: str, successes: int, failures: int, cost: float | None = 1.0, *, kind: str = TYPES[0],
    repo: str = REPOS[0], at: datetime = NOON,
) -> list[Run]:  # fmt: skip
    """Return first tries of one arm in one cell."""
    name = f"{arm} {kind} {repo} {at} {cost}"
    return [
        Run(
            UUID(int=random.Random(f"{name} {successes} {failures} {number}").getrandbits(96)),
            repo, kind, arm, number < successes, at, at + timedelta(minutes=1), cost=cost,
        )
        for number in range(successes + failures)
    ]  # fmt: skip


def even(runs: int) -> list[Run]:
    """Return 4 task types in 5 repositories, an arm of .90 and one of .85, both at 1 USD."""
    return [
        run
        for kind in TYPES
        for repo in REPOS
        for arm, share in (("better", 0.9), ("worse", 0.85))
        for run in tried(arm, round(share * runs), runs - round(share * runs), kind=kind, repo=repo)
    ]


def shares(learned: Learned) -> dict[tuple[str | None, str | None, str], float]:
    return {
        (row["repo"], row["task_type"], row["arm"]): row["success"]
        for row in learned["arm_evidence"]
    }


def answers(learned: Learned) -> dict[tuple[str | None, str | None], str | None]:
    return {
        (row["repo"], row["task_type"]): row["arm"] for row in learned["routing_recommendations"]
    }


CELL = (REPOS[2], TYPES[1])


def failed(arm: str = "better") -> list[Run]:
    return tried(arm, 0, 1, kind=CELL[1], repo=CELL[0])


@pytest.mark.parametrize(("runs", "most", "leaves_after"), [(20, 0.025, 11), (100, 0.008, 26)])
def test_failures_in_one_cell_move_that_cell_and_no_other_type(
    learn: Callable[..., Learned], runs: int, most: float, leaves_after: int
) -> None:
    learned = learn(even(runs))
    before, answered = shares(learned), answers(learned)
    assert set(answered.values()) == {"better"}

    learned.add(failed())

    after = shares(learned)
    for (repo, kind, arm), share in after.items():
        moved = abs(share - before[repo, kind, arm])
        if (repo, kind, arm) == (*CELL, "better"):
            assert 0 < moved <= most
        elif kind not in (None, CELL[1]):
            assert moved <= 0.001, (repo, kind, arm)
    assert answers(learned) == answered

    failures = 1
    while answers(learned)[CELL] == "better":
        failures += 1
        assert failures <= leaves_after
        learned.add(replace(run, task=UUID(int=run.task.int + failures)) for run in failed())
    others = {cell: arm for cell, arm in answers(learned).items() if cell[1] not in (None, CELL[1])}
    assert set(others.values()) == {"better"}


@pytest.mark.parametrize("dearer", ["aaa", "zzz"])
def test_equal_evidence_never_prefers_the_dearer(
    learn: Callable[..., Learned], dearer: str
) -> None:
    learned = learn(
        [
            run
            for kind, successes in zip(TYPES, (3, 12, 18, 20), strict=True)
            for arm, cost in ((dearer, 1.01), ("mmm", 1.0))
            for run in tried(arm, successes, 20 - successes, cost, kind=kind)
        ]
    )
    assert set(answers(learned).values()) == {"mmm"}
    assert {row["arms"][0] for row in learned["escalation_plans"]} == {"mmm"}


@pytest.mark.parametrize("variance", [1e-6, 0.01], ids=["sure", "unsure"])
def test_of_arms_of_one_worth_the_cheaper_is_taken(
    learn: Callable[..., Learned], variance: float
) -> None:
    learned = learn([run for arm in ("dear", "poor", "thrifty") for run in tried(arm, 10, 10)])
    for level in ("everything", "task_type", "repo"):
        usual = 0.9 if level == "everything" else 0.79
        learned.believe(level, "poor", usual, 1.0, 1e-6)
        learned.believe(level, "dear", 0.825, 2.0, variance)
        learned.believe(level, "thrifty", 0.8, 1.0, variance)

    rows = {row["level"]: row for row in learned["routing_recommendations"]}
    assert {row["reference_arm"] for row in rows.values()} == {"poor"}
    for level in ("task_type", "repo"):
        found = "arm" if variance < 0.001 else "nearest_arm"
        assert rows[level][found] == "thrifty"
    assert_advice(learned, learned.recommender())

    learned.believe("everything", "poor", 0.1, 1.0, 1e-6)
    assert {row["reference_arm"] for row in learned["routing_recommendations"]} == {"thrifty"}
    assert_advice(learned, learned.recommender())


def test_three_runs_of_a_cheap_arm_do_not_displace_six_hundred_of_the_incumbent(
    learn: Callable[..., Learned],
) -> None:
    learned = learn([*tried("incumbent", 480, 120), *tried("cheap", 3, 0, 0.001)])

    assert set(answers(learned).values()) == {"incumbent"}
    assert {row["arms"][0] for row in learned["escalation_plans"]} == {"incumbent"}
    assert {tuple(row["arms_worth_trying"]) for row in learned["routing_recommendations"]} == {
        ("cheap", "incumbent")
    }


def test_the_reference_is_an_arm_that_is_known_to_be_good_not_one_that_may_be(
    learn: Callable[..., Learned],
) -> None:
    learned = learn([*tried("old", 300, 100), *tried("new", 13, 3)])

    believed = {arm: share for (_, kind, arm), share in shares(learned).items() if kind is None}
    assert believed["new"] > believed["old"]
    for row in learned["routing_recommendations"]:
        assert (row["arm"], row["reference_arm"], row["nearest_arm"]) == ("old", "old", "new")
        assert row["is_abstained"]


def test_all_runs_together_say_what_came_whatever_the_mix(learn: Callable[..., Learned]) -> None:
    alone = learn(tried("only", 480, 120))
    assert shares(alone)[None, None, "only"] == pytest.approx(0.8, abs=0.01)

    few = learn(even(100))
    assert shares(few)[None, None, "better"] == pytest.approx(0.9, abs=0.01)
    assert shares(few)[None, None, "worse"] == pytest.approx(0.85, abs=0.01)

    # Each is sent three of four of its tasks of one kind, and neither is better at any.
    sent = [
        ("a", 270, 30, "easy"),
        ("a", 40, 60, "hard"),
        ("b", 90, 10, "easy"),
        ("b", 120, 180, "hard"),
    ]
    mixed = shares(
        learn([run for arm, won, lost, kind in sent for run in tried(arm, won, lost, kind=kind)])
    )
    assert mixed[None, None, "a"] == pytest.approx(mixed[None, None, "b"], abs=0.01)
    assert mixed[None, None, "a"] == pytest.approx(0.65, abs=0.03)


def test_one_run_of_a_million_usd_changes_nothing(learn: Callable[..., Learned]) -> None:
    runs = even(20)
    (usual,) = failed()
    absurd = learn([*runs, replace(usual, cost=1e6)])
    unknown = learn([*runs, replace(usual, cost=None)])

    counted = {"costed", "costed_share", "cost_outliers"}
    for table in PUBLISHED:
        for row, other in zip(absurd[table], unknown[table], strict=True):
            changed = {name for name, value in row.items() if value != other[name]}
            assert changed <= counted, table
    assert sum(row["cost_outliers"] for row in absurd["arm_evidence"]) == 3


def test_an_improvement_moves_the_answer_to_the_arm_that_improved(
    learn: Callable[..., Learned],
) -> None:
    learned = learn(even(20))
    runs = 0
    while answers(learned)[None, TYPES[1]] != "worse":
        runs += 10
        assert runs <= 150, "so many runs that all succeed, in a type that had 100 of each arm"
        learned.add(
            replace(run, task=UUID(int=run.task.int + runs))
            for run in tried("worse", 10, 0, kind=TYPES[1], repo=REPOS[0])
        )
    assert runs > 10, "a few must not do"


def test_no_arm_that_was_not_seen_or_not_paid_for_is_recommended(
    learn: Callable[..., Learned],
) -> None:
    perfect = tried("unpriced", 100, 0, None) + tried("barely", 9, 0) + tried("", 50, 0)
    learned = learn([*tried("usual", 10, 30), *perfect])

    (answer,) = {
        (row["arm"], *row["arms_worth_trying"]) for row in learned["routing_recommendations"]
    }
    assert answer == ("usual", "barely", "unpriced", "usual")
    assert {tuple(row["arms"]) for row in learned["escalation_plans"]} == {("usual",)}
    assert {row["arm"] for row in learned["arm_evidence"]} == {"barely", "unpriced", "usual"}


def test_without_an_arm_that_can_be_compared_every_answer_abstains(
    learn: Callable[..., Learned],
) -> None:
    learned = learn(tried("barely", 9, 0))
    assert {row["arm"] for row in learned["routing_recommendations"]} == {None}
    assert {row["reason"] for row in learned["routing_recommendations"]} == {
        "no arm has enough first tries and reported costs yet"
    }
    assert [row["arms"] for row in learned["escalation_plans"]] == [[], []]
    assert_advice(learned, learned.recommender())


def test_without_any_run_there_is_no_row(learn: Callable[..., Learned]) -> None:
    learned = learn([])
    assert all(learned[table] == [] for table in PUBLISHED)


def test_second_tries_count_in_costs_and_in_no_share_of_successes(
    learn: Callable[..., Learned],
) -> None:
    runs = even(20)
    alone = learn(runs)
    later = [
        replace(
            run, attempt=2, arm="worse", success=True, at=run.ended_at, cost=2.0,
            ended_at=run.ended_at + timedelta(minutes=1),
        )
        for run in runs
        if not run.success and run.arm == "better"
    ]  # fmt: skip
    retried = learn([*runs, *later])

    assert shares(retried) == shares(alone)
    for column in ("first_tries", "first_successes", "effective_tries", "success_low"):
        assert [row[column] for row in retried["arm_evidence"]] == [
            row[column] for row in alone["arm_evidence"]
        ]
    (pair,) = (
        row
        for row in retried["arm_pair_evidence"]
        if (row["level"], row["failed_arm"], row["next_arm"]) == ("everything", "better", "worse")
    )
    assert pair["runs"] == len(later) == 40
    assert pair["dependence"] == "measured"
    assert sum(row["cost"] for row in retried["arm_evidence"]) > sum(
        row["cost"] for row in alone["arm_evidence"]
    )


def test_stated_success_is_never_above_that_of_arms_that_fail_each_for_itself(
    learn: Callable[..., Learned],
) -> None:
    for seed in range(3):
        learned = learn(history(seed, 200))
        alone = shares(learned)
        for row in learned["escalation_plans"]:
            failure = math.prod(1 - alone[None, row["task_type"], arm] for arm in row["arms"])
            assert row["success"] <= 1 - failure + 1e-12


def test_erasing_a_task_restores_exactly_what_was(tmp_path: Path, parsed: Refresher) -> None:
    warehouse = Warehouse(tmp_path / "home", parsed)
    warehouse.write(recorded(run) for run in history(8, 60))
    warehouse.run(as_of=AS_OF.isoformat())
    before = warehouse.tables(without=LOAD_COLUMNS)

    (run, *_) = failed("grand")
    group = "8/0"
    warehouse.write([recorded(replace(run, group=group, cost=1e6))])
    warehouse.run(as_of=AS_OF.isoformat())
    assert (
        warehouse.tables(without=LOAD_COLUMNS)["main.arm_evidence"] != before["main.arm_evidence"]
    )

    warehouse.write([TaskErased(task_id=run.task)])
    warehouse.run(as_of=AS_OF.isoformat())

    after = warehouse.tables(without=LOAD_COLUMNS)
    for name in before:
        if "arm" in name or "rout" in name or "escalation" in name or "usual" in name:
            assert after[name] == before[name], name


# -- what data may do -------------------------------------------------------------------------


def test_runs_so_old_that_no_weight_is_left_are_as_none(
    tmp_path: Path, parsed: Refresher, learn: Callable[..., Learned]
) -> None:
    fading = RoutingModels(tmp_path / "home", parsed, AS_OF, evidence_half_life_days=1)
    old = [run for run in even(20) if run.repo in REPOS[:2]]
    long_ago = [replace(run, at=run.at - timedelta(days=60)) for run in old]
    recent = tried("better", 12, 8, kind="new")

    faded, both = learn(long_ago, fading), learn([*long_ago, *recent], fading)

    assert {row["effective_tries"] for row in faded["arm_evidence"]} == {0.0}
    assert {row["cost"] for row in faded["arm_evidence"]} == {None}
    assert {row["is_comparable"] for row in faded["arm_evidence"]} == {False}
    assert {row["success_low"] for row in faded["escalation_plans"]} == {None}
    assert {row["cost"] for row in both["arm_evidence"]} == {1.0}
    for learned in (faded, both):
        assert_advice(learned, learned.recommender())


def test_an_arm_that_seems_better_after_failures_than_alone_is_no_surer_than_alone(
    learn: Callable[..., Learned],
) -> None:
    first = tried("cheap", 360, 240, 0.1)
    later = [
        replace(
            run, attempt=2, arm="big", success=number % 10 > 0, at=run.ended_at, cost=1.0,
            ended_at=run.ended_at + timedelta(minutes=1),
        )
        for number, run in enumerate(run for run in first if not run.success)
    ]  # fmt: skip
    learned = learn([*first, *tried("big", 9, 3), *later])

    alone = shares(learned)
    for row in learned["escalation_plans"]:
        assert row["arms"] == ["cheap", "big"]
        cheap, big = (alone[None, row["task_type"], arm] for arm in row["arms"])
        assert row["success"] == pytest.approx(1 - (1 - cheap) * (1 - big))
        # What is known of it alone, twelve runs, goes into the interval.
        assert row["success_high"] - row["success_low"] > 0.1
    for row in learned["arm_pair_evidence"]:
        if row["next_arm"] == "big":
            assert row["log_odds_drop"] == 0.0
            assert row["success_high"] - row["success_low"] > 0.25
    assert_formulas(learned, learned.rows, Rules(AS_OF))
    assert_advice(learned, learned.recommender())


def test_without_any_pair_arms_are_taken_to_fail_together(learn: Callable[..., Learned]) -> None:
    learned = learn(even(20))

    assert {row["dependence"] for row in learned["arm_pair_evidence"]} == {"assumed"}
    for row in learned["arm_pair_evidence"]:
        assert row["log_odds_drop"] == pytest.approx(1.3)
    assert_formulas(learned, learned.rows, Rules(AS_OF))


def test_every_interval_holds_its_figure_however_little_is_known(
    learn: Callable[..., Learned],
) -> None:
    learned = learn(
        [
            *tried("good", 95, 5, kind="easy"), *tried("good", 1, 300, kind="hard"),
            *tried("weak", 0, 20, kind="easy"), *tried("better", 90, 10, kind="easy"),
            *tried("perfect", 400, 0, kind="easy"), *tried("perfect", 1, 0, kind="hard"),
        ]
    )  # fmt: skip
    for table in ("arm_evidence", "arm_pair_evidence", "escalation_plans"):
        for row in learned[table]:
            assert 0 <= row["success_low"] < row["success"] < row["success_high"] <= 1, row
    assert min(row["success"] for row in learned["arm_evidence"]) < 0.01
    assert_formulas(learned, learned.rows, Rules(AS_OF))


def test_arms_that_cost_nothing_are_known_to_cost_nothing(learn: Callable[..., Learned]) -> None:
    learned = learn([*tried("free", 20, 5, 0.0), *tried("gratis", 15, 10, 0.0)])

    for table in ("arm_evidence", "escalation_plans", "routing_recommendations"):
        figures = {(row["cost"], row["cost_low"], row["cost_high"]) for row in learned[table]}
        assert figures == {(0.0, 0.0, 0.0)}, table
    assert_advice(learned, learned.recommender())
    assert_formulas(learned, learned.rows, Rules(AS_OF))


def test_the_largest_costs_that_an_event_may_have_can_be_summed(
    learn: Callable[..., Learned],
) -> None:
    learned = learn([*tried("dear", 80, 20, 1e9), *tried("dearer", 90, 10, 1e9)])
    assert {row["cost"] for row in learned["arm_evidence"]} == {1e9}


def test_only_so_many_arms_are_looked_at_those_with_most_runs_first(
    learn: Callable[..., Learned],
) -> None:
    runs = [run for n in range(103) for run in tried(f"arm{n:03}", 1, 1 + (n > 5))]
    names = {row["arm"] for row in learn(runs)["arm_evidence"]}
    assert names == {f"arm{n:03}" for n in range(103) if n not in (3, 4, 5)}
