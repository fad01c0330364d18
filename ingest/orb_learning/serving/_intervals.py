"""Where a figure lies with 95 % certainty."""

from __future__ import annotations

import math

Z = 1.96


def share_interval(share: float, variance: float) -> tuple[float, float]:
    """Return where a share lies, as a Beta of that mean and variance has it.

    Paulson's formula, from Wilson and Hilferty's cube root; within 0.005 of the exact ends from
    four runs on. Of less than 0.3 successes or failures it makes nonsense: they count as as many.

    Args:
        share: within 0 and 1.
        variance: above 0.
    """
    runs = share * (1 - share) / variance - 1
    won, lost = max(share * runs, 0.3), max((1 - share) * runs, 0.3)
    a, b = 1 / (9 * won), 1 / (9 * lost)
    below = (1 - b) ** 2 - Z * Z * b
    if below <= 0:
        return 0.0, 1.0
    root = math.sqrt(max((1 - a) ** 2 * b + (1 - b) ** 2 * a - Z * Z * a * b, 0))

    def end(z: float) -> float:
        ratio = max(((1 - a) * (1 - b) + z * root) / below, 0.0) ** 3
        return won * ratio / (won * ratio + lost)

    return end(-Z), end(Z)


def cost_interval(cost: float, variance: float) -> tuple[float, float]:
    """Return where a cost lies, its logarithm normal.

    Args:
        cost: USD; 0 is certain.
        variance: of it.
    """
    if cost == 0:
        return 0.0, 0.0
    factor = math.exp(Z * math.sqrt(variance) / cost)
    return cost / factor, cost * factor
