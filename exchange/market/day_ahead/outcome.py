"""What everybody may know of an auction, read from its problem and certificate. Pure.

Volumes, flows, blocks that were not wholly accepted, and the curves of a node. Nothing here says
whose an order is: the documents name lines by tokens alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]
Place = tuple[str, str, int]
"""Grade, zone, slot."""


@dataclass(frozen=True, slots=True)
class PricePoint:
    """The price of a grade in a zone and slot (micro-yuan per unit-hour), and units traded."""

    grade: str
    zone: str
    slot: int
    price_micro: int
    bought_units: int
    sold_units: int


@dataclass(frozen=True, slots=True)
class FlowPoint:
    """Units of a grade on a link in a slot, in the direction of the flow; `is_full` where no more
    of any grade fits that way."""

    link: str
    from_zone: str
    to_zone: str
    grade: str
    slot: int
    units: int
    limit_units: int
    is_full: bool
    transport_micro: int
    rent_micro: int


@dataclass(frozen=True, slots=True)
class BlockPoint:
    """A block that was not wholly accepted, why, and what the rest would have gained."""

    token: str
    side: str
    grade: str
    zone: str
    price_micro: int
    wanted_unit_hours: int
    accepted_unit_hours: int
    reason: str
    forgone_micro: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything, sorted."""

    prices: tuple[PricePoint, ...]
    flows: tuple[FlowPoint, ...]
    blocks: tuple[BlockPoint, ...]


def outcome(problem: Json, certificate: Json) -> Outcome:
    """The public result."""
    bought, sold = _volumes(problem, certificate)
    prices = {
        (row["grade"], row["zone"], row["slot"]): row["price_micro"]
        for row in certificate["prices"]
    }
    return Outcome(
        prices=tuple(
            PricePoint(*place, prices[place], bought[place], sold[place])
            for place in sorted(prices)
        ),
        flows=tuple(_flows(problem, certificate)),
        blocks=tuple(_blocks(problem, certificate)),
    )


def _volumes(problem: Json, certificate: Json) -> tuple[dict[Place, int], dict[Place, int]]:
    by_side: dict[str, defaultdict[Place, int]] = {
        "buy": defaultdict(int),
        "sell": defaultdict(int),
    }
    steps = {row["id"]: row for row in problem["steps"]}
    blocks = {row["id"]: row for row in problem["blocks"]}
    for row in certificate["steps"]:
        step = steps[row["id"]]
        by_side[step["side"]][step["grade"], step["zone"], step["slot"]] += row["units"]
    for row in certificate["blocks"]:
        block = blocks[row["id"]]
        for slot, units in row["units_by_slot"]:
            by_side[block["side"]][block["grade"], block["zone"], slot] += units
    return by_side["buy"], by_side["sell"]


def _flows(problem: Json, certificate: Json) -> Iterable[FlowPoint]:
    links = {row["id"]: row for row in problem["links"]}
    limits = {
        (row["id"], slot): (-least, most)
        for row in problem["links"]
        for slot, least, most in row["limits"]
    }
    carried: defaultdict[tuple[str, int, bool], int] = defaultdict(int)
    for row in certificate["flows"]:
        carried[row["link"], row["slot"], row["units"] > 0] += abs(row["units"])
    for row in sorted(certificate["flows"], key=lambda r: (r["link"], r["slot"], r["grade"])):
        forward = row["units"] > 0
        link = links[row["link"]]
        ends = (link["from_zone"], link["to_zone"])
        limit = limits.get((row["link"], row["slot"]), (0, 0))[forward]
        yield FlowPoint(
            row["link"],
            *(ends if forward else ends[::-1]),
            row["grade"],
            row["slot"],
            abs(row["units"]),
            limit,
            carried[row["link"], row["slot"], forward] >= limit,
            row["transport_micro"],
            row["rent_micro"],
        )


def _blocks(problem: Json, certificate: Json) -> Iterable[BlockPoint]:
    blocks = {row["id"]: row for row in problem["blocks"]}
    for row in sorted(certificate["blocks"], key=lambda r: (-r["forgone_micro"], r["id"])):
        if row["reason"] is None:
            continue
        block = blocks[row["id"]]
        yield BlockPoint(
            row["id"],
            block["side"],
            block["grade"],
            block["zone"],
            block["price_micro"],
            sum(units for _slot, units in block["units_by_slot"]),
            sum(units for _slot, units in row["units_by_slot"]),
            row["reason"],
            row["forgone_micro"],
        )


@dataclass(frozen=True, slots=True)
class Curves:
    """Demand falling and supply rising at a node: (price, units up to there) from the first on.

    What is certain whatever the price stands at the curve's beginning: accepted blocks, and what
    comes in (as supply) or goes out (as demand) over links.
    """

    demand: tuple[tuple[int, int], ...]
    supply: tuple[tuple[int, int], ...]
    price_micro: int | None
    units: int


def curves(problem: Json, certificate: Json, place: Place) -> Curves:
    """The curves of a grade in a zone and slot."""
    grade, zone, slot = place
    low, high = problem["lowest_price_micro"], problem["highest_price_micro"]
    certain = {"buy": 0, "sell": 0}
    blocks = {row["id"]: row for row in problem["blocks"]}
    for row in certificate["blocks"]:
        block = blocks[row["id"]]
        if (block["grade"], block["zone"]) == (grade, zone):
            certain[block["side"]] += dict(map(tuple, row["units_by_slot"])).get(slot, 0)
    links = {row["id"]: row for row in problem["links"]}
    for row in certificate["flows"]:
        link = links[row["link"]]
        if (
            row["grade"] == grade
            and row["slot"] == slot
            and zone
            in (
                link["from_zone"],
                link["to_zone"],
            )
        ):
            incoming = row["units"] if zone == link["to_zone"] else -row["units"]
            certain["sell" if incoming > 0 else "buy"] += abs(incoming)
    sides: dict[str, list[tuple[int, int]]] = {"buy": [], "sell": []}
    for step in problem["steps"]:
        if (step["grade"], step["zone"], step["slot"]) == place:
            sides[step["side"]].append((step["price_micro"], step["units"]))
    price = next(
        (
            row["price_micro"]
            for row in certificate["prices"]
            if (row["grade"], row["zone"], row["slot"]) == place
        ),
        None,
    )
    accepted = {row["id"]: row["units"] for row in certificate["steps"]}
    units = certain["buy"] + sum(
        accepted.get(step["id"], 0)
        for step in problem["steps"]
        if step["side"] == "buy" and (step["grade"], step["zone"], step["slot"]) == place
    )
    return Curves(
        demand=_ladder([(high, certain["buy"]), *sorted(sides["buy"], reverse=True)]),
        supply=_ladder([(low, certain["sell"]), *sorted(sides["sell"])]),
        price_micro=price,
        units=units,
    )


def _ladder(steps: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    total, found = 0, []
    for price, units in steps:
        if units:
            total += units
            found.append((price, total))
    return tuple(found)
