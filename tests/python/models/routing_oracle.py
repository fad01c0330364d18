"""What the models say of arms, in plain Python: written from the formulas, not from the SQL."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise, permutations
from statistics import fmean, median
from uuid import UUID

Z = 1.96
Cell = tuple[str | None, str | None]
"""A repository and a task type; None where the level is above it."""


@dataclass(frozen=True)
class Run:
    """One execution.

    Attributes:
        arm: None where it is unknown.
        cost: USD that were reported.
        estimate: USD that were estimated; counts only where no cost was reported.
    """

    task: UUID
    repo: str
    task_type: str
    arm: str | None
    success: bool
    at: datetime
    ended_at: datetime
    attempt: int = 1
    cost: float | None = None
    estimate: float | None = None
    duration: float | None = None
    quality: int | None = None
    group: str | None = None


@dataclass(frozen=True)
class Rules:
    """The vars."""

    as_of: date
    window_days: int | None = 90
    half_life_days: float | None = 60
    min_tries: int = 10
    min_costs: int = 5
    value: float = 40

    def holds(self, day: date) -> bool:
        age = (self.as_of - day).days
        return age >= 0 and (self.window_days is None or age <= self.window_days)

    def weight(self, day: date) -> float:
        half_life = self.half_life_days
        return 1.0 if half_life is None else 2 ** (-(self.as_of - day).days / half_life)


def lg(share: float) -> float:
    return math.log(share / (1 - share))


def sg(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def within(value: float, least: float, most: float) -> float:
    return min(max(value, least), most)


def cl(share: float) -> float:
    return within(share, 0.02, 0.98)


def bounded(share: float) -> float:
    return within(share, 0.01, 0.99)


# -- what was seen ----------------------------------------------------------------------------


@dataclass
class Sums:
    """What was seen of an arm in a cell: counts of runs as they are, weighted sums beside."""

    counts: Counter[str] = field(default_factory=Counter)
    weighted: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    last_seen: datetime | None = None

    def add(self, run: Run, weight: float, is_outlier: bool) -> None:
        counted = {
            "runs": True,
            "first_tries": run.attempt == 1,
            "first_successes": run.attempt == 1 and run.success,
            "costed": run.cost is not None,
            "cost_outliers": run.cost is not None and is_outlier,
            "estimated": run.cost is None and run.estimate is not None,
        }
        self.counts.update(name for name, is_so in counted.items() if is_so)
        if run.attempt == 1:
            self.weighted["n"] += weight
            self.weighted["s"] += weight * run.success
        if run.cost is not None and not is_outlier:
            self.weighted["cost_n"] += weight
            self.weighted["cost"] += weight * run.cost
            self.weighted["cost_square"] += weight * run.cost**2
        for name in ("duration", "quality"):
            if (value := getattr(run, name)) is not None:
                self.weighted[f"{name}_n"] += weight
                self.weighted[name] += weight * value
        self.last_seen = max(run.at, self.last_seen or run.at)


@dataclass(frozen=True)
class Known:
    """What is expected of an arm in a cell."""

    sums: Sums
    success: float
    variance: float
    cost: float | None
    cost_variance: float | None
    duration: float | None
    quality: float | None
    is_comparable: bool


@dataclass(frozen=True)
class After:
    """What is expected of an arm after the failure of another."""

    runs: int
    tries: float
    dependence: str
    drop: float
    success: float
    variance: float
    factor: float


Evidence = dict[Cell, dict[str, Known]]
Pairs = dict[str | None, dict[tuple[str, str], After]]


def usual_costs(runs: Iterable[Run], rules: Rules) -> dict[tuple[str, str], float]:
    """Return what a run of an arm in a task type usually costs."""
    of_type, of_arm = defaultdict(list), defaultdict(list)
    for run in runs:
        if run.cost and rules.holds(run.at.date()):
            of_type[run.task_type].append(run.cost)
            if run.arm:
                of_arm[run.task_type, run.arm].append(run.cost)
    return {
        (kind, arm): max(median(of_type[kind]), median(costs) if len(costs) >= 5 else 0)
        for (kind, arm), costs in of_arm.items()
    }


def is_outlier(cost: float | None, usual: float | None) -> bool:
    return cost is not None and usual is not None and cost > 200 * usual


def sums_of(runs: Iterable[Run], rules: Rules) -> dict[Cell, dict[str, Sums]]:
    runs = list(runs)
    usual = usual_costs(runs, rules)
    seen: defaultdict[Cell, defaultdict[str, Sums]] = defaultdict(lambda: defaultdict(Sums))
    for run in runs:
        if run.arm and rules.holds(run.at.date()):
            outlier = is_outlier(run.cost, usual.get((run.task_type, run.arm)))
            for cell in ((None, None), (None, run.task_type), (run.repo, run.task_type)):
                seen[cell][run.arm].add(run, rules.weight(run.at.date()), outlier)
    arms = sorted(seen[None, None])
    return {cell: {arm: found[arm] for arm in arms} for cell, found in seen.items() if arms}


# -- what is expected -------------------------------------------------------------------------


def strength(rows: Iterable[tuple[float, float, float]], usual: float, least: float) -> float:
    """Return how many runs the expected share is worth; rows are tries, successes, expected."""
    top, bottom = 200 * usual, 200.0
    for n, s, q in rows:
        share = bounded(q)
        top += (s - n * share) ** 2 - n * share * (1 - share)
        bottom += max(n - 1, 0) * n * share * (1 - share)
    return 1 / within(top / bottom, least, 1 / 3) - 1


Shares = dict[tuple[Cell, str], tuple[float, float]]


def shares_of(seen: dict[Cell, dict[str, Sums]]) -> Shares:
    """Return the expected share of successes and its variance, by cell and arm."""
    n = {(cell, arm): sums.weighted["n"] for cell, of in seen.items() for arm, sums in of.items()}
    s = {(cell, arm): sums.weighted["s"] for cell, of in seen.items() for arm, sums in of.items()}
    every: Cell = (None, None)
    arms = list(seen[every])
    types = [cell for cell in seen if cell[0] is None and cell[1] is not None]
    mean = (sum(s[every, a] / (n[every, a] + 20) for a in arms) + 0.05) / (
        sum(n[every, a] / (n[every, a] + 20) for a in arms) + 0.1
    )
    total_n = {t: sum(n[t, a] for a in arms) for t in types}
    total_s = {t: sum(s[t, a] for a in arms) for t in types}
    of_type = {t: (total_s[t] + 5 * mean) / (total_n[t] + 5) for t in types}
    for _ in range(2):
        all_n = sum(total_n.values())
        mix = sum(total_n[t] * of_type[t] for t in types) / all_n if all_n else 0.0
        fair = {
            a: max(s[every, a] - sum(n[t, a] * of_type[t] for t in types) + n[every, a] * mix, 0.0)
            for a in arms
        }
        k = strength(((n[every, a], fair[a], mean) for a in arms), 0.05, 0.03)
        of_arm = {a: cl((fair[a] + k * mean) / (n[every, a] + k)) for a in arms}
        promised = {t: sum(n[t, a] * of_arm[a] for a in arms) for t in types}
        of_type = {
            t: sg(
                lg(mean)
                + lg(cl((total_s[t] + 5 * mean) / (total_n[t] + 5)))
                - lg(cl((promised[t] + 5 * mean) / (total_n[t] + 5)))
            )
            for t in types
        }
    found: Shares = {
        (every, a): (of_arm[a], of_arm[a] * (1 - of_arm[a]) / (n[every, a] + k + 1)) for a in arms
    }

    def shrink(cells: list[Cell], expected: Shares, usual: float, least: float) -> None:
        """Believe the cells; what is expected of them comes with their parents' variance."""
        keys = [(cell, a) for cell in cells for a in arms]
        k = strength(((n[key], s[key], expected[key][0]) for key in keys), usual, least)
        for key in keys:
            q, above = expected[key]
            p = (s[key] + k * q) / (n[key] + k)
            own = p * (1 - p) / (n[key] + k + 1)
            found[key] = p, own + (k / (n[key] + k)) ** 2 * above

    priors = {
        (t, a): (sg(lg(of_arm[a]) + lg(cl(of_type[t])) - lg(cl(mean))), found[every, a][1])
        for t in types
        for a in arms
    }
    shrink(types, priors, 0.02, 0.01)

    repos = [cell for cell in seen if cell[0] is not None]
    priors = {}
    for cell in repos:
        above = {a: found[(None, cell[1]), a] for a in arms}
        tries, successes = sum(n[cell, a] for a in arms), sum(s[cell, a] for a in arms)
        expected = sum(n[cell, a] * above[a][0] for a in arms)
        middle = fmean(above[a][0] for a in arms)
        shift = lg(cl((successes + 10 * middle) / (tries + 10))) - lg(
            cl((expected + 10 * middle) / (tries + 10))
        )
        priors |= {(cell, a): (sg(lg(above[a][0]) + shift), above[a][1]) for a in arms}
    shrink(repos, priors, 0.005, 0.0025)
    return found


