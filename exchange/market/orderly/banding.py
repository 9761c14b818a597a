"""Which band a price must keep: judged at placement only, see ``README.md``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core.money import Rounding, divide, to_decimal, to_micro
from exchange.capacity.models import Book, Pool
from exchange.market.broken import Rules
from exchange.market.models import Order
from exchange.market.orderly.bands import Band, band_around, raised, spanning
from exchange.market.orderly.selectors import prices_in_force
from exchange.topology import selectors as topology

_MEND = "give a price within it, or set allow_outside_band to true"


def order_bands(order: Order) -> list[Band | None]:
    """The band of each limit of an order, its book loaded; None where there is none.

    One query where the book has a band, and none elsewhere.
    """
    book = order.book
    if book.band_bp is None:
        return [None] * len(order.grade_ids)
    around: dict[int, list[Band]] = {}
    for (grade_id, region), price in prices_in_force(book.id, order.grade_ids).items():
        transport = _transport(order, region) if _may_be_filled_in(order, region) else None
        if transport is not None:
            band = band_around(price, band_bp=book.band_bp, upwards_only=order.accepts_reclaimable)
            around.setdefault(grade_id, []).append(raised(band, transport))
    return [spanning(around.get(grade_id, ())) for grade_id in order.grade_ids]


def check_order(order: Order, rules: Rules) -> None:
    """Note each limit of an order that lies outside its band."""
    for index, (band, limit) in enumerate(zip(order_bands(order), order.limit_prices, strict=True)):
        _require(rules, band, [to_micro(limit)], f"grades[{index}].limit_price_per_unit_hour")


def outside(order: Order) -> list[str]:
    """What a preview says of limits that only ``allow_outside_band`` lets pass."""
    told = Rules([])
    check_order(order, told)
    return [f"{bad.field}: {bad.rule}; it passes by allow_outside_band." for bad in told.problems]


class OfferBands:
    """The bands of offers of some pools, their grades, books and centres loaded."""

    def __init__(self, pools: Iterable[Pool]) -> None:
        """One query for each book that has a band."""
        grades: dict[Book, set[int]] = {}
        for pool in pools:
            grades.setdefault(pool.grade.book, set()).add(pool.grade_id)
        self._prices: dict[tuple[int, str], int] = {}
        for book, of_book in grades.items():
            if book.band_bp is not None:
                self._prices |= prices_in_force(book.id, of_book)

    def check(
        self, pool: Pool, prices_micro: Sequence[int], rules: Rules, *, is_reclaimable: bool
    ) -> None:
        """Note prices of an offer that lie outside the band of its pool's grade and region."""
        price = self._prices.get((pool.grade_id, pool.centre.region_id))
        band_bp = pool.grade.book.band_bp
        if price is not None and band_bp is not None:
            band = band_around(price, band_bp=band_bp, upwards_only=is_reclaimable)
            _require(rules, band, prices_micro, "prices")


def _require(rules: Rules, band: Band | None, prices_micro: Sequence[int], field: str) -> None:
    if band is None:
        return
    beyond = next((price for price in prices_micro if not band.holds(price)), None)
    if beyond is None:
        return
    bounds = f"at most {to_decimal(band.high_micro):f}"
    if band.low_micro is not None:
        bounds = f"{to_decimal(band.low_micro):f} to {to_decimal(band.high_micro):f}"
    rules.note(field, f"price band: {to_decimal(beyond):f} yuan, the band is {bounds}", _MEND)


def _may_be_filled_in(order: Order, region: str) -> bool:
    allowed = order.regions_allowed is None or region in order.regions_allowed
    return allowed and region not in order.regions_excluded


def _transport(order: Order, region: str) -> int | None:
    """What moving a unit's data to ``region`` adds to an hour, rounded up; None where no way is."""
    milli_gb = int((order.data_in_gb_per_unit + order.data_out_gb_per_unit) * 1000)
    if not milli_gb or order.data_region_id is None:
        return 0
    path = topology.network().path(order.data_region_id, region, None)
    if path is None:
        return None
    return divide(milli_gb * path.price_micro_per_gb, 1000 * order.duration_slots, Rounding.UP)
