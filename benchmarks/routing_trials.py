"""Advice on tasks that its log does not hold: in order to try, and one arm alone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from report import seeded, table
from routing_data import Figures, Task, TaskSet, come_of, mean_of
from routing_models import Learner, Run

from orb_learning.serving import Recommender

Answer = tuple[tuple[str, ...], float]
"""The arms to try, and the success that is expected of them."""


@dataclass(frozen=True)
class Way:
    """A way to use advice.

    Attributes:
        rule: `order`, `choice`, or `reference`: always the arm that the others are compared with.
        value: USD that a success is worth.
        by_repo: whether the repository is said too.
        noticed: share of the failures that are noticed.
        alarms: share of the successes that are taken for failures.
    """

    rule: str
    value: float = 40.0
    by_repo: bool = True
    noticed: float = 1.0
    alarms: float = 0.0

    def ask(self, recommender: Recommender, task: Task) -> Answer:
        """Return what is advised."""
        repo = task.repo if self.by_repo else None
        if self.rule == "order":
            plan = recommender.recommend_escalation(
                task.task_type, repo, success_value_usd=self.value
            )
            return plan.arms, plan.success or 0.0
        one = recommender.recommend(task.task_type, repo, success_value_usd=self.value)
        arm = one.arm if self.rule == "choice" else one.reference_arm
        assert arm is not None, one.reason
        return (arm,), one.success or 0.0


@dataclass(frozen=True)
class Came:
    """What came of a way over all tasks, each asked of a log without it.

    Attributes:
        figures: success and cost.
        stated: the success that the advice expected.
    """

    figures: Figures
    stated: float


def cross_validated(
    learner: Learner,
    tasks: TaskSet,
    arms: Sequence[str],
    ways: Sequence[Way],
    seed: int | str,
    *,
    arms_a_task: int | None = None,
) -> dict[Way, Came]:
    """Learn from all folds but one and ask for that one's tasks, each fold in turn.

    Args:
        learner: builds the models of a log.
        tasks: all tasks.
        arms: those that the log knows.
        ways: how the advice is used.
        seed: deals the folds, and draws the arms of a task.
        arms_a_task: how many of them ran each task; default all.
    """
    chance = seeded(f"log {seed}")
    ran = {task: chance.sample(arms, arms_a_task or len(arms)) for task in tasks.tasks}
    came: dict[Way, list[Figures]] = defaultdict(list)
    stated: dict[Way, list[float]] = defaultdict(list)
    for fold in tasks.folds(seed):
        held_out = set(fold)
        log = [Run(task.name, arm) for task in tasks.tasks if task not in held_out
               for arm in ran[task]]  # fmt: skip
        recommender = learner.learn(log)
        answers: dict[tuple[str, float, str, str], Answer] = {}
        for task in fold:
            for way in ways:
                key = (way.rule, way.value, task.task_type, task.repo if way.by_repo else "")
                if key not in answers:
                    answers[key] = way.ask(recommender, task)
                plan, success = answers[key]
                outcomes = tasks.outcomes[task]
                came[way].append(come_of(plan, outcomes, way.noticed, way.alarms))
                stated[way].append(success)
    return {way: Came(mean_of(came[way]), fmean(stated[way])) for way in ways}


@dataclass(frozen=True)
class Against:
    """Several runs of one way, each beside what it is compared with.

    Attributes:
        came: of each run.
        base: of the arm that it is compared with, in the same run.
    """

    came: Sequence[Came]
    base: Sequence[Figures]

    @property
    def points(self) -> list[float]:
        """Percentage points of success more than the base, of each run."""
        return [
            100 * (came.figures.success - base.success)
            for came, base in zip(self.came, self.base, strict=True)
        ]

    @property
    def ratios(self) -> list[float]:
        """How many times the base's cost, of each run."""
        return [
            came.figures.cost / base.cost for came, base in zip(self.came, self.base, strict=True)
        ]

    @property
    def ratio_of_means(self) -> float:
        """How many times the base's cost all runs cost together."""
        return fmean(came.figures.cost for came in self.came) / fmean(
            base.cost for base in self.base
        )

    @property
    def optimism(self) -> list[float]:
        """Percentage points that the stated success is above what came, of each run."""
        return [100 * (came.stated - came.figures.success) for came in self.came]

    @property
    def share_not_worse(self) -> float:
        """Share of the runs that are not more than two points below the base."""
        return fmean(points >= -2 for points in self.points)

    def cells(self) -> list[str]:
        """Return the cells of a table that `HEADER` heads."""
        points = sorted(self.points)
        return [
            str(mean_of(came.figures for came in self.came)),
            str(mean_of(self.base)),
            f"{fmean(points):+.2f}",
            f"{points[math.floor(0.05 * len(points))]:+.1f}",
            f"{points[0]:+.1f}",
            f"{self.share_not_worse:.0%}",
            f"{fmean(self.ratios) - 1:+.0%}",
            f"{self.ratio_of_means - 1:+.0%}",
            f"{fmean(self.optimism):+.1f}",
        ]


HEADER = [
    "came",
    "compared with",
    "points",
    "p5",
    "worst",
    "≥ -2",
    "cost, mean of ratios",
    "cost, ratio of means",
    "stated - came",
]


def compared(
    runs: Iterable[tuple[dict[Way, Came], Figures]], ways: Sequence[Way]
) -> dict[Way, Against]:
    """Sort what came of several runs, each beside its base, by way."""
    found = list(runs)
    bases = [base for _, base in found]
    return {way: Against([came[way] for came, _ in found], bases) for way in ways}


@dataclass(frozen=True)
class Line:
    """One bound.

    Attributes:
        what: which row it is of.
        bound: what was aimed at.
        figure: what was reached.
        is_met: whether that is enough.
    """

    what: str
    bound: str
    figure: str
    is_met: bool

    def cells(self) -> list[str]:
        """Return the cells of a table of bounds."""
        return [self.what, self.bound, self.figure, "met" if self.is_met else "MISSED"]


def bounds(lines: Sequence[Line]) -> list[str]:
    """Return the lines of a table of bounds."""
    return table(["bound", "at least", "reached", ""], [line.cells() for line in lines])
