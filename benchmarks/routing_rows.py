"""The rows of the benchmark of advice, on tasks that the log does not hold."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from report import table
from routing_data import Figures, mean_of
from routing_models import Learner, Wanted
from routing_online import EXPLORE, REFRESH, lived, spread, stage
from routing_picture import draw
from routing_trials import HEADER, Against, Line, Way, bounds, compared, cross_validated

PICTURE = Path(__file__).parents[1] / "docs" / "img" / "routing.svg"
FRONTIER = (2.5, 5.0, 10.0, 20.0, 40.0, 80.0)
"""What a success is worth, USD: each makes another trade of success for cost."""


def all_arms(wanted: Wanted) -> list[str]:
    """Orders and single choices among all arms, beside what needs no advice."""
    tasks = wanted.tasks
    orders = {value: Way("order", value) for value in FRONTIER}
    choices = {value: Way("choice", value) for value in FRONTIER}
    ways = [*orders.values(), *choices.values()]
    best = tasks.constant(tasks.best(tasks.arms))
    seeds = range(wanted.seeds["arms"])
    came = compared(
        ((cross_validated(wanted.learner, tasks, tasks.arms, ways, seed), best) for seed in seeds),
        ways,
    )
    constants = [(arm, tasks.constant(arm)) for arm in tasks.arms]
    draw(
        PICTURE,
        {value: _mean(came[way]) for value, way in orders.items()},
        {value: _mean(came[way]) for value, way in choices.items()},
        constants,
        tasks.oracle(),
    )
    half = (best.success + tasks.oracle().success) / 2
    lines = [
        _order_line(came[orders[10.0]], "all arms, order, V = 10", 0.0, 0.30),
        _order_line(came[orders[40.0]], "all arms, order, V = 40", 1.5, 0.40),
        _choice_line(came[choices[40.0]], "all arms, one choice, V = 40", -1.0, -0.35),
    ]
    return [
        f"Mean of {len(seeds)} deals into 5 folds by issue, beside the best constant arm in"
        f" hindsight ({best} USD). V: what a success is worth, USD. Half the way from it to the"
        f" oracle would be {half:.1%}.",
        "",
        *table(
            ["", *HEADER],
            [
                *([f"order, V = {value:g}", *came[way].cells()] for value, way in orders.items()),
                *([f"one, V = {value:g}", *came[way].cells()] for value, way in choices.items()),
            ],
        ),
        "",
        *bounds(lines),
        "",
        "Without advice, all tasks:",
        "",
        *table(
            ["", "success", "USD a task"],
            [
                [name, f"{figures.success:.1%}", f"{figures.cost:.2f}"]
                for name, figures in [
                    ("oracle: the cheapest arm that solves the task", tasks.oracle()),
                    ("best arm of each task type in hindsight", tasks.best_by_type()),
                    ("random", mean_of(figures for _, figures in constants)),
                    ("cheapest arm", min((one for _, one in constants), key=lambda f: f.cost)),
                    ("dearest arm", max((one for _, one in constants), key=lambda f: f.cost)),
                    *sorted(
                        ((arm.replace("|", "\\|"), one) for arm, one in constants),
                        key=lambda pair: -pair[1].success,
                    ),
                ]
            ],
        ),
    ]


def _mean(against: Against) -> Figures:
    return mean_of(came.figures for came in against.came)


def _order_line(against: Against, what: str, points: float, ratio: float) -> Line:
    optimism = [abs(gap) for gap in against.optimism]
    return Line(
        what,
        f"{points:+.1f} points at ≤ {ratio:.2f} of the cost; stated within 3.5",
        f"{fmean(against.points):+.1f} (worst {min(against.points):+.1f}) at"
        f" {fmean(against.ratios):.2f} (worst {max(against.ratios):.2f}); stated"
        f" {fmean(against.optimism):+.1f} (worst {max(optimism):.1f})",
        fmean(against.points) >= points and fmean(against.ratios) <= ratio and max(optimism) <= 3.5,
    )


def _choice_line(against: Against, what: str, points: float, cost: float) -> Line:
    return Line(
        what,
        f"{points:+.1f} points at {cost:+.0%} cost",
        f"{fmean(against.points):+.1f} at {against.ratio_of_means - 1:+.0%}",
        fmean(against.points) >= points and against.ratio_of_means - 1 <= cost,
    )


def portfolios(wanted: Wanted) -> list[str]:
    """Orders and single choices among eight arms."""
    tasks = wanted.tasks
    ways = {
        "order, V = 8": Way("order", 8.0),
        "order, V = 10": Way("order", 10.0),
        "order, V = 40": Way("order", 40.0),
        "order, V = 8, noisy": Way("order", 8.0, noticed=0.8, alarms=0.05),
        "order, V = 10, noisy": Way("order", 10.0, noticed=0.8, alarms=0.05),
        "one, V = 40": Way("choice", 40.0),
    }
    count = wanted.seeds["portfolios"]
    came = compared(
        (
            (
                cross_validated(wanted.learner, tasks, arms, list(ways.values()), seed),
                tasks.constant(tasks.best(arms)),
            )
            for seed in range(count)
            for arms in [tasks.portfolio(seed)]
        ),
        list(ways.values()),
    )
    order, noisy, one = (
        came[ways[name]] for name in ("order, V = 8", "order, V = 8, noisy", "one, V = 40")
    )
    lines = [
        Line(
            "8 arms, order, V = 8",
            "+2 points at -55 % cost; ≥ -2 points in 95 %",
            f"{fmean(order.points):+.1f} at {order.ratio_of_means - 1:+.0%} (mean of ratios"
            f" {fmean(order.ratios) - 1:+.0%}); {order.share_not_worse:.0%}",
            fmean(order.points) >= 2
            and order.ratio_of_means <= 0.45
            and order.share_not_worse >= 0.95,
        ),
        Line(
            "the same, 80 % of failures noticed, 5 % false alarms",
            "-0.5 points",
            f"{fmean(noisy.points):+.2f} at {noisy.ratio_of_means - 1:+.0%}",
            fmean(noisy.points) >= -0.5,
        ),
        Line(
            "8 arms, one choice, V = 40",
            "-0.5 points at -18 % cost; ≥ -2 points in 90 %",
            f"{fmean(one.points):+.2f} at {one.ratio_of_means - 1:+.0%} (mean of ratios"
            f" {fmean(one.ratios) - 1:+.0%}); {one.share_not_worse:.0%}",
            fmean(one.points) >= -0.5 and one.ratio_of_means <= 0.82 and one.share_not_worse >= 0.9,
        ),
    ]
    return [
        f"{count} random portfolios of 8 arms, each with its own deal into 5 folds by issue, beside"
        " the portfolio's best arm in hindsight. Noisy: 80 % of the failures are noticed, and 5 %"
        " of the successes taken for failures.",
        "",
        *table(["", *HEADER], [[name, *came[way].cells()] for name, way in ways.items()]),
        "",
        *bounds(lines),
    ]


def thin(wanted: Wanted) -> list[str]:
    """Logs that hold few arms of each task."""
    tasks, count = wanted.tasks, wanted.seeds["thin"]
    ways = {"one": Way("choice"), "order, repository not said": Way("order", by_repo=False)}
    reference = Way("reference")
    rows, lines = [], []
    for arms_a_task in (3, 1):
        runs = [
            cross_validated(
                wanted.learner, tasks, tasks.portfolio(f"thin {seed}"),
                [*ways.values(), reference], f"thin {seed}", arms_a_task=arms_a_task,
            )
            for seed in range(count)
        ]  # fmt: skip
        came = compared(
            ((run, run[reference].figures) for run in runs),
            list(ways.values()),
        )
        rows += [
            [f"{arms_a_task} a task, {name}", *came[way].cells()] for name, way in ways.items()
        ]
        points = came[ways["one"]].points
        lines.append(
            Line(
                f"8 arms, each task run by {arms_a_task}, one choice",
                "-0.5 points; none below -10",
                f"{fmean(points):+.2f}; worst {min(points):+.1f}",
                fmean(points) >= -0.5 and min(points) >= -10,
            )
        )
    return [
        f"{count} random portfolios of 8 arms, V = 40, beside the reference arm that is picked"
        " from the same log.",
        "",
        *table(["", *HEADER], rows),
        "",
        *bounds(lines),
    ]


def online(wanted: Wanted) -> list[str]:
    """Cold starts."""
    tasks, count = wanted.tasks, wanted.seeds["online"]
    learner = Learner(wanted.home, {})
    rows, lines = [], []
    for name, arms in [
        ("the two newest arms of each tier (blind to outcomes)", tasks.newest),
        ("eight along the frontier (chosen in hindsight)", tasks.along_frontier()),
    ]:
        best = tasks.constant(tasks.best(arms))
        for value in (40.0, 20.0):
            lives = [lived(learner, tasks, arms, seed, value) for seed in range(count)]
            early, late = stage(lives, 100, 300), stage(lives, 500, None)
            rows.append(
                [
                    f"{name}, V = {value:g}",
                    *(
                        str(stage(lives, first, last))
                        for first, last in ((0, 100), (100, 300), (300, 500), (500, None))
                    ),
                    f"{spread(lives, 500):.1f}",
                    str(best),
                ]
            )
            lines.append(
                Line(
                    f"online, {name}, V = {value:g}",
                    "87 % in tasks 100-300; 90 % at ≤ 1.20 from 500 on",
                    f"{early.success:.1%}; {late}",
                    early.success >= 0.87 and late.success >= 0.9 and late.cost <= 1.2,
                )
            )
    return [
        f"Cold start with 8 arms, {count} orders of the tasks, a refresh and a new day every"
        f" {REFRESH} tasks, window and half-life at their defaults, explore {EXPLORE}. The host"
        " names its arms, tries them in the advised order, and draws one evenly while advice"
        " abstains. Success and USD a task by the number of the task; the standard error is of the"
        " success from 500 on, in points.",
        "",
        *table(
            ["", "0-100", "100-300", "300-500", "500-", "standard error", "best arm, hindsight"],
            rows,
        ),
        "",
        *bounds(lines),
    ]
