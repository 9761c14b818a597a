"""What a batch leaves behind, in one transaction of set-based statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.models import Organisation
from core import clock, outbox
from core.ids import derived_id
from core.models import OutboxEvent
from core.money import Rounding, divide, to_decimal
from core.slots import slot_of
from core.states import next_state
from core.wakeups import wake
from exchange.capacity.models import Book, BookEventKind, Pool
from exchange.market import amendments, locks
from exchange.market.admission import Batch
from exchange.market.models import Offer, OfferState, Order, OrderAmendment, Trade
from exchange.market.states import ORDER_TRANSITIONS
from exchange.market.terms import BatchResult, Fill, OrderOutcome, OutcomeState
from exchange.market.translation import Translation
from exchange.pricing import chart
from exchange.pricing.engine import compute_cost, transport_cost
from exchange.pricing.models import RuleSet
from exchange.pricing.selectors import rule_set_at
from ledger import services as ledger

TRADE_HOLD_CODE = "trade.hold"
LEASES_WAKE_UP = "leases"
_HALTED = BookEventKind.TRADING_HALTED

_TRADE_COLUMNS = Trade._meta.concrete_fields

_UPDATE_ORDERS = """
    UPDATE exchange_order o SET
           state = n.state, state_reason = n.reason, filled_units = n.filled_units,
           spent_micro = n.spent_micro, entry_batch = n.entry_batch,
           entry_position = n.entry_position, closed_at = n.closed_at
      FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::int[], %s::bigint[], %s::bigint[],
                  %s::int[], %s::timestamptz[])
           AS n (id, state, reason, filled_units, spent_micro, entry_batch, entry_position,
                 closed_at)
     WHERE o.id = n.id
 RETURNING o.id, COALESCE(o.hold_id, o.id)
