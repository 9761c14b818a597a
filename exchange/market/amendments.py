"""Amendments: what they may change, whether the place in the queue is kept, what must be held.

**The entry is kept** where an amendment only asks for less: fewer units, a lower limit of any
grade, a lower ceiling, a window or a life that is narrower at either end, more units as the fewest
acceptable ones. Such an order takes nothing that it could not have taken before, and passes nobody:
whoever it stands before now, it stood before already. Anything else could take what others have
waited for, so it enters anew. One change of the second kind makes the whole amendment one.

**The hold.** From the request until its batch, an order's hold covers the old terms and the new
ones, whatever is filled between: with `r` units left and `s` spent, `r'` left under the new terms,
limits `L` and `L'` for the whole duration and a new ceiling `M'`, the larger of what the old terms
need and of `min(L' r' + max(0, L - L') r, M' - s)`. Each fill at the old limit takes at most as
much from it as it costs, so that no batch ever asks the ledger for more than is held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from datetime import datetime
from typing import Any

from django.db import connection

from core.ids import derived_id
from core.money import Rounding, divide, to_decimal, to_micro
from core.slots import SECONDS_PER_SLOT, is_slot_boundary, slot_at_or_after, slot_of, slot_start_at
from exchange.market import intake
from exchange.market.broken import Rules
from exchange.market.errors import OrderRefused
from exchange.market.models import AmendmentState, Order, OrderAmendment
from exchange.market.orderly import banding
from exchange.market.requests import AmendRequest
from exchange.market.selectors import grade_codes
from exchange.market.terms import OrderOutcome

TERMS = (
    "limit_prices",
    "units",
    "min_units",
    "earliest_slot",
    "latest_slot",
    "max_cost_micro",
    "time_in_force",
    "good_till_at",
    "expires_at",
)

_APPLY = """
    UPDATE exchange_order o SET
           limit_prices = a.limit_prices, units = a.units, min_units = a.min_units,
           earliest_slot = a.earliest_slot, latest_slot = a.latest_slot,
           max_cost_micro = a.max_cost_micro, time_in_force = a.time_in_force,
           good_till_at = a.good_till_at, expires_at = a.expires_at, version = a.number,
           held_micro = n.held_micro
      FROM unnest(%s::uuid[], %s::bigint[]) AS n (amendment_id, held_micro)
      JOIN exchange_orderamendment a ON a.id = n.amendment_id
     WHERE o.id = a.order_id
