"""Which arm a task should be given, whatever a success is worth.

The model `int_arm_choices` has the same rule in SQL.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from orb_learning.serving._evidence import ArmEvidence

SURE = 0.5
"""A gain counts if it is more than this many of its standard deviations."""

HOPEFUL = 1.645
"""An arm is worth trying unless it is worse by more than this many of them."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What the rule says of one cell.

    Attributes:
        arm: the one to take.
        reference: the one to stay with unless another is credibly better.
        gain: USD a task that the arm is worth more than the reference.
        gain_sd: its standard deviation.
        nearest: the arm that looks better than the reference that stays.
        nearest_gain: USD a task that it looks better.
        nearest_runs_needed: about how many more runs of both, each, would settle that.
        worth_trying: names of arms that may be as good, sorted.
        compared: how many arms were compared.
    """

    arm: ArmEvidence
    reference: ArmEvidence
    gain: float
    gain_sd: float
    nearest: ArmEvidence | None
    nearest_gain: float
    nearest_runs_needed: int | None
    worth_trying: tuple[str, ...]
    compared: int

    @property
    def is_abstained(self) -> bool:
        """Whether the reference stays for want of knowing better."""
        return self.arm == self.reference and (self.nearest is not None or self.compared == 1)


def reference_of(arms: Sequence[ArmEvidence], value: float) -> str | None:
    """Return the arm that is worth most in all runs, with a standard deviation taken off.

    Args:
        arms: what is known of them in all runs together.
        value: USD that a success is worth.
    """
    comparable = [arm for arm in arms if arm.is_comparable]
    if not comparable:
        return None
    return min(
        comparable,
        key=lambda arm: (-ranked(worth(arm, value) - math.sqrt(variance(arm, value))), *order(arm)),
    ).arm


def choose(arms: Sequence[ArmEvidence], reference: str, value: float) -> Choice:
    """Return the choice in one cell.

    Args:
        arms: what is known there of each arm that may be taken, the reference among them.
        reference: its name.
        value: USD that a success is worth.
    """
    (usual,) = (arm for arm in arms if arm.arm == reference)
    comparable = [arm for arm in arms if arm.is_comparable]
    gains = {
        arm.arm: (
            worth(arm, value) - worth(usual, value),
            0.0 if arm is usual else math.sqrt(variance(arm, value) + variance(usual, value)),
        )
        for arm in comparable
    }

    def safe(arm: ArmEvidence) -> float:
        gain, sd = gains[arm.arm]
        return ranked(gain - SURE * sd)

    def by_safe_gain(arm: ArmEvidence) -> tuple[float, float, str]:
        return (-safe(arm), *order(arm))

    chosen = min((arm for arm in comparable if arm is usual or safe(arm) > 0), key=by_safe_gain)
    nearest = None
    if chosen is usual:
        hopeful = (arm for arm in comparable if ranked(gains[arm.arm][0]) > 0 >= safe(arm))
        nearest = min(hopeful, key=by_safe_gain, default=None)
    gain, sd = gains[chosen.arm]
    return Choice(
        chosen,
        usual,
        gain,
        sd,
        nearest,
        gains[nearest.arm][0] if nearest else 0.0,
        _runs_needed(nearest, usual, value) if nearest else None,
        tuple(
            sorted(arm.arm for arm in arms if arm is chosen or _may_be_as_good(arm, chosen, value))
        ),
        len(comparable),
    )


def worth(arm: ArmEvidence, value: float) -> float:
    """Return USD that a run of an arm is worth: its success times the value, less its cost."""
    return value * arm.success - (arm.cost or 0.0)


def variance(arm: ArmEvidence, value: float) -> float:
    """Return the variance of what it is worth."""
    return value**2 * arm.success_variance + (arm.cost_variance or 0.0)


def ranked(value: float) -> float:
    """Return a value as ranks compare it, on any engine."""
    return round(value, 9)


def order(arm: ArmEvidence) -> tuple[float, str]:
    """Return what decides between arms of one worth: the cheaper, then the name."""
    return ranked(arm.cost or 0.0), arm.arm


def _may_be_as_good(arm: ArmEvidence, chosen: ArmEvidence, value: float) -> bool:
    if arm is chosen or arm.cost is None:
        return arm is chosen
    spread = math.sqrt(variance(arm, value) + variance(chosen, value))
    return ranked(worth(arm, value) + HOPEFUL * spread - worth(chosen, value)) >= 0


def _runs_needed(arm: ArmEvidence, reference: ArmEvidence, value: float) -> int:
    """Return about how many more runs of each make a gain more than half its deviation.

    The variance of either falls as 1 / runs, so this is the root of a quadratic.
    """
    allowed = 4 * (worth(arm, value) - worth(reference, value)) ** 2
    own, usual = _effective_runs(arm), _effective_runs(reference)
    own_variance, usual_variance = variance(arm, value), variance(reference, value)
    slope = allowed * (own + usual) - own_variance * own - usual_variance * usual
    start = own * usual * (allowed - own_variance - usual_variance)
    needed = (math.sqrt(slope**2 - 4 * allowed * start) - slope) / (2 * allowed)
    return min(max(math.ceil(ranked(needed)), 1), 1_000_000)


def _effective_runs(arm: ArmEvidence) -> float:
    return arm.success * (1 - arm.success) / arm.success_variance - 1
