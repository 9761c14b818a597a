"""Orders, offers, trades, leases, pools and centres, as pages with links along the trip."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import Count, Q, QuerySet, Sum
from django.utils.translation import gettext as _

from billing.rating.models import Charge
from billing.settlement.models import Payout, SettlementBatch
from console import cells, words
from console.cells import Cell, Column, Fact, Table
from console.reads import rows
from console.trip import Thing, stops
from core.slots import slot_start_at
from exchange.capacity.models import Centre, Grade, Pool
from exchange.market.models import Offer, Order, Trade
from exchange.scheduling.models import Lease
from ledger.models import Hold

MANY = 100  # rows of a table on a thing's page; what is beyond is counted, not shown


def _window(start: datetime, end: datetime) -> list[Fact]:
    return [Fact(_("From"), cells.instant(start)), Fact(_("To"), cells.instant(end))]


def _money_trip(charges: QuerySet[Charge]) -> dict[str, tuple[str, int | None]]:
    """Links to the batches that the charges fall in: the newest, and how many."""
    found = list(
        SettlementBatch.objects.filter(period__charges__in=charges.order_by().values("pk"))
        .exclude(state="rejected")
        .distinct()
        .order_by("-pk")
        .values_list("pk", flat=True)
    )
    return {"batch": (rows.batch_url(found[0]), len(found))} if found else {}


def order(thing_id: UUID) -> Thing | None:
    """An order with its terms, its hold and its trades."""
    one = (
        Order.objects.select_related("buyer", "book", "rtt_region", "data_region")
        .filter(id=thing_id)
        .first()
    )
    if one is None:
        return None
    trades = list(_trades(Trade.objects.filter(order=one)).order_by("id")[:MANY])
    charges = Charge.objects.filter(lease__trade__order=one)
    charged = charges.aggregate(count=Count("pk"), amount=Sum("amount_micro"))
    hold = Hold.objects.filter(id=one.id).first()
    links = _from_order(trades, charged["count"])
    links |= _money_trip(charges) if charged["count"] else {}
    return Thing(
        kind="order",
        id=one.id,
        title=one.client_reference or one.buyer.name,
        state=cells.state("order", one.state),
        facts=[*_order_facts(one), Fact(_("Charged so far"), cells.money(charged["amount"] or 0))],
        tables=[
            _limits(one),
            trade_table(trades),
            *([rows.hold_table([hold])] if hold else []),
        ],
        stops=stops("order", links),
    )


def _from_order(trades: list[Trade], charges: int) -> dict[str, tuple[str, int | None]]:
    """What an order leads to: straight to its lease where there is one, else to the table."""
    leases = [trade.id for trade in trades if getattr(trade, "lease", None) is not None]
    trade = cells.thing_url("trade", trades[0].id) if len(trades) == 1 else "#trades"
    lease = cells.thing_url("lease", leases[0]) if len(leases) == 1 else "#trades"
    only = len(leases) == 1
    return {
        "trade": (trade, len(trades)),
        "lease": (lease if leases else "", len(leases)),
        "usage": (f"{lease}#usage" if only else "", None),
        "charge": (f"{lease}#charges" if only else "#trades", charges),
    }


def _order_facts(one: Order) -> list[Fact]:
    facts = [
        Fact(_("Buyer"), cells.organisation(one.buyer)),
        Fact(_("Book"), cells.code(one.book.code)),
        Fact(_("Units"), cells.number(one.units)),
        Fact(_("Filled units"), cells.number(one.filled_units)),
        Fact(_("Smallest units"), cells.number(one.min_units)),
        Fact(_("Duration in hours"), cells.number(one.duration_slots)),
        Fact(_("Earliest start"), cells.minute(slot_start_at(one.earliest_slot))),
        Fact(_("Latest end"), cells.minute(slot_start_at(one.latest_slot))),
        Fact(_("On demand"), cells.text(_("yes") if one.on_demand else _("no"))),
        Fact(_("Placement"), cells.text(words.word("placement", one.placement))),
        Fact(_("Time in force"), cells.text(words.word("time_in_force", one.time_in_force))),
        Fact(_("Placed"), cells.instant(one.placed_at)),
        Fact(_("Closed at"), cells.instant(one.closed_at)),
        Fact(_("Held when placed"), cells.money(one.held_micro)),
        Fact(_("Cost of its trades"), cells.money(one.spent_micro)),
    ]
    if one.state_reason:
        facts.append(Fact(_("Reason"), cells.text(one.state_reason or None)))
    if one.rtt_region and one.max_rtt_us is not None:
        bound = f"≤ {one.max_rtt_us / 1000:g} ms · {cells.region_name(one.rtt_region)}"
        facts.append(Fact(_("Round-trip time"), cells.text(bound)))
    if one.data_region:
        moved = f"{one.data_in_gb_per_unit:f} / {one.data_out_gb_per_unit:f} GB"
        facts.append(Fact(_("Data in / out per unit"), cells.text(moved)))
        facts.append(Fact(_("Data region"), cells.region(one.data_region)))
    if one.max_cost_micro is not None:
        facts.append(Fact(_("Ceiling of cost"), cells.money(one.max_cost_micro)))
    return facts


def _limits(one: Order) -> Table:
    grades = Grade.objects.in_bulk(one.grade_ids)
    return Table(
        title=_("Grades and limits"),
        anchor="limits",
        columns=[Column(_("Grade")), Column(_("Limit per unit-hour"), figures=True)],
        rows=[
            [
                cells.code(grades[grade_id].code if grade_id in grades else grade_id),
                cells.money(int(limit * 1_000_000)),
            ]
            for grade_id, limit in zip(one.grade_ids, one.limit_prices, strict=True)
        ],
    )


def _trades(found: QuerySet[Trade]) -> QuerySet[Trade]:
    return found.select_related(
        "grade", "seller", "buyer", "seller_region", "buyer_region", "lease"
    ).annotate(charged_micro=Sum("lease__charges__amount_micro"))


def trade_table(trades: list[Trade]) -> Table:
    """Trades, each with its lease's state and what it was charged so far."""
    return Table(
        title=_("Trades"),
        anchor="trades",
        columns=[
            Column(_("Trade")),
            Column(_("Grade")),
            Column(_("Seller")),
            Column(_("Region")),
            Column(_("From")),
            Column(_("To")),
            Column(_("Units"), figures=True),
            Column(_("Price per unit-hour"), figures=True),
            Column(_("Cost"), figures=True),
            Column(_("Charged"), figures=True),
            Column(_("Lease")),
        ],
        rows=[_trade_row(trade) for trade in trades],
        empty=_("No trade yet."),
    )


