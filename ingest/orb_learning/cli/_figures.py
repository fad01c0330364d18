"""How figures of arms are spelled, and the weeks of one as a line of bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from orb_learning.cli._show import LONGEST_CELL, cut, is_plain, shown

if TYPE_CHECKING:
    from orb_learning.serving import ArmEvidence

BARS = "▁▂▃▄▅▆▇█"


class Figures(Protocol):
    """What an arm, a choice or a plan comes to."""

    @property
    def success(self) -> float | None:
        """Share of tasks, 0..1."""

    @property
    def success_low(self) -> float | None:
        """Lower end of it."""

    @property
    def success_high(self) -> float | None:
        """Upper end of it."""

    @property
    def cost(self) -> float | None:
        """USD a task."""


def name_of(arm: str, width: int = LONGEST_CELL // 2) -> str:
    """Return an arm's name, cut so that the figures beside it stay in sight."""
    return cut(shown(arm), width)


def in_turn(arms: Sequence[str]) -> str:
    """Return the order to try arms in."""
    return ", then ".join(map(name_of, arms))


def figures(known: Figures) -> str:
    """Return success and cost as a part of a sentence."""
    if known.success is None or known.success_low is None or known.success_high is None:
        return "nothing known"
    spread = 100 * (known.success_high - known.success_low) / 2
    digits = 0 if spread >= 1 else 1
    cost = "at an unknown cost" if known.cost is None else f"for {usd(known.cost)} USD a task"
    sign = "+/-" if is_plain() else "±"
    return f"{100 * known.success:.{digits}f} % {sign} {spread:.{digits}f} {cost}"


def success_of(arm: ArmEvidence) -> str:
    """Return an arm's expected success and where it lies, in percent."""
    low, high = 100 * arm.success_low, 100 * arm.success_high
    return f"{100 * arm.success:.0f}% ({low:.0f} to {high:.0f})"


def cost_of(arm: ArmEvidence) -> str:
    """Return what a run of an arm is expected to cost and where that lies, in USD."""
    if not arm.costed or arm.cost is None or arm.cost_low is None or arm.cost_high is None:
        return "never reported"
    return f"{usd(arm.cost)} ({usd(arm.cost_low)} to {usd(arm.cost_high)})"


def usd(amount: float) -> str:
    """Return USD, small amounts with two digits that count."""
    return f"{amount:,.2f}" if amount >= 0.1 or amount == 0 else f"{amount:.2g}"


def sparkline(shares: Sequence[float | None]) -> str:
    """Return shares of 0..1 as bars, or as tenths where there is ASCII alone; None is a gap."""
    steps = "0123456789" if is_plain() else BARS
    return "".join(
        " " if share is None else steps[min(int(share * len(steps)), len(steps) - 1)]
        for share in shares
    )
