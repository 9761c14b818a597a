"""How concentrated the supply of a grade is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from core.money import Rounding, divide

_BP = 10_000
_Provider = TypeVar("_Provider")


@dataclass(frozen=True, slots=True)
class Share(Generic[_Provider]):
    """A provider's part of the units, in basis points (half-even)."""

    provider: _Provider
    units: int
    share_bp: int


@dataclass(frozen=True, slots=True)
class Concentration(Generic[_Provider]):
    """All units, how many have them, the Herfindahl-Hirschman index, and the largest shares.

    ``hhi`` is the sum of the squares of the shares in per cent: 10,000 where one has everything,
    0 where there is nothing. ``largest`` falls by units.
    """

    units: int
    providers: int
    hhi: int
    largest: list[Share[_Provider]]


def concentration(
    units_of: Mapping[_Provider, int], *, largest: int = 3
) -> Concentration[_Provider]:
    """The concentration of ``units_of`` each provider; who has none does not count."""
    having = {provider: units for provider, units in units_of.items() if units > 0}
    total = sum(having.values())
    if not total:
        return Concentration(0, 0, 0, [])
    squares = sum(units * units for units in having.values())
    ordered = sorted(having.items(), key=lambda item: -item[1])
    return Concentration(
        units=total,
        providers=len(having),
        hhi=divide(squares * _BP, total * total, Rounding.HALF_EVEN),
        largest=[
            Share(provider, units, divide(units * _BP, total, Rounding.HALF_EVEN))
            for provider, units in ordered[:largest]
        ],
    )
