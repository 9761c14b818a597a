"""The flow chart of who owes whom: a Sankey diagram's geometry. Pure; the template draws it.

Debtors stand at the left, creditors at the right, ribbons between them as wide as the amounts.
Two charts drawn with one ``scale_total`` compare by eye: after netting there is visibly less ink.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

WIDTH: Final = 1080.0
LEFT: Final = 292.0  # where the debtors' bars begin; their names stand before it
RIGHT: Final = WIDTH - LEFT
BAR: Final = 10.0
INK_HEIGHT: Final = 300.0  # of the whole of ``scale_total``
SLOT: Final = 19.0  # a line of text: no two names ever overlap
GAP: Final = 7.0
MAX_FLOWS: Final = 200  # ribbons; the bars count all
TONES: Final = 7  # the eighth, ``TONES``, is the grey of the many small ones


@dataclass(frozen=True, slots=True)
class Flow:
    """An amount that one party owes another; ``href`` leads to what is behind it."""

    debtor: str
    creditor: str
    amount: int
    href: str = ""


@dataclass(frozen=True, slots=True)
class PartyBar:
    """A party on one side."""

    party: str
    amount: int
    x: float
    y: float
    height: float
    label_x: float
    label_y: float
    anchor: str
    tone: int


@dataclass(frozen=True, slots=True)
class Ribbon:
    """A flow from a debtor's bar to a creditor's, as an SVG path with a stroke's width."""

    flow: Flow
    path: str
    width: float
    tone: int


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that the template draws, and what it had no room for."""

    width: float
    height: float
    bars: list[PartyBar]
    ribbons: list[Ribbon]
    left_out_count: int
    left_out_amount: int


def tones(flows: Iterable[Flow]) -> dict[str, int]:
    """A colour for each party, the same on every chart: the largest debtors get their own."""
    owes: dict[str, int] = defaultdict(int)
    for flow in flows:
        owes[flow.debtor] += flow.amount
        owes[flow.creditor] += 0
    ranked = sorted(owes, key=lambda party: (-owes[party], party))
    return {party: min(rank, TONES) for rank, party in enumerate(ranked)}


def chart(flows: list[Flow], *, scale_total: int, tone_of: Mapping[str, int]) -> Chart:
    """Lay out ``flows``; ``scale_total`` is the amount that takes the whole ink height."""
    ranked = sorted(flows, key=lambda f: (-f.amount, f.debtor, f.creditor))
    drawn, rest = ranked[:MAX_FLOWS], ranked[MAX_FLOWS:]
    scale = INK_HEIGHT / scale_total if scale_total > 0 else 0.0
    left = _column([(f.debtor, f.amount) for f in ranked], scale, "left", tone_of)
    right = _column([(f.creditor, f.amount) for f in ranked], scale, "right", tone_of)
    bars = [*left.values(), *right.values()]
    bottom = max((max(bar.y + bar.height, bar.label_y + SLOT / 2) for bar in bars), default=SLOT)
    return Chart(
        width=WIDTH,
        height=round(bottom + GAP, 1),
        bars=bars,
        ribbons=_ribbons(drawn, left, right, scale, tone_of),
        left_out_count=len(rest),
        left_out_amount=sum(flow.amount for flow in rest),
    )


def _column(
    amounts: list[tuple[str, int]], scale: float, side: str, tone_of: Mapping[str, int]
) -> dict[str, PartyBar]:
    """The bars of one side from the top down, the largest first, a line of text for each."""
    totals: dict[str, int] = defaultdict(int)
    for party, amount in amounts:
        totals[party] += amount
    column: dict[str, PartyBar] = {}
    y = GAP
    for party in sorted(totals, key=lambda name: (-totals[name], name)):
        height = max(totals[party] * scale, 1.5)
        slot = max(height, SLOT)
        column[party] = PartyBar(
            party=party,
            amount=totals[party],
            x=LEFT if side == "left" else RIGHT - BAR,
            y=round(y + (slot - height) / 2, 2),
            height=round(height, 2),
            label_x=LEFT - 8 if side == "left" else RIGHT + 8,
            label_y=round(y + slot / 2, 2),
            anchor="end" if side == "left" else "start",
            tone=tone_of.get(party, TONES),
        )
        y += slot + GAP
    return column


def _ribbons(
    flows: list[Flow],
    left: Mapping[str, PartyBar],
    right: Mapping[str, PartyBar],
    scale: float,
    tone_of: Mapping[str, int],
) -> list[Ribbon]:
    """Curves that leave and reach each bar in the order of the bars opposite: fewest crossings."""
    leaving = {party: bar.y for party, bar in left.items()}
    arriving = {party: bar.y for party, bar in right.items()}
    start: dict[Flow, float] = {}
    end: dict[Flow, float] = {}
    for flow in sorted(flows, key=lambda f: right[f.creditor].y):
        start[flow] = leaving[flow.debtor] + flow.amount * scale / 2
        leaving[flow.debtor] += flow.amount * scale
    for flow in sorted(flows, key=lambda f: left[f.debtor].y):
        end[flow] = arriving[flow.creditor] + flow.amount * scale / 2
        arriving[flow.creditor] += flow.amount * scale
    x0, x1 = LEFT + BAR, RIGHT - BAR
    middle = (x0 + x1) / 2
    return [
        Ribbon(
            flow=flow,
            path=f"M{x0:.1f} {start[flow]:.2f}C{middle:.1f} {start[flow]:.2f} "
            f"{middle:.1f} {end[flow]:.2f} {x1:.1f} {end[flow]:.2f}",
            width=round(max(flow.amount * scale, 0.8), 2),
            tone=tone_of.get(flow.debtor, TONES),
        )
        for flow in flows
    ]