Means = dict[tuple[Cell, str], float | None]


def means_of(seen: dict[Cell, dict[str, Sums]], name: str) -> tuple[Means, Means]:
    """Return what a run is expected to cost, take or be scored, and how much that is worth."""
    every: Cell = (None, None)
    arms = list(seen[every])
    squares = rests = 0.0
    for cell, of in seen.items():
        for sums in of.values():
            is_of_type = cell[0] is None and cell[1] is not None
            if is_of_type and sums.counts["costed"] - sums.counts["cost_outliers"] >= 2:
                runs, total = sums.weighted["cost_n"], sums.weighted["cost"]
                squares += total**2 / runs
                rests += max(sums.weighted["cost_square"] - total**2 / runs, 0.0)
    spread = rests / squares if squares else 1.0
    all_runs = sum(sums.weighted[f"{name}_n"] for sums in seen[every].values())
    if not all_runs:
        nothing: Means = {(cell, arm): None for cell in seen for arm in arms}
        return nothing, nothing
    means: Means = {}
    variances: Means = {}
    start = sum(sums.weighted[name] for sums in seen[every].values()) / all_runs
    for cell in sorted(seen, key=lambda cell: (cell[0] is not None, cell[1] is not None)):
        above: Cell | None = None if cell == every else (None, cell[1]) if cell[0] else every
        prior = {a: start if above is None else means[above, a] or 0.0 for a in arms}
        prior_variance = {a: 0.0 if above is None else variances[above, a] or 0.0 for a in arms}
        usual = 5 * fmean(prior.values())
        runs_of = {a: seen[cell][a].weighted[f"{name}_n"] for a in arms}
        promised = sum(runs_of[a] * prior[a] for a in arms) + usual
        came = sum(seen[cell][a].weighted[name] for a in arms) + usual
        factor = came / promised if promised else 1.0
        k = 5 if above is None else 10
        for a in arms:
            mean = (seen[cell][a].weighted[name] + k * prior[a] * factor) / (runs_of[a] + k)
            means[cell, a] = mean
            variances[cell, a] = (
                spread * mean**2 / (runs_of[a] + k)
                + (k * factor / (runs_of[a] + k)) ** 2 * prior_variance[a]
            )
    return means, variances