"""


def write_batch(batch: Batch, said: Translation, result: BatchResult) -> bool:
    """Write a batch's trades, fills and holds; False where another worker has written it.

    The book's version is compared and set first: it is what makes a batch happen once.
    """
    book, number = batch.book, batch.admission.batch
    written = Book.objects.filter(id=book.id, version=number - 1, admitted=number)
    known: dict[str, Any] = {"version": number}
    if said.halts_and_resumptions:
        known["halts_in_force"] = said.halts_in_force
    if not written.update(**known):
        return False
    work = _Work(batch, said, result)
    amendments.write(work.decided, work.amended, batch=number, now=work.now)
    if work.trades:
        _widen_offers(said)
    copy_trades(work.trades)
    hold_ids = _update_orders(work)
    _update_offers_and_pools(batch, said)
    _post_holds(work, hold_ids)
    outbox.emit_many([*_halt_events(batch, said), *_events(work)])
    if work.trades:
        wake(LEASES_WAKE_UP)
    return True


class _Work:
    """What follows from a result, computed once: rows of orders, trades, and their new states."""

    def __init__(self, batch: Batch, said: Translation, result: BatchResult) -> None:
        self.batch, self.result = batch, result
        self.written_at = clock.now()
        self.now = batch.admission.admitted_at
        touched = {UUID(int=outcome.order) for outcome in result.outcomes}
        # An amendment may come too late for an order that an earlier batch closed.
        missing = (touched | said.amendments.keys()) - said.entered_orders.keys()
        self.orders: dict[UUID, Order] = said.entered_orders | Order.objects.in_bulk(missing)
        self.decided = [
            (said.amendments[UUID(int=told.order)], told.refusal) for told in result.amendments
        ]
        # Orders under their new terms; `orders` has them as they were before the batch.
        self.amended = {
            amendment.order_id: amendments.applied(
                self.orders[amendment.order_id], amendment, self._outcome(amendment.order_id)
            )
            for amendment, refusal in self.decided
            if not refusal
        }
        for order_id, order in self.amended.items():
            if order_id in said.new_entries:
                order.entry_batch, order.entry_position = said.new_entries[order_id]
        self.rules: RuleSet | None = None
        self.trades: list[Trade] = self._trades(result.fills) if result.fills else []

    def after(self, order_id: UUID) -> Order:
        """The order under the terms that the batch leaves it with."""
        return self.amended.get(order_id) or self.orders[order_id]

    def _outcome(self, order_id: UUID) -> OrderOutcome:
        return next(o for o in self.result.outcomes if o.order == order_id.int)

    def _trades(self, fills: Sequence[Fill]) -> list[Trade]:
        self.rules = rule_set_at(self.now)
        offers = Offer.objects.select_related("pool__centre")
        self.offers = offers.in_bulk({UUID(int=fill.offer) for fill in fills})
        trades = [self._trade(i, fill) for i, fill in enumerate(fills)]
        regions = _regions_of_buyers(trade.buyer_id for trade in trades)
        for trade in trades:
            trade.buyer_region_id = regions[trade.buyer_id]
        return trades

    def _trade(self, position: int, fill: Fill) -> Trade:
        if self.rules is None:
            raise RuntimeError("a trade is made under a version of the rules")
        order, offer = self.orders[UUID(int=fill.order)], self.offers[UUID(int=fill.offer)]
        number = self.batch.admission.batch
        mean_price = divide(fill.price_numerator, fill.seconds, Rounding.HALF_EVEN)
        return Trade(
            id=derived_id(self.now, "trade", self.batch.book.id, number, position),
            book_id=self.batch.book.id,
            batch=number,
            position=position,
            order_id=order.id,
            offer_id=offer.id,
            pool_id=offer.pool_id,
            grade_id=fill.grade,
            buyer_id=order.buyer_id,
            seller_id=offer.provider_id,
            seller_region_id=offer.pool.centre.region_id,
            rule_set_id=self.rules.version,
            resting_side=fill.rested.value,
            units=fill.units,
            start_slot=fill.start_slot,
            end_slot=fill.end_slot,
            starts_at=datetime.fromtimestamp(fill.start_s, UTC),
            ends_at=datetime.fromtimestamp(fill.end_s, UTC),
            price_per_unit_hour=to_decimal(mean_price),
            compute_micro=compute_cost(price_numerator=fill.price_numerator, units=fill.units),
            transport_micro=transport_cost(
                transport_nano_per_unit=fill.transport_nano_per_unit, units=fill.units
            ),
            path_link_ids=list(fill.links),
            is_reclaimable=offer.is_reclaimable,
            reclaim_notice_seconds=offer.reclaim_notice_seconds if offer.is_reclaimable else None,
            reclaim_compensation_bp=offer.reclaim_compensation_bp,
            reclaim_least_micro=offer.reclaim_least_micro,
            allows_resale=offer.allows_resale,
            resold_from_id=offer.resale_of_id,
            traded_at=self.written_at,
        )


def _regions_of_buyers(buyer_ids: Iterable[UUID]) -> dict[UUID, str]:
    buyers = Organisation.objects.filter(id__in=set(buyer_ids)).only("region_code")
    return {buyer.id: buyer.region_code for buyer in buyers}


def copy_trades(trades: Sequence[Trade]) -> None:
    """Write trades, thousands in one statement."""
    if not trades:
        return
    names = ", ".join(str(column.column) for column in _TRADE_COLUMNS)
    with (
        connection.wrap_database_errors,  # which Django does for execute, not for COPY
        connection.cursor() as cursor,
        cursor.copy(f"COPY exchange_trade ({names}) FROM STDIN") as copy,
    ):
        for trade in trades:
            copy.write_row([getattr(trade, column.attname) for column in _TRADE_COLUMNS])


def _widen_offers(said: Translation) -> None:
    """Let changed offers span every window that they have in the batch, until it has its trades.

    The database holds a trade against its offer's row; the batch made it under the terms before a
    change or after.
    """
    for offer_id, (start, end) in said.widest_windows.items():
        Offer.objects.filter(id=offer_id).update(start_slot=start, end_slot=end)


def _update_orders(work: _Work) -> dict[UUID, UUID]:
    """Write where the orders stand; answers their holds, which an amendment may have replaced."""
    rows = []
    for outcome in work.result.outcomes:
        order = work.after(UUID(int=outcome.order))
        state = _state_after(order.state, outcome)
        rows.append(
            (
                order.id,
                state,
                outcome.reason,
                order.units - outcome.remaining_units,
                outcome.spent_micro,
                order.entry_batch,
                order.entry_position,
                work.now if _is_closed(outcome) else None,
            )
        )
    if not rows:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_UPDATE_ORDERS, [list(column) for column in zip(*rows, strict=True)])
        return dict(cursor.fetchall())


def _state_after(state: str, outcome: OrderOutcome) -> str:
    """The state that the outcome means, each step of the way taken through the table."""
    final = outcome.state.value
    steps = ["admit"] if state == "pending" and final != "rejected" else []
    if final == "filled":
        steps.append("fill")
    elif outcome.filled_units:
        steps.append("fill_in_part")
    closing = {"cancelled": "cancel", "expired": "expire", "rejected": "reject"}
    if final in closing:
        steps.append(closing[final])
    for step in steps:
        state = next_state(ORDER_TRANSITIONS, state, step, what="an order")
    if state != final:
        raise RuntimeError(f"the engine says {final}, the table of states {state}")
    return state


def _is_closed(outcome: OrderOutcome) -> bool:
    return outcome.state not in (OutcomeState.OPEN, OutcomeState.PARTIALLY_FILLED)


def _update_offers_and_pools(batch: Batch, said: Translation) -> None:
    if said.changed_offers:
        Offer.objects.bulk_update(
            said.changed_offers.values(),
            [
                "state",
                "entry_batch",
                "entry_position",
                "units",
                "start_slot",
                "end_slot",
                "prices",
                "min_duration_slots",
                "max_duration_slots",
                "min_chunk_units",
                "is_reclaimable",
                "reclaim_notice_seconds",
                "reclaim_compensation_bp",
                "reclaim_least_micro",
            ],
            batch_size=500,
        )
    if said.changed_pools:
        Pool.objects.bulk_update(said.changed_pools.values(), ["book_terms"], batch_size=500)
    if not (batch.ticks or said.changed_offers):
        return  # no window can have ended since the batch before
    # Nothing can be taken from an offer whose window is over; the state only says so.
    Offer.objects.filter(
        book=batch.book,
        state__in=(OfferState.OPEN, OfferState.PAUSED),
        end_slot__lte=slot_of(batch.admission.admitted_at),
    ).update(state=OfferState.EXPIRED)


def _post_holds(work: _Work, hold_ids: dict[UUID, UUID]) -> None:
    """Split each order's hold into one for each trade; the surplus is free at once.

    One group for each order: what its own hold no longer needs is released, and the trades' holds
    are made of it.
    """
    trades: dict[UUID, list[Trade]] = defaultdict(list)
    for trade in work.trades:
        trades[trade.order_id].append(trade)
    groups: list[ledger.Group] = []
    under_way = locks.amendments_under_way(hold_ids)
    decided = {amendment.order_id: amendment for amendment, _ in work.decided}
    for outcome in work.result.outcomes:
        order = work.orders[UUID(int=outcome.order)]
        waiting = under_way.get(order.id)
        hold = _Hold(hold_ids[order.id], held_for=waiting or decided.get(order.id), waits=waiting)
        operations = _release(hold, order, work.after(order.id), outcome)
        operations += [trade_hold(trade, work.rules) for trade in trades[order.id]]
        if operations:
            groups.append(tuple(operations))
    for result in ledger.post(groups, now=work.now) if groups else ():
        if not result.ok:
            raise RuntimeError(f"the ledger refused to split a hold: {result}")


@dataclass(frozen=True, slots=True)
class _Hold:
    """An order's hold, the amendment that it covers besides, and the one that it still has to."""

    id: UUID
    held_for: OrderAmendment | None
    waits: OrderAmendment | None


