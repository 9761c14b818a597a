"""The curves of an auction's node: demand falling, supply rising. Pure; the template draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 720.0
HEIGHT: Final = 320.0
LEFT: Final = 84.0  # the prices' labels stand before it
BOTTOM: Final = HEIGHT - 34.0  # the units' labels stand below it
TOP: Final = 12.0
RIGHT: Final = WIDTH - 16.0
TICKS: Final = 5
_HEADROOM: Final = 1.25  # prices far above the crossing would press it flat

Ladder = Sequence[tuple[int, int]]
"""(price, units up to there), from the first on."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    value: int


@dataclass(frozen=True, slots=True)
class CurveChart:
    """Two stairs, the cross where they meet, and both axes."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    demand: str
    supply: str
    cross_x: float
    cross_y: float | None  # None where there is no price
    prices: list[Tick]
    units: list[Tick]


def curve_chart(
    demand: Ladder, supply: Ladder, *, price_micro: int | None, units: int
) -> CurveChart:
    """Lay the curves out; what lies far above the dearest step of use is cut off at the top."""
    most_units = max([1, units, *(total for _price, total in (*demand, *supply))])
    shown = [price for ladder in (demand, supply) for price, _total in ladder]
    ceiling = price_micro or 0
    inner = [price for price in shown if not ceiling or price <= 3 * ceiling]
    most_price = max(1, int(max([ceiling, *inner], default=1) * _HEADROOM))

    def x(total: int) -> float:
        return round(LEFT + (RIGHT - LEFT) * total / most_units, 2)

    def y(price: int) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * min(price, most_price) / most_price, 2)

    def stairs(ladder: Ladder) -> str:
        path, at = "", 0
        for price, total in ladder:
            path += f"{'L' if path else 'M'}{x(at)} {y(price)}L{x(total)} {y(price)}"
            at = total
        return path

    return CurveChart(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=RIGHT,
        top=TOP,
        bottom=BOTTOM,
        demand=stairs(demand),
        supply=stairs(supply),
        cross_x=x(units),
        cross_y=None if price_micro is None else y(price_micro),
        prices=[Tick(y(v), v) for v in _even(most_price)],
        units=[Tick(x(v), v) for v in _even(most_units)],
    )


def _even(most: int) -> list[int]:
    """Zero and up to five marks at equal distances."""
    steps = min(TICKS, most)
    return sorted({most * i // steps for i in range(steps + 1)})