def evidence(runs: Iterable[Run], rules: Rules) -> Evidence:
    seen = sums_of(runs, rules)
    if not seen:
        return {}
    shares = shares_of(seen)
    costs, cost_variances = means_of(seen, "cost")
    durations, qualities = means_of(seen, "duration")[0], means_of(seen, "quality")[0]
    overall = {arm: sums.counts for arm, sums in seen[None, None].items()}
    comparable = {
        arm
        for arm, counts in overall.items()
        if counts["first_tries"] >= rules.min_tries
        and counts["costed"] - counts["cost_outliers"] >= rules.min_costs
    }
    return {
        cell: {
            arm: Known(
                sums,
                *shares[cell, arm],
                costs[cell, arm],
                cost_variances[cell, arm],
                durations[cell, arm],
                qualities[cell, arm],
                arm in comparable and costs[cell, arm] is not None,
            )
            for arm, sums in of.items()
        }
        for cell, of in seen.items()
    }


def share_interval(share: float, variance: float) -> tuple[float, float]:
    """Return the ends of where a share lies: Paulson's approximation to a Beta's quantiles.

    They solve d r^2 - 2 x y r + c = 0 for r, the cube root of the odds beside those of the mean.
    """
    runs = share * (1 - share) / variance - 1
    a, b = max(share * runs, 0.1), max((1 - share) * runs, 0.1)
    x, y, p, q = 1 - 1 / (9 * a), 1 - 1 / (9 * b), 1 / (9 * a), 1 / (9 * b)
    c, d = max(x**2 - Z**2 * p, 0), y**2 - Z**2 * q
    larger = x * y + Z * math.sqrt(max(x**2 * q + y**2 * p - Z**2 * p * q, 0))
    low = (c / larger) ** 3
    high = (larger / d) ** 3 if d > 0 else math.inf
    return a * low / (a * low + b), a * high / (a * high + b) if high < math.inf else 1.0