def _release(
    hold: _Hold, before: Order, after: Order, outcome: OrderOutcome
) -> list[ledger.Operation]:
    if _is_closed(outcome):
        return [ledger.ReleaseHold(hold=hold.id)]
    needed = amendments.hold_under_way(
        after, hold.waits, filled=after.units - outcome.remaining_units, spent=outcome.spent_micro
    )
    held = amendments.hold_under_way(
        before, hold.held_for, filled=before.filled_units, spent=before.spent_micro
    )
    return [ledger.ReleaseHold(hold=hold.id, amount=held - needed)] if held > needed else []


def trade_hold(trade: Trade, rules: RuleSet | None) -> ledger.CreateHold:
    """The hold of a trade: its cost, until what it delivers can be reported no more."""
    if rules is None:
        raise RuntimeError("a trade is made under a version of the rules")
    return ledger.CreateHold(
        id=trade.id,
        account=chart.account(trade.buyer_id, chart.AVAILABLE, trade.buyer_region_id),
        amount=trade.compute_micro + trade.transport_micro,
        code=TRADE_HOLD_CODE,
        reference=trade.id,
        expires_at=trade.ends_at + timedelta(seconds=rules.reporting_grace_seconds),
    )


def _halt_events(batch: Batch, said: Translation) -> list[OutboxEvent]:
    return [
        OutboxEvent(
            kind=f"market.{'halted' if event.kind == _HALTED else 'resumed'}",
            organisation_id=None,
            subject_id=event.subject_id,
            payload={"book": batch.book.code, "regions": event.payload["regions"]},
            occurred_at=batch.admission.admitted_at,
        )
        for event in said.halts_and_resumptions
    ]


def _events(work: _Work) -> list[OutboxEvent]:
    told = partial(OutboxEvent, occurred_at=work.now)
    events = []
    for amendment, refusal in work.decided:
        events.append(
            told(
                kind="order.amendment_refused" if refusal else "order.amended",
                organisation_id=work.orders[amendment.order_id].buyer_id,
                subject_id=amendment.order_id,
                payload={"amendment": str(amendment.id), "reason": refusal},
            )
        )
    for outcome in work.result.outcomes:
        order = work.after(UUID(int=outcome.order))
        events.append(
            told(
                kind=f"order.{outcome.state.value}",
                organisation_id=order.buyer_id,
                subject_id=order.id,
                payload={
                    "filled_units": order.units - outcome.remaining_units,
                    "units": order.units,
                    "reason": outcome.reason,
                },
            )
        )
    for trade in work.trades:
        events += trade_events(trade, occurred_at=work.now)
    return events


def trade_events(trade: Trade, *, occurred_at: datetime) -> list[OutboxEvent]:
    """What everybody, the buyer and the seller are told of a trade."""
    told = partial(OutboxEvent, occurred_at=occurred_at, subject_id=trade.id)
    public = {
        "grade_id": trade.grade_id,
        "region": trade.seller_region_id,
        "units": trade.units,
        "price_per_unit_hour": str(trade.price_per_unit_hour),
        "starts_at": trade.starts_at.isoformat(),
        "ends_at": trade.ends_at.isoformat(),
    }
    own = {trade.buyer_id: {"order": str(trade.order_id)}}
    own[trade.seller_id] = {"offer": str(trade.offer_id)}
    return [
        told(kind="market.trade", organisation_id=None, payload=public),
        *(
            told(kind="trade.made", organisation_id=party, payload=public | facts)
            for party, facts in own.items()
        ),
    ]