def _trade_row(trade: Trade) -> list[Cell]:
    lease = getattr(trade, "lease", None)
    return [
        cells.thing("trade", trade.id),
        cells.code(trade.grade.code),
        cells.organisation(trade.seller),
        cells.region(trade.seller_region),
        cells.minute(trade.starts_at),
        cells.minute(trade.ends_at),
        cells.number(trade.units),
        cells.money(int(trade.price_per_unit_hour * 1_000_000)),
        cells.money(trade.compute_micro + trade.transport_micro),
        cells.money(getattr(trade, "charged_micro", None)),
        cells.state("lease", lease.state) if lease else cells.text(None),
    ]


def offer(thing_id: UUID) -> Thing | None:
    """An offer with its prices and what it sold."""
    one = (
        Offer.objects.select_related("provider", "pool__centre__region", "pool__grade", "book")
        .filter(id=thing_id)
        .first()
    )
    if one is None:
        return None
    trades = list(_trades(Trade.objects.filter(offer=one)).order_by("-id")[:MANY])
    cheapest, dearest = min(one.prices), max(one.prices)
    facts = [
        Fact(_("Provider"), cells.organisation(one.provider)),
        Fact(_("Pool"), cells.text(one.pool.code, cells.thing_url("pool", one.pool_id))),
        Fact(_("Grade"), cells.code(one.pool.grade.code)),
        Fact(_("Region"), cells.region(one.pool.centre.region)),
        Fact(_("Units"), cells.number(one.units)),
        *_window(slot_start_at(one.start_slot), slot_start_at(one.end_slot)),
        Fact(_("Lowest price per unit-hour"), cells.money(int(cheapest * 1_000_000))),
        Fact(_("Highest price per unit-hour"), cells.money(int(dearest * 1_000_000))),
        Fact(
            _("Duration in hours"),
            cells.text(f"{one.min_duration_slots} … {one.max_duration_slots}"),
        ),
        Fact(_("Smallest chunk"), cells.number(one.min_chunk_units)),
        Fact(_("Reclaimable"), cells.text(_("yes") if one.is_reclaimable else _("no"))),
        Fact(_("Made"), cells.instant(one.created_at)),
    ]
    return Thing(
        kind="offer",
        id=one.id,
        title=f"{one.pool.code} · {one.provider.name}",
        state=cells.state("offer", one.state),
        facts=facts,
        tables=[trade_table(trades)],
    )