# -- how arms fail together -------------------------------------------------------------------


@dataclass(frozen=True)
class Pair:
    """One arm's try where another had failed.

    Attributes:
        share: what it counts where all pairs are taken together.
    """

    task_type: str
    failed: str
    next: str
    success: bool
    cost: float | None
    weight: float
    share: float


def pairs_of(runs: Iterable[Run], rules: Rules) -> list[Pair]:
    runs = list(runs)
    usual = usual_costs(runs, rules)
    found = [*_retries(runs, rules), *_in_groups(runs, rules)]
    return [
        Pair(
            pair.task_type, pair.failed, pair.next, pair.success,
            pair.cost
            if pair.cost is not None
            and (pair.task_type, pair.next) in usual
            and not is_outlier(pair.cost, usual[pair.task_type, pair.next])
            else None,
            pair.weight, pair.share,
        )
        for pair in found
    ]  # fmt: skip


def _retries(runs: Sequence[Run], rules: Rules) -> Iterable[Pair]:
    attempts = defaultdict(list)
    for run in runs:
        attempts[run.task].append(run)
    for tried in attempts.values():
        tried.sort(key=lambda run: run.attempt)
        for before, run in pairwise(tried):
            follows = not before.success and before.ended_at <= run.at
            if before.arm is None or run.arm is None or before.arm == run.arm:
                continue
            if follows and rules.holds(run.at.date()):
                weight = rules.weight(run.at.date())
                yield Pair(
                    run.task_type, before.arm, run.arm, run.success, run.cost, weight, weight
                )  # fmt: skip


def _in_groups(runs: Sequence[Run], rules: Rules) -> Iterable[Pair]:
    groups = defaultdict(list)
    for run in runs:
        if run.group is not None:
            groups[run.group].append(run)
    for members in groups.values():
        day = max(run.at.date() for run in members)
        tries: defaultdict[str, list[Run]] = defaultdict(list)
        for run in members:
            if run.attempt == 1 and run.arm:
                tries[run.arm].append(run)
        solved = {a: 2 * sum(r.success for r in of) > len(of) for a, of in tries.items()}
        if not rules.holds(day):
            continue
        weight = rules.weight(day)
        for failed, other in permutations(solved, 2):
            if not solved[failed]:
                costs = [run.cost for run in tries[other] if run.cost is not None]
                yield Pair(
                    min(run.task_type for run in members), failed, other, solved[other],
                    fmean(costs) if costs else None, weight,
                    weight / (len(solved) * (len(solved) - 1)),
                )  # fmt: skip


@dataclass
class _Tried:
    runs: int = 0
    n: float = 0.0
    s: float = 0.0
    usual_s: float = 0.0
    cost_n: float = 0.0
    cost: float = 0.0
    usual_cost: float = 0.0