"""


def amendment_of(order: Order, request: AmendRequest, *, now: datetime) -> OrderAmendment:
    """The unsaved amendment of a locked order; ``OrderRefused`` names every rule that it breaks."""
    rules = Rules([])
    wanted = copy(order)
    _limits(wanted, request, rules)
    _quantities(wanted, request, rules)
    _window(wanted, request, rules, now)
    _life(wanted, request, rules, now)
    changed = facts_of(wanted) != facts_of(order)
    rules.require(changed, "version", "nothing would change", "name a field and a new value")
    if not rules.problems:
        most = hold_under_way(wanted, None, filled=order.filled_units, spent=order.spent_micro)
        rules.require(
            most <= intake.MAX_HELD_MICRO,
            "units",
            f"the order could cost more than {to_decimal(intake.MAX_HELD_MICRO):f} yuan",
            "ask for fewer units, or a lower limit",
        )
    if not rules.problems and "grades" in request.named and not request.allow_outside_band:
        banding.check_order(wanted, rules)
    if rules.problems:
        raise OrderRefused("The amendment breaks rules of the market.", fields=rules.problems)
    newest = order.amendments.order_by("-number").values_list("number", flat=True).first()
    return OrderAmendment(
        order=order,
        number=(newest or 0) + 1,
        state=AmendmentState.REQUESTED,
        keeps_entry=keeps_entry(order, wanted),
        requested_at=now,
        **_terms(wanted),
    )


def store(order: Order, amendment: OrderAmendment) -> None:
    """Write the amendment, and before the first one the terms as placed."""
    if amendment.number == 1:
        OrderAmendment.objects.create(
            id=derived_id(order.placed_at, "placed", order.id),
            order=order,
            number=0,
            state=AmendmentState.PLACED,
            keeps_entry=False,
            requested_at=order.placed_at,
            **_terms(order),
        )
    amendment.save(force_insert=True)


def keeps_entry(before: Order, after: Order) -> bool:
    """Whether the new terms only ask for less, so that the place in the queue is kept."""
    return (
        after.units <= before.units
        and all(
            new <= old for old, new in zip(before.limit_prices, after.limit_prices, strict=True)
        )
        and after.min_units >= min(before.min_units, after.units)
        and after.earliest_slot >= before.earliest_slot
        and after.latest_slot <= before.latest_slot
        and _no_higher(before.max_cost_micro, after.max_cost_micro)
        and after.time_in_force in (before.time_in_force, "gtd")
        and after.expires_at <= before.expires_at
    )


def hold_under_way(
    order: Order, amendment: OrderAmendment | None, *, filled: int, spent: int
) -> int:
    """What must be held for ``order`` while ``amendment`` (if any) waits, in micro-yuan."""
    remaining = order.units - filled
    needed = intake.order_hold(order, remaining_units=remaining, spent_micro=spent)
    if amendment is None:
        return needed
    then_remaining = max(amendment.units - filled, 0)
    dearest, then_dearest = (
        max(to_micro(price) for price in terms.limit_prices) for terms in (order, amendment)
    )
    seconds = (order.duration_slots + int(order.on_demand)) * SECONDS_PER_SLOT
    then = then_dearest * then_remaining + max(dearest - then_dearest, 0) * remaining
    most = divide(then * seconds, SECONDS_PER_SLOT, Rounding.UP) + intake.ROUNDED_UP_AT_MOST * max(
        then_remaining, remaining
    )
    if amendment.max_cost_micro is not None:
        most = min(most, amendment.max_cost_micro - spent)
    return max(needed, most)


def with_terms(order: Order, amendment: OrderAmendment) -> Order:
    """A copy of the order under the amendment's terms."""
    amended = copy(order)
    for name in TERMS:
        setattr(amended, name, getattr(amendment, name))
    return amended


def applied(order: Order, amendment: OrderAmendment, outcome: OrderOutcome) -> Order:
    """The order as the batch that applies the amendment leaves its terms."""
    amended = with_terms(order, amendment)
    amended.version = amendment.number
    left = intake.order_hold(
        amended, remaining_units=outcome.remaining_units, spent_micro=outcome.spent_micro
    )
    amended.held_micro = max(outcome.spent_micro + left, 1)
    return amended


def write(
    decided: Sequence[tuple[OrderAmendment, str]],
    amended: Mapping[Any, Order],
    *,
    batch: int,
    now: datetime,
) -> None:
    """Write what a batch made of amendments, and the terms of the orders that were amended."""
    for amendment, refusal in decided:
        amendment.state = AmendmentState.REFUSED if refusal else AmendmentState.APPLIED
        amendment.reason, amendment.batch, amendment.decided_at = refusal, batch, now
    OrderAmendment.objects.bulk_update(
        [amendment for amendment, _ in decided],
        ["state", "reason", "batch", "decided_at"],
        batch_size=500,
    )
    rows = [(a.id, amended[a.order_id].held_micro) for a, refusal in decided if not refusal]
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(_APPLY, [list(column) for column in zip(*rows, strict=True)])


def facts_of(row: Order | OrderAmendment) -> dict[str, Any]:
    """The terms that may be amended, for people and for the audit chain."""
    facts = _terms(row)
    facts["limit_prices"] = [f"{price:.6f}" for price in row.limit_prices]
    for name in ("good_till_at", "expires_at"):
        facts[name] = facts[name] and facts[name].isoformat()
    return facts


def _terms(row: Order | OrderAmendment) -> dict[str, Any]:
    return {name: getattr(row, name) for name in TERMS}


def _no_higher(before: int | None, after: int | None) -> bool:
    return before is None or (after is not None and after <= before)


