"""Where a figure lies with 95 % certainty."""

from __future__ import annotations

import math

Z = 1.96


def share_interval(share: float, variance: float) -> tuple[float, float]:
    """Return where a share lies, as a Beta of that mean and variance has it.

    Paulson's formula, from Wilson and Hilferty's cube root; from four runs on within 0.006 of the
    exact ends, and within 0.05 where hardly any of them end otherwise than the others. Either end
    is the root of a quadratic, in the form that stays right there; less than 0.1 successes or
    failures count as as many.

    Args:
        share: within 0 and 1.
        variance: above 0.
    """
    runs = share * (1 - share) / variance - 1
    won, lost = max(share * runs, 0.1), max((1 - share) * runs, 0.1)
    a, b = 1 / (9 * won), 1 / (9 * lost)
    above = max((1 - a) ** 2 - Z * Z * a, 0)
    below = (1 - b) ** 2 - Z * Z * b
    root = math.sqrt(max((1 - a) ** 2 * b + (1 - b) ** 2 * a - Z * Z * a * b, 0))
    middle = (1 - a) * (1 - b) + Z * root

    def end(ratio: float) -> float:
        return won * ratio**3 / (won * ratio**3 + lost)

    return end(above / middle), end(middle / below) if below > 0 else 1.0


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
