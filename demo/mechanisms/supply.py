"""Nodes and prices turned into pools and offers.

The nodes of each model are dealt in turn over the regions, since no list says where they stand:
a pool for each model and region. Of each pool a firm share is offered from the beginning at the
list price for the whole horizon. The rest is a reserve that its provider gives out in blocks of
six hours at the spot price, an hour before each begins, when it knows that it does not need it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from core.slots import SECONDS_PER_SLOT
from demo.mechanisms.day import FIRST_SLOT, HOURS, Offered
from demo.mechanisms.files import CPU, HPC, PRICED_AS, Files, Node
from demo.mechanisms.options import Options
from demo.replay import sample
from demo.traces import TraceError
from exchange.market.terms import OfferTerms, PoolTerms

HORIZON_SLOTS: Final = 3 * HOURS  # orders of the day's last hour may wait and run so far
RESERVE_SLOTS: Final = 6
# The machine that the trace of the class `super` was recorded on (LANL Mustang: 1,600 nodes of 24
# cores, Amvrosiadis et al., USENIX ATC 2018); no node list has one.
HPC_NODES: Final = (Node(HPC, 1),) * 1600
EDGE_MODEL: Final = "A10"
_MICRO: Final = 1_000_000
_ANY_SPOT: Final = 0.3  # of the list price, where no list quotes a spot price at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """Pools and what is offered of them; prices by grade for drawing limits."""

    pools: tuple[PoolTerms, ...]
    offers: tuple[Offered, ...]
    grades: Mapping[int, str]
    list_prices_micro: Mapping[int, int]  # mean of the firm offers, weighted by units
    units: Mapping[int, int]


def class_of(node: Node) -> str:
    """A single A10 is an edge site; a node without cards general compute."""
    if node.model in (CPU, HPC):
        return "general" if node.model == CPU else "super"
    return "edge" if node == Node(EDGE_MODEL, 1) else "intelligent"


def grade_name(node: Node) -> str:
    """Class and model: `intelligent.t4`."""
    return f"{class_of(node)}.{node.model.lower()}"


def units_by_class(nodes: Sequence[Node]) -> dict[str, int]:
    """How many units the nodes of each class have."""
    units: dict[str, int] = {}
    for node in nodes:
        units[class_of(node)] = units.get(class_of(node), 0) + node.units
    return units


def nodes_of(files: Files) -> list[Node]:
    """The nodes of the lists, and the supercomputer where the catalogue prices one."""
    priced = {quote.model for quote in files.quotes}
    return [*files.nodes, *(HPC_NODES if HPC in priced else ())]


def build(files: Files, nodes: Sequence[Node], options: Options) -> Supply:
    """Pools and offers of the nodes. `TraceError` where the files name no region or no price."""
    regions = sample(files.regions, options.regions)
    if not regions:
        raise TraceError("no supply file quotes prices by region")
    price = _pricing(files)
    by_grade: dict[str, list[Node]] = {}
    for node in nodes:
        by_grade.setdefault(grade_name(node), []).append(node)
    grades = dict(enumerate(sorted(by_grade), start=1))
    pools: list[PoolTerms] = []
    offers: list[Offered] = []
    for grade, name in grades.items():
        of_grade = by_grade[name]
        model = of_grade[0].model
        # One machine stands in one place: there, where it is cheapest.
        places = [min(regions, key=lambda r: price(HPC, r))] if model == HPC else regions
        for place, region in enumerate(places):
            units = sum(node.units for node in of_grade[place :: len(places)])
            if units:
                # A provider for each region.
                number = regions.index(region) + 1
                pool = PoolTerms(
                    id=len(pools) + 1,
                    provider=number,
                    centre=number,
                    region=region,
                    grade=grade,
                    units=units,
                    green_share_bp=round(10_000 * files.green.get(region, 0.0)),
                )
                pools.append(pool)
                offers += _offers(len(offers) + 1, pool, price(model, region), options)
    return Supply(
        pools=tuple(pools),
        offers=tuple(offers),
        grades=grades,
        list_prices_micro=_list_prices(pools, offers),
        units={g: sum(pool.units for pool in pools if pool.grade == g) for g in grades},
    )


def _offers(
    first_id: int, pool: PoolTerms, usd: tuple[float, float], options: Options
) -> list[Offered]:
    """The firm offer, and the reserve's blocks."""
    firm, spot = (max(1, round(p * float(options.yuan_per_usd) * _MICRO)) for p in usd)
    firm_units = round(pool.units * options.firm_share)
    windows = [(firm_units, firm, 0, HORIZON_SLOTS, 0)]
    for start in range(0, HOURS, RESERVE_SLOTS):
        at_s = max(0, start - 1) * SECONDS_PER_SLOT
        windows.append((pool.units - firm_units, spot, start, start + RESERVE_SLOTS, at_s))
    return [
        Offered(
            terms=OfferTerms(
                id=first_id + number,
                pool=pool.id,
                provider=pool.provider,
                entry=(0, first_id + number),
                units=units,
                start_slot=FIRST_SLOT + start,
                end_slot=FIRST_SLOT + end,
                prices=(price_micro,),
            ),
            at_s=at_s,
        )
        for number, (units, price_micro, start, end, at_s) in enumerate(windows)
        if units
    ]


def _pricing(files: Files) -> Callable[[str, str], tuple[float, float]]:
    """From a node's model and a region to the list and the spot price in US dollars.

    A quote for the region counts first; else one for anywhere, scaled by how dear the region is;
    else `TraceError`. Where no spot price is quoted it is the median part of the list price.
    """
    here = {(quote.model, quote.region): quote for quote in files.quotes}
    middle = {
        model: median(q.usd for q in files.quotes if q.region and q.model == model)
        for model in {q.model for q in files.quotes if q.region}
    }
    ratios = [q.usd_spot / q.usd for q in files.quotes if q.usd_spot]
    spot_ratio = median(ratios) if ratios else _ANY_SPOT

    def dearness(region: str) -> float:
        of_region = [q.usd / middle[q.model] for q in files.quotes if q.region == region]
        return median(of_region) if of_region else 1.0

    def price(model: str, region: str) -> tuple[float, float]:
        model = PRICED_AS.get(model, model)
        quote = here.get((model, region))
        scale = 1.0
        if quote is None:
            quote, scale = here.get((model, "")), dearness(region)
        if quote is None:
            raise TraceError(f"no supply file has a price for {model} in {region}")
        spot = quote.usd * spot_ratio if quote.usd_spot is None else quote.usd_spot
        return quote.usd * scale, spot * scale

    return price


def _list_prices(pools: Sequence[PoolTerms], offers: Sequence[Offered]) -> dict[int, int]:
    grade_of = {pool.id: pool.grade for pool in pools}
    spent: dict[int, int] = {}
    units: dict[int, int] = {}
    for offer in offers:
        if offer.terms.end_slot - offer.terms.start_slot == HORIZON_SLOTS:
            grade = grade_of[offer.terms.pool]
            spent[grade] = spent.get(grade, 0) + offer.terms.units * offer.price_micro
            units[grade] = units.get(grade, 0) + offer.terms.units
    return {grade: spent[grade] // units[grade] for grade in spent}
