"""Resale: bounds, who pays whom, who gets in, what ends with what, and attacks by raw SQL."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from billing.metering.services import ReportedUse, report_usage
from billing.rating.services import rate_pending
from core.errors import NotFound
from core.slots import slot_start_at
from exchange.capacity.models import PoolDay
from exchange.capacity.verify import checks as capacity_checks
from exchange.market import matching, selectors, services
from exchange.market.errors import OfferRefused, ResaleRefused
from exchange.market.models import Offer, Trade
from exchange.market.requests import ResaleRequest
from exchange.market.verify import checks
from exchange.pricing import chart
from exchange.scheduling import selectors as leases
from exchange.scheduling import services as scheduling
from exchange.scheduling.errors import LeaseResold, NoAccessDetails
from exchange.scheduling.models import Lease
from exchange.scheduling.verify import checks as lease_checks
from ledger import selectors as ledger_reads
from tests.integration.market import builders as make

pytestmark = pytest.mark.usefixtures("reference")
YUAN = 1_000_000
FIRST = make.SLOT + 1
WINDOW = {
    "earliest_start_at": slot_start_at(FIRST),
    "latest_end_at": slot_start_at(FIRST + 4),
    "duration_hours": 4,
}


class Deal:
    """A provider, a first holder with 8 units for four hours at 10 yuan, and somebody else."""

    def __init__(self, **offer):
        self.provider = make.with_leases(make.seller())
        self.pool = make.capacity.pool(self.provider, make.capacity.centre(self.provider), units=8)
        make.offer(self.provider, self.pool, **({"allows_resale": True} | offer))
        self.holder, self.other = (make.with_leases(make.funded_buyer()) for _ in range(2))
        make.place(self.holder, units=8, limit="10", accepts_reclaimable=True, **WINDOW)
        make.match()
        self.trade = Trade.objects.get(buyer_id=self.holder.organisation_id)

    def resell(self, *, actor=None, units=4, start=2, end=4, price="7", now=make.NOW) -> Offer:
        from decimal import Decimal

        return services.offer_resale(
            actor=actor or self.holder,
            trade_id=self.trade.id,
            request=ResaleRequest(
                units=units,
                start_at=slot_start_at(FIRST + start),
                end_at=slot_start_at(FIRST + end),
                prices_micro=(int(Decimal(price) * YUAN),),
            ),
            now=now,
        )

    def buy(self, *, units=4, hours=2, start=2, limit="8"):
        order = make.place(
            self.other,
            units=units,
            limit=limit,
            duration_hours=hours,
            earliest_start_at=slot_start_at(FIRST + start),
            latest_end_at=slot_start_at(FIRST + start + hours),
        )
        make.match()
        order.refresh_from_db()
        return order


def assert_sound() -> None:
    findings = [*checks(), *capacity_checks(), *lease_checks()]
    assert [f for f in findings if not f.ok and f.name != "scheduling.pulled"] == []


def sold_unit_hours() -> int:
    return sum(sum(day.sold) for day in PoolDay.objects.all())


def test_hours_are_resold_within_what_the_trade_has_and_count_once():
    deal = Deal()
    deal.resell(units=6)
    deal.resell(units=6, price="7.5")  # both together: no more than the eight of the trade
    order = deal.buy(units=8)
    assert (order.state, order.filled_units) == ("filled", 8)
    resold = Trade.objects.exclude(id=deal.trade.id).order_by("position")
    assert [(t.units, t.resold_from_id, t.seller_id) for t in resold] == [
        (6, deal.trade.id, deal.holder.organisation_id),
        (2, deal.trade.id, deal.holder.organisation_id),
    ]
    assert sold_unit_hours() == 32
    assert deal.buy(units=1).state == "open"
    assert_sound()


def test_the_state_read_again_from_rows_knows_what_is_resold():
    deal = Deal()
    deal.resell(units=4)
    assert deal.buy(units=3).filled_units == 3
    matching.forget_states()
    order = deal.buy(units=3)
    assert (order.state, order.filled_units) == ("partially_filled", 1)
    matching.forget_states()
    assert deal.buy(units=1).state == "open"
    assert_sound()


def test_market_data_shows_what_is_resold_as_any_offer():
    deal = Deal()
    deal.resell(units=8, start=2, end=4)
    make.match()
    levels = selectors.depth(at=slot_start_at(FIRST + 2), grade=make.NPU, region=None)
    assert [(level.price, level.units) for level in levels if level.side == "offer"] == [(7, 8)]
    assert deal.buy(units=3).filled_units == 3
    levels = selectors.depth(at=slot_start_at(FIRST + 2), grade=make.NPU, region=None)
    assert [(level.price, level.units) for level in levels if level.side == "offer"] == [(7, 5)]


def test_the_new_holder_pays_the_first_and_the_first_the_provider():
    deal = Deal()
    deal.resell()
    deal.buy()
    scheduling.pull_leases(now=make.NOW)
    resold = Trade.objects.get(resold_from=deal.trade)
    lease = Lease.objects.get(pk=resold.id)
    assert lease.provider_id == deal.provider.organisation_id
    assert lease.buyer_id == deal.other.organisation_id
    for trade in (deal.trade, resold):
        scheduling.transition_lease(
            actor=deal.provider, lease_id=trade.id, event="activate", now=trade.starts_at
        )
    records = [
        ReportedUse(
            lease_id=trade.id,
            source_record_id=f"r-{trade.id}",
            period_start_at=trade.starts_at,
            period_end_at=trade.ends_at,
            active_unit_seconds=trade.units * (trade.end_slot - trade.start_slot) * 3600,
        )
        for trade in (deal.trade, resold)
    ]
    report_usage(actor=deal.provider, records=records, now=resold.ends_at)
    assert rate_pending(now=resold.ends_at) == 2

    def payable(actor) -> int:
        key = chart.account(actor.organisation_id, chart.PAYABLE, actor.region_code)
        return ledger_reads.balances([key])[key].balance

    spent = {a: 1_000_000 * YUAN - make.balance(a).balance for a in (deal.holder, deal.other)}
    assert spent == {deal.holder: 320 * YUAN, deal.other: 56 * YUAN}
    charge = resold.lease.charges.get()
    assert (charge.amount_micro, charge.seller_id) == (56 * YUAN, deal.holder.organisation_id)
    nets = {
        line.charge.lease_id: line.amount_micro
        for trade in (deal.trade, resold)
        for line in trade.lease.charges.get().lines.filter(component="seller_net")
    }
    assert payable(deal.provider) == nets[deal.trade.id] > 290 * YUAN
    assert payable(deal.holder) == nets[resold.id] > 50 * YUAN
    assert_sound()


def test_access_goes_to_the_one_whose_hours_they_are():
    deal = Deal()
    deal.resell(units=8)
    deal.buy(units=8)
    scheduling.pull_leases(now=make.NOW)
    resold = Trade.objects.get(resold_from=deal.trade)
    for trade, host in ((deal.trade, "one"), (resold, "two")):
        scheduling.put_access(
            actor=deal.provider, lease_id=trade.id, details={"host": host}, now=make.NOW
        )

    def host(actor, trade, at) -> str | None:
        try:
            found = leases.access_details(actor=actor, lease_id=trade.id, now=at)
        except NoAccessDetails:
            return None
        return found["host"]

    early, late = slot_start_at(FIRST), slot_start_at(FIRST + 2)
    assert [host(deal.holder, deal.trade, at) for at in (early, late)] == ["one", None]
    assert [host(deal.other, resold, at) for at in (early, late)] == [None, "two"]
    assert host(deal.other, resold, resold.ends_at) is None


def test_the_first_lease_is_not_ended_under_the_second_and_takes_it_along_when_it_fails():
    deal = Deal()
    deal.resell()
    deal.buy(units=3)
    scheduling.pull_leases(now=make.NOW)
    resold = Trade.objects.get(resold_from=deal.trade)
    facts = {"lease_id": deal.trade.id, "now": slot_start_at(FIRST) + timedelta(minutes=1)}
    with pytest.raises(LeaseResold):
        scheduling.transition_lease(actor=deal.holder, event="terminate", **facts)
    scheduling.transition_lease(actor=deal.provider, event="fail", **facts)
    assert scheduling.follow_resold(now=facts["now"]) == 1
    assert Lease.objects.get(pk=resold.id).state == "failed"
    assert make.balance(deal.other).held == 0
    make.match(now=facts["now"])
    assert Offer.objects.get(resale_of=deal.trade).state == "withdrawn"
    assert sold_unit_hours() == 8  # the hour that had begun
    matching.forget_states()
    assert deal.buy(units=1, start=3, hours=1).state == "open"
    assert_sound()


def test_what_its_buyer_gives_back_of_a_resale_can_be_resold_again():
    deal = Deal()
    deal.resell(units=4)
    deal.buy(units=4)
    scheduling.pull_leases(now=make.NOW)
    resold = Trade.objects.get(resold_from=deal.trade)
    scheduling.transition_lease(
        actor=deal.other, lease_id=resold.id, event="terminate", now=make.NOW
    )
    assert deal.buy(units=4).state == "filled"
    assert sold_unit_hours() == 32
    assert_sound()


def test_a_trade_given_back_between_admission_and_writing_is_not_resold(monkeypatch):
    deal = Deal()
    deal.resell(units=4)
    make.match()
    scheduling.pull_leases(now=make.NOW)
    admit = matching.admission.admit

    def admit_then_fail(book_id, *, now):
        batch = admit(book_id, now=now)
        if batch is not None:
            monkeypatch.setattr(matching.admission, "admit", admit)
            scheduling.transition_lease(
                actor=deal.provider, lease_id=deal.trade.id, event="fail", now=now
            )
        return batch

    monkeypatch.setattr(matching.admission, "admit", admit_then_fail)
    order = deal.buy(units=4)
    assert (order.state, order.filled_units) == ("open", 0)
    assert Trade.objects.count() == 1


def test_who_may_resell_what():
    deal = Deal()
    with pytest.raises(NotFound):
        deal.resell(actor=deal.other)
    for bad, field in (
        ({"units": 9}, "units"),
        ({"end": 5}, "end_at"),
        ({"start": -2}, "start_at"),
        ({"start": 3, "end": 3}, "end_at"),
        ({"price": "0"}, "prices"),
    ):
        with pytest.raises(OfferRefused) as refused:
            deal.resell(**bad)
        assert field in {problem.field for problem in refused.value.fields}
    with pytest.raises(ResaleRefused):
        deal.resell(now=slot_start_at(FIRST + 4))
    deal.resell()
    deal.buy()
    deal.trade, deal.holder = Trade.objects.get(resold_from=deal.trade), deal.other
    with pytest.raises(ResaleRefused, match="another holder"):
        deal.resell()
    with pytest.raises(ResaleRefused, match="does not allow"):
        Deal(allows_resale=False).resell()


def test_a_changed_resale_stays_within_its_trade():
    deal = Deal()
    offer = deal.resell()
    make.match()
    with pytest.raises(OfferRefused):
        services.change_offer(
            actor=deal.holder,
            offer_id=offer.id,
            changes={"end_at": slot_start_at(FIRST + 6)},
            now=make.NOW,
        )


def run(statement: str, *values) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


RESALES = [
    ({"units": "5"}, "more would be resold"),
    ({"end_slot": "end_slot + 1", "start_slot": "start_slot + 1"}, "terms|resold"),
    ({"resold_from_id": "id"}, "terms: resale|resold"),
    ({"resold_from_id": "NULL"}, "terms: resale|would be sold"),
    ({"allows_resale": "true"}, "terms: resale|resold"),
    ({"seller_id": "buyer_id"}, "terms|itself"),
]


@pytest.mark.parametrize(("changes", "said"), RESALES)
def test_raw_sql_resells_no_more_than_there_is(changes, said):
    deal = Deal()
    deal.resell(units=8)
    deal.buy(units=4)
    columns = [f.column for f in Trade._meta.concrete_fields]
    values = {column: column for column in columns}
    values |= {"id": f"'{uuid.uuid4()}'", "position": "99"} | changes
    with pytest.raises(IntegrityError, match=said):
        run(
            f"INSERT INTO exchange_trade ({', '.join(columns)}) "
            f"SELECT {', '.join(values[c] for c in columns)} FROM exchange_trade "
            "WHERE resold_from_id IS NOT NULL"
        )
    assert Trade.objects.count() == 2


OFFERS = [
    "UPDATE exchange_offer SET units = 9 WHERE resale_of_id IS NOT NULL",
    "UPDATE exchange_offer SET end_slot = end_slot + 1 WHERE resale_of_id IS NOT NULL",
    "UPDATE exchange_offer SET resale_of_id = NULL WHERE resale_of_id IS NOT NULL",
    "UPDATE exchange_offer SET resale_of_id = (SELECT id FROM exchange_trade), allows_resale = 'f'",
    "UPDATE exchange_offer SET allows_resale = true WHERE resale_of_id IS NOT NULL",
]


@pytest.mark.parametrize("statement", OFFERS)
def test_raw_sql_offers_nothing_that_its_holder_has_not(statement):
    deal = Deal()
    deal.resell()
    make.match()
    with pytest.raises(IntegrityError, match=r"not of what its holder has|not_resold_again"):
        run(statement)
