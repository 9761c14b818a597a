"""Rating's verbs: charge what was delivered, let go of what can no longer be charged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from billing.metering.models import UnratedRecord, UsageRecord
from billing.periods.models import SettlementPeriod
from billing.periods.services import ensure_open_period
from billing.rating.components import Carriage, Rated, Terms, rate
from billing.rating.locks import take_turn_to_charge, take_turn_to_lapse, take_unrated
from billing.rating.models import Charge, ChargeLine
from billing.rating.posting import accounts_of, charge_transfer
from billing.rating.selectors import charged_unit_seconds, links_of
from core import clock
from core.ids import new_id
from exchange.market.models import Trade
from exchange.pricing.chart import spec
from exchange.scheduling.locks import lock_leases
from exchange.scheduling.models import Lease
from exchange.topology.models import Link
from ledger.services import PostTransfer, expire_holds, open_accounts, post

# A report that was accepted in the last second of its term may still be on its way to a charge.
HOLD_MARGIN = clock.passes_in(timedelta(seconds=20))
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class _Priced:
    """A record with its charge, before either is posted."""

    record: UsageRecord
    lease: Lease
    charge_id: UUID
    before: int
    rated: Rated

    @property
    def after(self) -> int:
        return self.before + self.record.active_unit_seconds


def rate_pending(*, now: datetime, limit: int = 2_000) -> int:
    """Charge up to ``limit`` usage records that wait; returns how many it took on.

    One transaction, a few statements: charges, their lines and their transfers stand together or
    not at all. The charges of one lease are one group of the ledger. Where the ledger refuses it
    (its hold has lapsed), the records stay behind with the ledger's word for why, and nobody is
    charged. May run beside itself: each takes records that no other has.
    """
    if not UnratedRecord.objects.filter(refused_at=None).exists():
        return 0
    with transaction.atomic():
        take_turn_to_charge()
        period = ensure_open_period(now=now)
        records = take_unrated(limit)
        if not records:
            return 0
        leases = lock_leases({record.lease_id for record in records})
        priced = _price(records, leases)
        refused = _post(priced, now=now)
        charged = [p for p in priced if p.lease.pk not in refused]
        _write(charged, period, now=now)
        UnratedRecord.objects.filter(pk__in=[p.record.pk for p in charged]).delete()
        _keep_refused([p for p in priced if p.lease.pk in refused], refused, now=now)
    return len(records)


def release_overdue_holds(*, now: datetime, limit: int = 1_000) -> int:
    """Give back what rests on holds whose deadline has passed; returns how many.

    What was reported in time is charged first, so that a hold never lapses under it: also what
    another worker has taken and not yet posted.
    """
    while rate_pending(now=now):
        pass
    with transaction.atomic():
        take_turn_to_lapse()
        while rate_pending(now=now):
            pass
        return expire_holds(now=now - HOLD_MARGIN, limit=limit)


def _price(records: Sequence[UsageRecord], leases: dict[UUID, Lease]) -> list[_Priced]:
    """The charges of the records, each lease's in the order of its periods."""
    links = links_of(link for lease in leases.values() for link in lease.trade.path_link_ids)
    terms = {key: _terms(lease, links) for key, lease in leases.items()}
    reached = charged_unit_seconds(leases)
    priced = []
    for record in sorted(records, key=lambda r: (r.lease_id, r.period_start_at)):
        key = record.lease_id
        before = reached.get(key, 0)
        after = reached[key] = before + record.active_unit_seconds
        rated = rate(terms[key], before=before, after=after)
        priced.append(_Priced(record, leases[key], new_id(), before, rated))
    return priced


