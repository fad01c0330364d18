"""Tasks one after another: who knows nothing asks, tries in turn, and learns what came of it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from statistics import fmean

from report import seeded
from routing_data import Figures, TaskSet, mean_of
from routing_models import Learner, Run

REFRESH = 25
"""Tasks between two refreshes, and tasks of a day."""

EXPLORE = 0.1


def lived(
    learner: Learner, tasks: TaskSet, arms: Sequence[str], seed: int, value: float
) -> list[Figures]:
    """Give all tasks to some arms in a random order, as advised, and return what came of each.

    While advice abstains the host draws one of its arms.
    """
    chance = seeded(f"stream {seed}")
    random.seed(f"explore {seed}")  # what the recommender draws with
    order = list(tasks.tasks)
    chance.shuffle(order)
    log: list[Run] = []
    came: list[Figures] = []
    recommender = None
    for number, task in enumerate(order):
        day = number // REFRESH
        if log and number % REFRESH == 0:
            recommender = learner.learn(log, days=day)
        plan: Sequence[str] = ()
        if recommender:
            plan = recommender.recommend_escalation(
                task.task_type, task.repo, success_value_usd=value, explore=EXPLORE, arms=arms
            ).arms
        tried = plan or [chance.choice(arms)]
        cost = 0.0
        for attempt, arm in enumerate(tried, 1):
            outcome = tasks.outcomes[task][arm]
            log.append(Run(task.name, arm, attempt, tried[0] if attempt > 1 else "", day))
            cost += outcome.cost
            if outcome.success:
                break
        came.append(Figures(outcome.success, cost))
    return came


def stage(lives: Sequence[Sequence[Figures]], first: int, last: int | None) -> Figures:
    """Return what came of the tasks of those numbers, over several lives."""
    return mean_of(figures for life in lives for figures in life[first:last])


def spread(lives: Sequence[Sequence[Figures]], first: int) -> float:
    """Return the standard error of the success of the tasks from a number on, in points."""
    shares = [100 * mean_of(life[first:]).success for life in lives]
    middle = fmean(shares)
    return (sum((share - middle) ** 2 for share in shares) / max(len(shares) - 1, 1)) ** 0.5 / len(
        shares
    ) ** 0.5