def _limits(wanted: Order, request: AmendRequest, rules: Rules) -> None:
    if "grades" not in request.named:
        return
    codes = grade_codes()
    limits = dict(zip((codes[id_] for id_ in wanted.grade_ids), wanted.limit_prices, strict=True))
    for index, limit in enumerate(request.limits):
        if rules.require(
            limit.grade in limits,
            f"grades[{index}].grade",
            "an amendment changes limits of the order's own grades",
            f"one of {', '.join(limits)}; for other grades place another order",
        ):
            limits[limit.grade] = to_decimal(limit.limit_micro)
    named = [limit.grade for limit in request.limits]
    rules.require(
        len(set(named)) == len(named), "grades", "a grade stands once", "name each grade once"
    )
    wanted.limit_prices = list(limits.values())


def _quantities(wanted: Order, request: AmendRequest, rules: Rules) -> None:
    if "units" in request.named:
        wanted.units = request.units
    rules.require(
        max(wanted.filled_units, 1) <= wanted.units <= intake.MAX_UNITS,
        "units",
        f"at least the {wanted.filled_units} that are filled, at most {intake.MAX_UNITS}",
        "to end the rest, amend to the units that are filled, or cancel",
    )
    if "min_units" in request.named:
        wanted.min_units = request.min_units
    rules.require(
        0 < wanted.min_units <= wanted.units,
        "min_units",
        "at least 1 and at most the units ordered",
        "lower min_units with the units",
    )
    if "max_cost" in request.named:
        wanted.max_cost_micro = request.max_cost_micro
    ceiling = wanted.max_cost_micro
    rules.require(
        ceiling is None
        or wanted.spent_micro < ceiling <= intake.MAX_HELD_MICRO
        or wanted.units == wanted.filled_units,
        "max_cost",
        f"above the {to_decimal(wanted.spent_micro):f} yuan that are spent",
        "give the most that the whole order may cost, what is filled included",
    )


def _window(wanted: Order, request: AmendRequest, rules: Rules, now: datetime) -> None:
    for field, column in (
        ("earliest_start_at", "earliest_slot"),
        ("latest_end_at", "latest_slot"),
    ):
        at = getattr(request, field)
        if field in request.named and rules.require(
            at is not None and is_slot_boundary(at),
            field,
            "delivery covers whole UTC hours",
            "give a full hour",
        ):
            setattr(wanted, column, slot_of(at))
    if "earliest_start_at" in request.named:
        rules.require(
            not wanted.on_demand and wanted.earliest_slot >= slot_of(now),
            "earliest_start_at",
            "lies in the past, or the order starts on demand",
            "give an hour that is still to come",
        )
    if not {"earliest_start_at", "latest_end_at"} & request.named:
        return
    needed = wanted.duration_slots + int(wanted.on_demand)
    current = slot_of(now) if wanted.on_demand else slot_at_or_after(now)
    first_end = max(wanted.earliest_slot, current) + needed
    rules.require(
        wanted.latest_slot >= first_end,
        "latest_end_at",
        "what is left of the window is shorter than the duration",
        f"it must end at {slot_start_at(first_end).isoformat()} or later",
    )
    rules.require(
        wanted.latest_slot <= slot_of(now) + intake.HORIZON_SLOTS + 1,
        "latest_end_at",
        f"delivery ends within {intake.HORIZON_SLOTS // 24} days",
        "give an earlier end",
    )


def _life(wanted: Order, request: AmendRequest, rules: Rules, now: datetime) -> None:
    if "time_in_force" in request.named:
        wanted.time_in_force = request.time_in_force
        if request.time_in_force != "gtd":
            wanted.good_till_at = None
    if "good_till_at" in request.named:
        wanted.good_till_at = request.good_till_at
    intake.check_good_till(wanted.time_in_force, wanted.good_till_at, rules, now)
    wanted.expires_at = intake.expires_at(
        latest=wanted.latest_slot,
        duration_hours=wanted.duration_slots,
        good_till_at=wanted.good_till_at,
    )