def _terms(lease: Lease, links: dict[int, Link]) -> Terms:
    trade, rules = lease.trade, lease.trade.rule_set
    path = [links[link_id] for link_id in trade.path_link_ids]
    prices = trade.path_prices_micro or [int(link.price_per_gb.scaleb(6)) for link in path]
    carriages = tuple(
        Carriage(
            carrier=link.carrier_id,
            region=link.carrier.region_code if link.carrier else trade.buyer_region_id,
            price_micro=price_micro,
        )
        for link, price_micro in zip(path, prices, strict=True)
    )
    if not any(carriage.price_micro for carriage in carriages):
        # Whoever carried it asks nothing any more: what the trade still says is the platform's.
        carriages = (Carriage(None, trade.buyer_region_id, 1),)
    return Terms(
        seller=trade.seller_id,
        seller_region=payee_region(trade),
        compute_micro=trade.compute_micro,
        transport_micro=trade.transport_micro,
        full_unit_seconds=trade.units
        * ((trade.ends_at - trade.starts_at) // _MICROSECOND)
        // 1_000_000,
        commission_bp=rules.commission_bp,
        compute_vat_bp=rules.compute_vat_bp,
        transport_vat_bp=rules.transport_vat_bp,
        carriages=carriages,
        congestion_micro=trade.congestion_micro,
        congestion_region=trade.buyer_region_id,
    )


def payee_region(trade: Trade) -> str:
    """In which region's books the seller is paid: of resold slots, that of their first holder."""
    root = trade.resold_from
    return trade.seller_region_id if root is None else root.buyer_region_id


def _post(priced: Sequence[_Priced], *, now: datetime) -> dict[UUID, str]:
    """Post the charges, a group for each lease; answers the leases that were refused, and why."""
    by_lease: dict[UUID, list[PostTransfer]] = defaultdict(list)
    for p in priced:
        if p.rated.amount_micro:
            trade = p.lease.trade
            by_lease[p.lease.pk].append(
                charge_transfer(
                    charge_id=p.charge_id,
                    usage_record_id=p.record.pk,
                    trade_id=trade.pk,
                    buyer_id=trade.buyer_id,
                    buyer_region=trade.buyer_region_id,
                    parts=p.rated.parts,
                    now=now,
                )
            )
    transfers = [transfer for group in by_lease.values() for transfer in group]
    open_accounts([spec(key) for key in sorted(accounts_of(transfers))])
    results = post([tuple(group) for group in by_lease.values()], now=now)
    return {
        lease_id: result.code
        for lease_id, result in zip(by_lease, results, strict=True)
        if not result.ok
    }


def _write(charged: Iterable[_Priced], period: SettlementPeriod, *, now: datetime) -> None:
    charges, lines = [], []
    for p in charged:
        trade = p.lease.trade
        charges.append(
            Charge(
                id=p.charge_id,
                usage_record=p.record,
                lease=p.lease,
                period=period,
                buyer_id=trade.buyer_id,
                seller_id=trade.seller_id,
                buyer_region_id=trade.buyer_region_id,
                seller_region_id=payee_region(trade),
                rule_set=trade.rule_set,
                unit_seconds_before=p.before,
                unit_seconds_after=p.after,
                compute_micro=p.rated.compute_micro,
                transport_micro=p.rated.transport_micro,
                amount_micro=p.rated.amount_micro,
                charged_at=now,
            )
        )
        lines += [
            ChargeLine(
                charge_id=p.charge_id,
                component=part.component,
                payee_id=part.payee,
                region_id=part.region,
                amount_micro=part.amount_micro,
            )
            for part in p.rated.parts
        ]
    Charge.objects.bulk_create(charges)
    ChargeLine.objects.bulk_create(lines, batch_size=5000)


_KEEP_REFUSED = """
UPDATE billing_unratedrecord AS unrated
   SET refused_code = new.code, refused_at = %s
  FROM unnest(%s::uuid[], %s::text[]) AS new (id, code)
 WHERE unrated.usage_record_id = new.id
"""


def _keep_refused(priced: Collection[_Priced], refused: dict[UUID, str], *, now: datetime) -> None:
    if priced:
        columns: list[Any] = [[p.record.pk for p in priced], [refused[p.lease.pk] for p in priced]]
        with connection.cursor() as cursor:
            cursor.execute(_KEEP_REFUSED, [now, *columns])
