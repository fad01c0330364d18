"""The real runs that advice is tried on: which arm solved which task, and what it cost."""

from __future__ import annotations

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from report import seeded

RUNS = Path(__file__).parents[2] / "shared" / "data" / "openhands_runs.jsonl.gz"
DAY = "2026-06-15"
"""The one day that all runs are set to, so that none counts less than another."""

FOLDS = 5


@dataclass(frozen=True)
class Task:
    """A task that every arm of the set ran once.

    Attributes:
        name: its benchmark and instance.
        issue: the instance, which tasks of two benchmarks may share.
    """

    name: str
    issue: str
    task_type: str
    repo: str


@dataclass(frozen=True)
class Figures:
    """What tasks came to: the share of them that succeeded, and USD a task."""

    success: float
    cost: float

    def __str__(self) -> str:
        return f"{self.success:.1%} at {self.cost:.2f}"


def mean_of(figures: Iterable[Figures]) -> Figures:
    """Return the means of several."""
    found = list(figures)
    return Figures(fmean(one.success for one in found), fmean(one.cost for one in found))


Outcomes = Mapping[str, Figures]
"""What each arm made of one task."""


@dataclass(frozen=True)
class TaskSet:
    """The tasks that all comparable arms ran.

    Attributes:
        arms: agent and model of each, sorted.
        tasks: by name.
        outcomes: of each task. A cost that was not reported is the mean of the arm's and type's.
        rows: the same runs as they are imported: an arm is a tier, a task a group.
        newest: two arms of each tier of models, those with the newest runs.
    """

    arms: list[str]
    tasks: list[Task]
    outcomes: dict[Task, Outcomes]
    rows: list[dict[str, Any]]
    newest: list[str]

    def folds(self, seed: int | str) -> list[list[Task]]:
        """Deal the tasks to as many parts as there are folds, those of one issue to one."""
        issues = sorted({task.issue for task in self.tasks})
        seeded(f"folds {seed}").shuffle(issues)
        fold = {issue: number % FOLDS for number, issue in enumerate(issues)}
        parts: list[list[Task]] = [[] for _ in range(FOLDS)]
        for task in self.tasks:
            parts[fold[task.issue]].append(task)
        return parts

    def portfolio(self, seed: int | str) -> list[str]:
        """Return eight arms, whatever they did."""
        return sorted(seeded(f"portfolio {seed}").sample(self.arms, 8))

    def constant(self, arm: str) -> Figures:
        """Return what comes of giving every task to one arm."""
        return mean_of(self.outcomes[task][arm] for task in self.tasks)

    def best(self, arms: Sequence[str]) -> str:
        """Return the arm of most successes in hindsight."""
        return max(arms, key=lambda arm: _by_success(self.constant(arm)))

    def frontier(self) -> list[str]:
        """Return the arms that no cheaper one equals in hindsight, the cheapest first."""
        kept: list[str] = []
        for arm in sorted(self.arms, key=lambda arm: self.constant(arm).cost):
            if not kept or self.constant(arm).success > self.constant(kept[-1]).success:
                kept.append(arm)
        return kept

    def along_frontier(self, count: int = 8) -> list[str]:
        """Return so many arms of the frontier, spread evenly; what they did has chosen them."""
        arms = self.frontier()
        steps = [round(place * (len(arms) - 1) / (count - 1)) for place in range(count)]
        return sorted(arms[step] for step in steps)

    def best_by_type(self) -> Figures:
        """Return what comes of giving each type's tasks to its best arm in hindsight."""
        by_type: dict[str, list[Task]] = defaultdict(list)
        for task in self.tasks:
            by_type[task.task_type].append(task)
        done: list[Figures] = []
        for tasks in by_type.values():
            of_arm = [[self.outcomes[task][arm] for task in tasks] for arm in self.arms]
            done += max(of_arm, key=lambda figures: _by_success(mean_of(figures)))
        return mean_of(done)

    def oracle(self) -> Figures:
        """Return what comes of giving each task to the cheapest arm that solves it."""
        return mean_of(
            min(outcomes.values(), key=lambda outcome: (-outcome.success, outcome.cost))
            for outcomes in self.outcomes.values()
        )


def _by_success(figures: Figures) -> tuple[float, float]:
    return figures.success, -figures.cost


def come_of(
    plan: Sequence[str], outcomes: Outcomes, noticed: float = 1.0, alarms: float = 0.0
) -> Figures:
    """Return what is expected of trying arms in turn until one seems to succeed.

    Args:
        plan: the arms; the last result is delivered.
        outcomes: what each makes of the task.
        noticed: share of the failures that are noticed.
        alarms: share of the successes that are taken for failures.
    """
    reached, success, cost = 1.0, 0.0, 0.0
    for number, arm in enumerate(plan, 1):
        outcome = outcomes[arm]
        cost += reached * outcome.cost
        on = alarms if outcome.success else noticed
        on = on if number < len(plan) else 0.0
        success += reached * (1 - on) * outcome.success
        reached *= on
    return Figures(success, cost)


def read_tasks(path: Path = RUNS) -> TaskSet:
    """Read the runs and keep what can be compared.

    An arm is one if half of its runs report a cost and it ran 95 % of the tasks; a task is one if
    all those arms ran it.
    """
    with gzip.open(path, "rt") as lines:
        rows = [json.loads(line) for line in lines]
    by_arm: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in rows:
        about = row["metadata"]
        task = f"{about['benchmark']} {about['instance_id']}"
        by_arm[f"{about['agent']}|{about['model']}"][task] = row
    every_task = {task for runs in by_arm.values() for task in runs}
    arms = sorted(
        arm
        for arm, runs in by_arm.items()
        if 2 * sum(row["actual_cost"] is not None for row in runs.values()) >= len(runs)
        and len(runs) >= 0.95 * len(every_task)
    )
    names = sorted(set.intersection(*(set(by_arm[arm]) for arm in arms)))
    first = by_arm[arms[0]]
    tasks = [
        Task(name, first[name]["metadata"]["instance_id"], first[name]["task_type"],
             first[name]["repo"])
        for name in names
    ]  # fmt: skip
    newest = defaultdict(list)
    for arm in arms:
        runs = by_arm[arm].values()
        newest[next(iter(runs))["model_tier"]].append((max(row["timestamp"] for row in runs), arm))
    return TaskSet(
        arms,
        tasks,
        _outcomes(tasks, {arm: by_arm[arm] for arm in arms}),
        [
            by_arm[arm][name]
            | {"timestamp": f"{DAY}T00:00:00Z", "model_tier": arm, "task_group": name}
            for arm in arms
            for name in names
        ],
        sorted(arm for of_tier in newest.values() for _, arm in sorted(of_tier)[-2:]),
    )


def _outcomes(
    tasks: Sequence[Task], by_arm: Mapping[str, Mapping[str, dict[str, Any]]]
) -> dict[Task, Outcomes]:
    usual: dict[tuple[str, str], list[float]] = defaultdict(list)
    for arm, runs in by_arm.items():
        for task in tasks:
            if (cost := runs[task.name]["actual_cost"]) is not None:
                usual[arm, task.task_type].append(cost)

    def outcome(arm: str, task: Task) -> Figures:
        row = by_arm[arm][task.name]
        cost = row["actual_cost"]
        if cost is None:
            cost = fmean(usual[arm, task.task_type])
        return Figures(float(row["success"]), cost)

    return {task: {arm: outcome(arm, task) for arm in by_arm} for task in tasks}