def trade(thing_id: UUID) -> Thing | None:
    """A trade: who sold what to whom, at what price, under which rules."""
    one = (
        Trade.objects.select_related(
            "order",
            "pool__centre",
            "grade",
            "buyer",
            "seller",
            "buyer_region",
            "seller_region",
            "lease",
            "book",
        )
        .filter(id=thing_id)
        .first()
    )
    if one is None:
        return None
    charges = list(rows.charges(Charge.objects.filter(lease=one.id)).order_by("id")[:MANY])
    hold = Hold.objects.filter(Q(id=one.id) | Q(reference=one.id)).order_by("id")[:5]
    return Thing(
        kind="trade",
        id=one.id,
        title=one.grade.code,
        state=None,
        facts=_trade_facts(one),
        tables=[rows.charge_table(charges), rows.hold_table(list(hold))],
        stops=stops(
            "trade",
            {
                "order": (cells.thing_url("order", one.order_id), 1),
                **_delivery_links(one, len(charges)),
            },
        ),
    )


def _delivery_links(one: Trade, charge_count: int) -> dict[str, tuple[str, int | None]]:
    links: dict[str, tuple[str, int | None]] = {"charge": ("#charges", charge_count)}
    if getattr(one, "lease", None) is not None:
        links["lease"] = (cells.thing_url("lease", one.id), 1)
        links["usage"] = (cells.thing_url("lease", one.id) + "#usage", None)
    if charge_count:
        links |= _money_trip(Charge.objects.filter(lease=one.id))
    return links


def _trade_facts(one: Trade) -> list[Fact]:
    return [
        Fact(_("Buyer"), cells.organisation(one.buyer)),
        Fact(_("Buyer's region"), cells.region(one.buyer_region)),
        Fact(_("Seller"), cells.organisation(one.seller)),
        Fact(_("Seller's region"), cells.region(one.seller_region)),
        Fact(_("Order"), cells.thing("order", one.order_id)),
        Fact(_("Offer"), cells.thing("offer", one.offer_id)),
        Fact(_("Pool"), cells.text(one.pool.code, cells.thing_url("pool", one.pool_id))),
        Fact(_("Centre"), cells.text(one.pool.centre.name)),
        Fact(_("Units"), cells.number(one.units)),
        *_window(one.starts_at, one.ends_at),
        Fact(_("Price per unit-hour"), cells.money(int(one.price_per_unit_hour * 1_000_000))),
        Fact(_("Compute, at full delivery"), cells.money(one.compute_micro)),
        Fact(_("Transport, at full delivery"), cells.money(one.transport_micro)),
        Fact(_("Price of"), cells.text(words.word("side", one.resting_side))),
        Fact(_("Rule set"), cells.number(one.rule_set_id)),
        Fact(_("Book, batch, position"), cells.code(f"{one.book.code} {one.batch}/{one.position}")),
        Fact(_("Traded"), cells.instant(one.traded_at)),
    ]


def lease(thing_id: UUID) -> Thing | None:
    """A lease: its way through its states, its usage and its charges."""
    one = (
        Lease.objects.select_related("trade__grade", "buyer", "provider", "centre__region")
        .filter(pk=thing_id)
        .first()
    )
    if one is None:
        return None
    usage = list(one.usage_records.order_by("period_start_at", "id")[:MANY])
    charges = list(rows.charges(one.charges.all()).order_by("id")[:MANY])
    events = list(one.events.order_by("id")[:MANY])
    links: dict[str, tuple[str, int | None]] = {
        "order": (cells.thing_url("order", one.trade.order_id), 1),
        "trade": (cells.thing_url("trade", one.pk), 1),
        "usage": ("#usage", len(usage)),
        "charge": ("#charges", len(charges)),
        **(_money_trip(one.charges.all()) if charges else {}),
    }
    return Thing(
        kind="lease",
        id=one.pk,
        title=one.trade.grade.code,
        state=cells.state("lease", one.state),
        facts=[
            Fact(_("Buyer"), cells.organisation(one.buyer)),
            Fact(_("Provider"), cells.organisation(one.provider)),
            Fact(_("Centre"), cells.text(one.centre.name)),
            Fact(_("Region"), cells.region(one.centre.region)),
            Fact(_("Units"), cells.number(one.units)),
            *_window(one.starts_at, one.ends_at),
            Fact(_("Activated"), cells.instant(one.activated_at)),
            Fact(_("Ended"), cells.instant(one.ended_at)),
            Fact(_("Reason"), cells.text(one.state_reason or None)),
        ],
        tables=[
            rows.usage_table(usage),
            rows.charge_table(charges),
            rows.lease_event_table(events),
        ],
        stops=stops("lease", links),
    )