def pair_evidence(runs: Iterable[Run], rules: Rules, known: Evidence) -> Pairs:
    """Return what each comparable arm does after each other's failure, by type and over all."""
    if not known:
        return {}
    arms = [arm for arm, of in known[None, None].items() if of.is_comparable]
    tried: defaultdict[tuple[str | None, str, str], _Tried] = defaultdict(_Tried)
    pool_n = pool_s = pool_usual = 0.0
    for pair in pairs_of(runs, rules):
        if pair.failed not in arms or pair.next not in arms:
            continue
        alone = known.get((None, pair.task_type), known[None, None])[pair.next]
        pool_n += pair.share
        pool_s += pair.share * pair.success
        pool_usual += pair.share * alone.success
        for kind in (None, pair.task_type):
            sums = tried[kind, pair.failed, pair.next]
            sums.runs += 1
            sums.n += pair.weight
            sums.s += pair.weight * pair.success
            sums.usual_s += pair.weight * alone.success
            if pair.cost is not None:
                sums.cost_n += pair.weight
                sums.cost += pair.weight * pair.cost
                sums.usual_cost += pair.weight * (alone.cost or 0.0)
    fall = 0.0
    if pool_n:
        fall = within(lg(bounded(pool_usual / pool_n)) - lg(bounded(pool_s / pool_n)), 0, 4)
    usual_fall = (pool_n * fall + 20 * 1.3) / (pool_n + 20)

    def drop(alone: float, sums: _Tried, prior: float) -> float:
        after = (sums.s + 20 * sg(lg(alone) - prior)) / (sums.n + 20)
        return max(lg(alone) - lg(after), 0.0)

    def said(alone: Known, over_all: _Tried, fell: float, factor: float) -> After:
        share = sg(lg(alone.success) - fell)
        dependence = "measured" if over_all.n >= 20 else "pooled" if pool_n >= 20 else "assumed"
        return After(
            over_all.runs, over_all.n, dependence, fell, share,
            max(share * (1 - share) / (over_all.n + 21), 0 if fell else alone.variance), factor,
        )  # fmt: skip

    found: Pairs = {None: {}} if len(arms) > 1 else {}
    for failed, following in permutations(arms, 2):
        over_all = tried[None, failed, following]
        anywhere = known[None, None][following]
        cost = anywhere.cost or 0.0
        base = over_all.usual_s / over_all.n if over_all.n else anywhere.success
        fell = drop(bounded(base), over_all, usual_fall)
        beside = over_all.usual_cost + 10 * cost
        factor = (over_all.cost + 12 * cost) / beside if beside else 1.0
        found[None][failed, following] = said(anywhere, over_all, fell, factor)
        for repo, kind in known:
            if repo is None and kind is not None:
                here, sums = known[None, kind][following], tried[kind, failed, following]
                cost = here.cost or 0.0
                beside = (sums.cost_n + 10) * cost
                found.setdefault(kind, {})[failed, following] = said(
                    here, over_all, drop(here.success, sums, fell),
                    (sums.cost + 10 * factor * cost) / beside if beside else 1.0,
                )  # fmt: skip
    return found


# -- what to do -------------------------------------------------------------------------------


def ranked(value: float) -> float:
    return round(value, 9)


@dataclass(frozen=True)
class Choice:
    """What to take in a cell, and why."""

    arm: str
    reference: str
    gain: float
    gain_sd: float
    is_abstained: bool
    nearest: str | None
    runs_needed: int | None
    worth_trying: list[str]


def runs_needed(gain: float, arms: Sequence[tuple[float, float]]) -> int:
    """Count how many more runs each arm, of so many runs and such a variance, must be given."""
    few, enough = 0, 1_000_000
    while enough - few > 1:
        more = (few + enough) // 2
        left = sum(variance * runs / (runs + more) for runs, variance in arms)
        few, enough = (few, more) if gain > 0.5 * math.sqrt(left) else (more, enough)
    return enough


def choice(known: Evidence, cell: Cell, rules: Rules) -> Choice | None:
    def utility(of: Known) -> float:
        return rules.value * of.success - (of.cost or 0.0)

    def doubt(of: Known) -> float:
        return rules.value**2 * of.variance + (of.cost_variance or 0.0)

    def first(arms: Iterable[str], score: Callable[[str], float], of: Mapping[str, Known]) -> str:
        return min(arms, key=lambda a: (-ranked(score(a)), ranked(of[a].cost or 0.0), a))

    every, here = known[None, None], known[cell]
    arms = [arm for arm in every if every[arm].is_comparable]
    if not arms:
        return None
    usual = first(arms, lambda a: utility(every[a]) - math.sqrt(doubt(every[a])), every)
    gain = {a: utility(here[a]) - utility(here[usual]) for a in arms}
    sd = {a: math.sqrt(doubt(here[a]) + doubt(here[usual])) if a != usual else 0.0 for a in arms}
    safe = {a: ranked(gain[a] - 0.5 * sd[a]) for a in arms}
    better = [a for a in arms if safe[a] > 0]
    arm = first(better, safe.__getitem__, here) if better else usual
    hopeful = [a for a in arms if ranked(gain[a]) > 0] if arm == usual else []
    hopes = {
        a: utility(of) + 1.645 * math.sqrt(doubt(of) + doubt(here[arm])) - utility(here[arm])
        for a, of in here.items()
        if of.cost is not None
    }
    nearest = first(hopeful, safe.__getitem__, here) if hopeful else None
    compared = [here[a] for a in (nearest, usual)] if nearest else []
    return Choice(
        arm,
        usual,
        gain[arm],
        sd[arm],
        arm == usual and (bool(hopeful) or len(arms) == 1),
        nearest,
        runs_needed(
            gain[nearest],
            [(of.success * (1 - of.success) / of.variance - 1, doubt(of)) for of in compared],
        )
        if nearest
        else None,
        sorted({arm, *(a for a, hope in hopes.items() if ranked(hope) >= 0)}),
    )


