"""The picture of success against cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from routing_data import Figures

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 48, 56
TICKS_USD = (0.05, 0.1, 0.2, 0.5, 1, 2, 5)
LEAST, MOST = 0.035, 6.0
LOWEST = 0.4
LABELLED = (2.5, 10.0, 40.0)
"""What a success is worth, USD, where a curve's points say so."""

_STYLE = """
    .panel { fill: #ffffff } .grid { stroke: #d8dee4 } .text { fill: #1f2328 }
    .order { stroke: #0b5fc0; fill: #0b5fc0 } .choice { stroke: #b35900; fill: #b35900 }
    .arm { fill: #6e7781 } .oracle { fill: #1a7f37 }
    @media (prefers-color-scheme: dark) {
        .panel { fill: #0d1117 } .grid { stroke: #30363d } .text { fill: #e6edf3 }
        .order { stroke: #58a6ff; fill: #58a6ff } .choice { stroke: #f0a050; fill: #f0a050 }
        .arm { fill: #8b949e } .oracle { fill: #3fb950 }
    }
    text { font: 13px system-ui, sans-serif }
"""


def _x(usd: float) -> float:
    share = math.log(max(usd, LEAST) / LEAST) / math.log(MOST / LEAST)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(success: float) -> float:
    share = (max(success, LOWEST) - LOWEST) / (1 - LOWEST)
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def _dot(kind: str, figures: Figures, radius: float, title: str) -> str:
    return (
        f'<circle class="{kind}" cx="{_x(figures.cost):.1f}" cy="{_y(figures.success):.1f}"'
        f' r="{radius:g}"><title>{escape(title)}: {figures} USD</title></circle>'
    )


def _text(x: float, y: float, said: str, anchor: str = "start", more: str = "") -> str:
    return f'<text class="text" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{said}</text>'


def _axes() -> list[str]:
    lines = []
    for usd in TICKS_USD:
        lines.append(
            f'<line class="grid" x1="{_x(usd):.1f}" x2="{_x(usd):.1f}" y1="{TOP}"'
            f' y2="{HEIGHT - BOTTOM}"/>'
        )
        lines.append(_text(_x(usd), HEIGHT - BOTTOM + 18, f"{usd:g}", "middle"))
    for percent in range(round(100 * LOWEST), 101, 10):
        y = _y(percent / 100)
        lines.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        lines.append(_text(LEFT - 8, y + 4, f"{percent} %", "end"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = f' transform="rotate(-90 16 {middle:.0f})"'
    lines.append(
        _text(
            (LEFT + WIDTH - RIGHT) / 2,
            HEIGHT - 14,
            "USD a task (log scale); beside a point: USD that a success is worth",
            "middle",
        )
    )
    lines.append(_text(16, middle, "tasks solved", "middle", turned))
    return lines


def _curve(kind: str, points: Mapping[float, Figures], title: str) -> list[str]:
    ordered = [points[value] for value in sorted(points)]
    path = " ".join(f"{_x(point.cost):.1f},{_y(point.success):.1f}" for point in ordered)
    dots = [
        _dot(kind, point, 4, f"{title}, a success worth {value:g} USD")
        for value, point in sorted(points.items())
    ]
    labels = [
        _text(_x(points[value].cost), _y(points[value].success) + above, f"{value:g}", "middle")
        for value in LABELLED
        for above in [-9 if kind == "order" else 20]
    ]
    line = f'<polyline class="{kind}" points="{path}" style="fill: none; stroke-width: 2"/>'
    return [line, *dots, *labels]


def _legend() -> list[str]:
    entries = [
        ("order", "advised order to try"),
        ("choice", "advised single arm"),
        ("arm", "one arm for all tasks"),
        ("oracle", "oracle"),
    ]
    lines, x = [], float(LEFT)
    for kind, said in entries:
        lines.append(f'<circle class="{kind}" cx="{x + 5:.0f}" cy="24" r="5"/>')
        lines.append(_text(x + 16, 28, said))
        x += 40 + 7 * len(said)
    return lines


def draw(
    path: Path,
    orders: Mapping[float, Figures],
    choices: Mapping[float, Figures],
    constants: Sequence[tuple[str, Figures]],
    oracle: Figures,
) -> None:
    """Write the picture.

    Args:
        path: the SVG file.
        orders: what came of the advised orders, by what a success is worth in USD.
        choices: the same of the advised single arms.
        constants: what came of each arm for all tasks.
        oracle: what the cheapest arm that succeeds comes to.
    """
    best_arm, best = max(constants, key=lambda pair: pair[1].success)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        ' aria-label="Tasks solved against USD a task: advice, single arms and the oracle">',
        f"<style>{_STYLE}</style>",
        f'<rect class="panel" width="{WIDTH}" height="{HEIGHT}" rx="6"/>',
        *_axes(),
        *(_dot("arm", figures, 3.5, arm) for arm, figures in constants),
        _text(_x(best.cost), _y(best.success) - 9, f"best: {best_arm.partition('|')[2]}", "middle"),
        *_curve("choice", choices, "single arm"),
        *_curve("order", orders, "order"),
        _dot("oracle", oracle, 6, "oracle"),
        *_legend(),
        "</svg>",
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