def pool(thing_id: UUID) -> Thing | None:
    """A pool with its offers."""
    one = Pool.objects.select_related("centre__region", "centre__provider", "grade").filter(
        id=thing_id
    )
    found = one.first()
    if found is None:
        return None
    offers = list(found.offers.order_by("-id")[:MANY])
    return Thing(
        kind="pool",
        id=found.id,
        title=found.code,
        state=cells.state("health", found.health),
        facts=[
            Fact(_("Provider"), cells.organisation(found.centre.provider)),
            Fact(
                _("Centre"),
                cells.text(found.centre.name, cells.thing_url("centre", found.centre_id)),
            ),
            Fact(_("Region"), cells.region(found.centre.region)),
            Fact(_("Grade"), cells.code(found.grade.code)),
            Fact(_("Registered units"), cells.number(found.units)),
            Fact(_("Available units"), cells.number(found.available_units)),
            Fact(_("Reliability"), cells.share(found.reliability)),
            Fact(_("On sale"), cells.text(words.word("pool", found.state))),
        ],
        tables=[_offer_table(offers)],
    )


def _offer_table(offers: list[Offer]) -> Table:
    return Table(
        title=_("Offers"),
        anchor="offers",
        columns=[
            Column(_("Offer")),
            Column(_("From")),
            Column(_("To")),
            Column(_("Units"), figures=True),
            Column(_("Lowest price per unit-hour"), figures=True),
            Column(_("State")),
        ],
        rows=[
            [
                cells.thing("offer", one.id),
                cells.minute(slot_start_at(one.start_slot)),
                cells.minute(slot_start_at(one.end_slot)),
                cells.number(one.units),
                cells.money(int(min(one.prices) * 1_000_000)),
                cells.state("offer", one.state),
            ]
            for one in offers
        ],
        empty=_("No offer."),
    )


def centre(thing_id: UUID) -> Thing | None:
    """A centre with its pools."""
    one = Centre.objects.select_related("provider", "region").filter(id=thing_id).first()
    if one is None:
        return None
    pools = list(one.pools.select_related("grade").order_by("id")[:MANY])
    return Thing(
        kind="centre",
        id=one.id,
        title=one.name,
        state=cells.state("health", "healthy" if one.is_reachable else "unreachable"),
        facts=[
            Fact(_("Provider"), cells.organisation(one.provider)),
            Fact(_("Region"), cells.region(one.region)),
            Fact(_("Code"), cells.code(one.code)),
            Fact(_("Standard racks"), cells.number(one.standard_racks)),
            Fact(_("PUE"), cells.number(one.pue)),
            Fact(_("Share of green power"), cells.share(one.green_share)),
            Fact(_("Last heartbeat"), cells.instant(one.last_heartbeat_at)),
        ],
        tables=[
            Table(
                title=_("Pools"),
                anchor="pools",
                columns=[
                    Column(_("Pool")),
                    Column(_("Grade")),
                    Column(_("Registered units"), figures=True),
                    Column(_("Available units"), figures=True),
                    Column(_("Health")),
                ],
                rows=[
                    [
                        cells.text(each.code, cells.thing_url("pool", each.id)),
                        cells.code(each.grade.code),
                        cells.number(each.units),
                        cells.number(each.available_units),
                        cells.state("health", each.health),
                    ]
                    for each in pools
                ],
                empty=_("No pool."),
            ),
        ],
    )


def payouts_of(organisation_id: UUID) -> list[Payout]:
    """The newest payouts of a provider or carrier."""
    return list(
        Payout.objects.filter(organisation=organisation_id)
        .select_related("batch__period", "region")
        .order_by("-id")[:MANY]
    )
