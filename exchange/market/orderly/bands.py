"""Price bands around the reference index. Pure; prices are micro-yuan per unit-hour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.money import Rounding, divide

_BP = 10_000


@dataclass(frozen=True, slots=True)
class Band:
    """Prices from ``low_micro`` to ``high_micro``, both within; no lower bound where it is None."""

    low_micro: int | None
    high_micro: int

    def holds(self, price_micro: int) -> bool:
        """Whether a price lies within."""
        return price_micro <= self.high_micro and (
            self.low_micro is None or price_micro >= self.low_micro
        )


def band_around(index_micro: int, *, band_bp: int, upwards_only: bool = False) -> Band:
    """The band of ``band_bp`` basis points both ways, rounded outwards to the micro-yuan."""
    low = divide(index_micro * max(_BP - band_bp, 0), _BP, Rounding.DOWN)
    high = divide(index_micro * (_BP + band_bp), _BP, Rounding.UP)
    return Band(None if upwards_only else low, high)


def raised(band: Band, by_micro: int) -> Band:
    """The band for an all-in price that contains ``by_micro`` of transport."""
    low = None if band.low_micro is None else band.low_micro + by_micro
    return Band(low, band.high_micro + by_micro)


def spanning(bands: Iterable[Band]) -> Band | None:
    """From the lowest bound of any to the highest; None where there is no band."""
    found = list(bands)
    if not found:
        return None
    lows = [band.low_micro for band in found]
    low = None if None in lows else min(low for low in lows if low is not None)
    return Band(low, max(band.high_micro for band in found))
