"""In which order to try arms until one succeeds, whatever a success is worth.

The model `escalation_plans` has the same rule in SQL.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from orb_learning.serving._choice import order, ranked, worth
from orb_learning.serving._evidence import ArmEvidence, PairEvidence

WORTHS = tuple(10 ** (step / 10 - 0.5) for step in range(36))
"""What a success may be worth, USD: each makes one arm the best single one."""

LONGEST = 3
MOST_CANDIDATES = 12

Pairs = Mapping[tuple[str, str], PairEvidence]


@dataclass(frozen=True, slots=True)
class Plan:
    """Arms in the order to try them, and what they come to together.

    Attributes:
        arms: their names.
        success: expected share of tasks that one of them solves, 0..1.
        success_variance: its variance.
        cost: expected USD of a task.
        cost_variance: its variance.
        expected_attempts: how many of them are tried on average.
        pair_runs: tries after a failure that were seen, of the pair that was seen least.
        dependence: how it is known how arms fail together: `measured`, `pooled`, `assumed`; `none`
            of a single arm.
    """

    arms: tuple[str, ...]
    success: float
    success_variance: float
    cost: float
    cost_variance: float
    expected_attempts: float
    pair_runs: int
    dependence: str

    def rank(self, value: float) -> tuple[float, float, tuple[str, ...]]:
        """Return what is least of the best plan where a success is worth `value` USD."""
        return -ranked(value * self.success - self.cost), ranked(self.cost), self.arms


def plans(arms: Sequence[ArmEvidence], pairs: Pairs, first: str | None = None) -> Iterator[Plan]:
    """Yield every plan of one to three arms.

    Args:
        arms: those that may be taken, as they are known in one cell.
        pairs: how they do after a failure there.
        first: only plans that begin with this arm.
    """
    known = {arm.arm: arm for arm in arms}
    names = sorted(candidates(arms) | ({first} if first else set()))
    for length in range(1, LONGEST + 1):
        for order_ in itertools.permutations(names, length):
            if first is None or order_[0] == first:
                yield _plan([known[name] for name in order_], pairs)


def candidates(arms: Iterable[ArmEvidence]) -> set[str]:
    """Return the arms that plans are made of: the best single ones, the cheap, the successful."""
    comparable = [arm for arm in arms if arm.is_comparable]
    best = {
        min(comparable, key=lambda arm: (-ranked(worth(arm, value)), *order(arm))).arm
        for value in (WORTHS if comparable else ())
    }

    def cheapness(arm: ArmEvidence) -> tuple[float, str]:
        return ranked((arm.cost or 0.0) / max(arm.success, 0.05)), arm.arm

    cheapest = [arm.arm for arm in sorted(comparable, key=cheapness)]
    successful = sorted(comparable, key=lambda arm: (-ranked(arm.success), *order(arm)))
    cheap, successful_ones = set(cheapest[:5]), {arm.arm for arm in successful[:3]}
    wanted = best | cheap | successful_ones
    by_kind = sorted(
        wanted,
        key=lambda name: (0 if name in best else 1 if name in cheap else 2, cheapest.index(name)),
    )
    return set(by_kind[:MOST_CANDIDATES])


def _plan(arms: Sequence[ArmEvidence], pairs: Pairs) -> Plan:
    first, *later = arms
    steps = [_Step(1 - first.success, first.cost or 0.0, first.success_variance, _spread(first))]
    seen: list[PairEvidence] = []
    for arm in later:
        after = [pairs[before.arm, arm.arm] for before in arms[: len(steps)]]
        seen += after
        drop = max(pair.log_odds_drop for pair in after)
        cost = (arm.cost or 0.0) * max(pair.cost_factor for pair in after)
        if len(after) == 2:
            # A third was rarely seen after two: the worse of both, and a little off.
            drop += 0.6
            cost *= 1.15
        failure = 1 / (1 + arm.success / (1 - arm.success) / math.exp(drop))
        tries = min(pair.effective_tries for pair in after)
        variance = failure * (1 - failure) / (tries + 21)
        if not drop:  # no worse after failures than alone, and no surer
            variance = max(variance, arm.success_variance)
        steps.append(_Step(failure, cost, variance, _spread(arm)))
    return _summed(tuple(arm.arm for arm in arms), steps, seen)


@dataclass(frozen=True, slots=True)
class _Step:
    """One arm of a plan, given that those before it failed.

    Attributes:
        failure: share that fails.
        cost: USD.
        variance: of the share.
        spread: of the cost, as a part of its square.
    """

    failure: float
    cost: float
    variance: float
    spread: float


def _spread(arm: ArmEvidence) -> float:
    return (arm.cost_variance or 0.0) / arm.cost**2 if arm.cost else 0.0


def _summed(names: tuple[str, ...], steps: Sequence[_Step], seen: Sequence[PairEvidence]) -> Plan:
    failures = [step.failure for step in steps]
    reached = [math.prod(failures[:place]) for place in range(len(steps) + 1)]
    variance = cost_variance = 0.0
    for place, step in enumerate(steps):
        others = reached[place] * math.prod(failures[place + 1 :])
        variance += step.variance * others**2
        # What comes after it if it fails.
        rest = sum(
            math.prod(failures[place + 1 : later]) * steps[later].cost
            for later in range(place + 1, len(steps))
        )
        cost_variance += reached[place] ** 2 * (
            step.spread * step.cost**2 + step.variance * rest**2
        )
    return Plan(
        names,
        1 - reached[-1],
        variance,
        sum(step.cost * share for step, share in zip(steps, reached, strict=False)),
        cost_variance,
        sum(reached[:-1]),
        min((pair.runs for pair in seen), default=0),
        _dependence({pair.dependence for pair in seen}),
    )


def _dependence(kinds: set[str]) -> str:
    for kind in ("assumed", "pooled", "measured"):
        if kind in kinds:
            return kind
    return "none"