@dataclass(frozen=True)
class Plan:
    """Arms in the order to try them."""

    arms: tuple[str, ...]
    success: float
    success_variance: float
    cost: float
    cost_variance: float
    attempts: float
    runs: int
    dependence: str


def candidates(here: Mapping[str, Known]) -> list[str]:
    """Return the arms that plans are made of."""
    arms = [arm for arm, of in here.items() if of.is_comparable]
    cost = {a: here[a].cost or 0.0 for a in arms}
    share = {a: here[a].success for a in arms}
    alone = {
        min(arms, key=lambda a: (-ranked(worth * share[a] - cost[a]), ranked(cost[a]), a))
        for worth in (10 ** (-0.5 + step / 10) for step in range(36))
    }
    cheap = sorted(arms, key=lambda a: (ranked(cost[a] / max(share[a], 0.05)), a))
    good = sorted(arms, key=lambda a: (-ranked(share[a]), ranked(cost[a]), a))[:3]
    wanted = alone | {*cheap[:5], *good}
    kind = {a: 0 if a in alone else 1 if a in cheap[:5] else 2 for a in wanted}
    return sorted(wanted, key=lambda a: (kind[a], cheap.index(a)))[:12]


def plan_of(
    arms: tuple[str, ...], here: Mapping[str, Known], pairs: Mapping[tuple[str, str], After]
) -> Plan:
    """Return what one to three arms come to, each tried where those before it failed."""
    first = here[arms[0]]
    fail, cost = [1 - first.success], [first.cost or 0.0]
    v = [first.variance]
    vc = [first.cost_variance or 0.0]
    used: list[After] = []
    for place, arm in enumerate(arms[1:], 1):
        after = [pairs[before, arm] for before in arms[:place]]
        used += after
        share = min(pair.success for pair in after)
        cost.append(max(pair.factor for pair in after) * (here[arm].cost or 0.0))
        if place == 2:
            share = sg(lg(share) - 0.6)
            cost[-1] *= 1.15
        fail.append(1 - share)
        v.append(share * (1 - share) / (min(pair.tries for pair in after) + 21))
        if place == 1 and after[0].drop == 0:
            v[-1] = max(v[-1], here[arm].variance)
        alone = here[arm].cost
        vc.append((here[arm].cost_variance or 0.0) * (cost[-1] / alone) ** 2 if alone else 0.0)
    f1, f2, f3 = [*fail, 1.0, 1.0][:3]
    c1, c2, c3 = [*cost, 0.0, 0.0][:3]
    v1, v2, v3 = [*v, 0.0, 0.0][:3]
    vc1, vc2, vc3 = [*vc, 0.0, 0.0][:3]
    kinds = {pair.dependence for pair in used}
    worst = [kind for kind in ("assumed", "pooled", "measured") if kind in kinds]
    return Plan(
        arms,
        1 - f1 * f2 * f3,
        v1 * (f2 * f3) ** 2 + v2 * (f1 * f3) ** 2 + v3 * (f1 * f2) ** 2,
        c1 + f1 * c2 + f1 * f2 * c3,
        vc1 + f1**2 * vc2 + (f1 * f2) ** 2 * vc3 + (c2 + f2 * c3) ** 2 * v1 + (f1 * c3) ** 2 * v2,
        [1, 1 + f1, 1 + f1 + f1 * f2][len(arms) - 1],
        min((pair.runs for pair in used), default=0),
        worst[0] if worst else "none",
    )


def best_plan(known: Evidence, pairs: Pairs, kind: str | None, rules: Rules) -> Plan | None:
    here = known[None, kind]
    if not any(of.is_comparable for of in here.values()):
        return None
    names = candidates(here)
    return min(
        (
            plan_of(arms, here, pairs.get(kind, {}))
            for length in (1, 2, 3)
            for arms in permutations(names, length)
        ),
        key=lambda plan: (
            -ranked(rules.value * plan.success - plan.cost), ranked(plan.cost), plan.arms,
        ),
    )  # fmt: skip
