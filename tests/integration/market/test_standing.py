"""Standing orders: rolls, the pool they stand on, what stands in their way, and their guards."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection, transaction

from accounts.models import Organisation
from core.errors import TransitionRefused
from core.slots import slot_start_at
from exchange.market.errors import OrderRefused
from exchange.market.models import Order, Trade
from exchange.market.standing import rolling, services
from exchange.market.standing.errors import StandingOrderNotFound, StandingVersionStale
from exchange.market.standing.models import StandingOrder, StandingRoll
from exchange.market.standing.wishes import StandingRequest, facts_of, wish_of
from tests.integration.market import builders as make

pytestmark = pytest.mark.usefixtures("reference")
YUAN = 1_000_000
FIRST = make.SLOT + 1  # begins at 03:00, 40 minutes from now


def request(*, limit="10", units=4, hours=2, **facts) -> StandingRequest:
    wish = replace(
        make.order_request(limit=limit, units=units, latest_end_at=None), duration_hours=hours
    )
    return StandingRequest(wish=wish, **({"lead_seconds": 3600} | facts))


def keep(buyer, **facts) -> StandingOrder:
    return services.create(actor=buyer, request=request(**facts), now=make.NOW)


def sweep(now=make.NOW) -> None:
    """What the beat does, with matching between, until nothing moves any more."""
    for _ in range(3):
        rolling.settle_rolls(now=now)
        rolling.roll_due(now=now)
        make.match(now=now)
    rolling.settle_rolls(now=now)


def before(slot: int) -> object:
    return slot_start_at(slot) - timedelta(minutes=30)


def state(standing) -> tuple[str, str]:
    standing.refresh_from_db()
    return standing.state, standing.reason


def test_each_next_slot_is_ordered_once_before_the_running_ones_end():
    make.offered_pool(make.seller(), units=8, price="9")
    standing = keep(make.funded_buyer())
    sweep()
    sweep()
    assert [(r.start_slot, r.state) for r in standing.rolls.all()] == [(FIRST, "covered")]
    assert Order.objects.count() == 1
    sweep(before(FIRST + 2))
    rolls = standing.rolls.order_by("start_slot")
    assert [(r.start_slot, r.filled_units, r.state) for r in rolls] == [
        (FIRST, 4, "covered"),
        (FIRST + 2, 4, "covered"),
    ]
    assert state(standing) == ("active", "")
    assert standing.next_slot == FIRST + 4


def test_it_stays_in_its_pool_within_the_limit_and_takes_the_rest_where_it_is_cheap():
    pool, _ = make.offered_pool(make.seller(), units=8, price="9")
    standing = keep(make.funded_buyer(), units=6)
    sweep()
    other, _ = make.offered_pool(make.seller(), units=8, price="5", code="c2")
    # Somebody else takes half of the pool for the next slots: only a part can stay.
    make.place(
        make.funded_buyer(),
        limit="9",
        units=4,
        regions_excluded=(),
        duration_hours=2,
        earliest_start_at=slot_start_at(FIRST + 2),
        latest_end_at=slot_start_at(FIRST + 4),
    )
    make.match()
    assert Trade.objects.filter(pool=other).count() == 1  # the cheaper one, as anybody would
    sweep(before(FIRST + 2))
    roll = standing.rolls.get(start_slot=FIRST + 2)
    assert (roll.state, roll.filled_units) == ("covered", 6)
    assert roll.pool_order.bound_pool_id == pool.id
    assert {t.pool_id for t in roll.pool_order.trades.all()} == {pool.id}
    assert roll.market_order is None


def test_what_the_pool_has_not_goes_to_the_market_and_nobody_is_passed():
    provider = make.seller()
    pool, _ = make.offered_pool(provider, units=8, price="9")
    standing = keep(make.funded_buyer(), units=6)
    sweep()
    make.capacity.services.change_pool(
        actor=provider, pool_id=pool.id, available_units=2, now=make.NOW
    )
    other, _ = make.offered_pool(make.seller(), units=8, price="10", code="c2")
    make.match()
    sweep(before(FIRST + 2))
    roll = standing.rolls.get(start_slot=FIRST + 2)
    assert (roll.state, roll.filled_units) == ("covered", 6)
    assert [(t.pool_id, t.units) for t in roll.pool_order.trades.all()] == [(pool.id, 2)]
    assert [(t.pool_id, t.units) for t in roll.market_order.trades.all()] == [(other.id, 4)]
    assert roll.market_order.units == 4


def test_missing_funds_make_it_wait_and_it_goes_on_when_they_are_there():
    make.offered_pool(make.seller(), units=8, price="10")
    buyer = make.funded_buyer(50)
    standing = keep(buyer)
    sweep()
    assert state(standing) == ("waiting", "funds")
    assert not Order.objects.exists()
    assert standing.next_roll_at == make.NOW + timedelta(minutes=1)
    # The slot begins unasked; the next one is dearer than the funds as well.
    sweep(slot_start_at(FIRST) + timedelta(minutes=1))
    assert state(standing) == ("waiting", "funds")
    assert standing.next_slot == FIRST + 1
    services.change(
        actor=buyer,
        standing_id=standing.id,
        version=0,
        changes={"units": 2, "min_units": 1},
        now=slot_start_at(FIRST),
    )
    sweep(slot_start_at(FIRST) + timedelta(minutes=3))
    assert state(standing) == ("active", "")
    assert [r.start_slot for r in standing.rolls.all()] == [FIRST + 1]


def test_a_price_above_the_limit_makes_it_wait_until_something_is_filled():
    provider = make.seller()
    pool, _ = make.offered_pool(provider, units=8, price="12")
    standing = keep(make.funded_buyer())
    sweep()
    late = slot_start_at(FIRST) + timedelta(minutes=1)
    make.services.request_expiries(now=late)
    make.match(now=late)
    sweep(late)
    assert state(standing) == ("waiting", "price")
    assert standing.rolls.get(start_slot=FIRST).state == "missed"
    make.offer(provider, pool, price="8")
    sweep(before(FIRST + 2))
    assert standing.rolls.get(start_slot=FIRST + 2).state == "covered"
    assert state(standing) == ("active", "")


def test_budgets_bound_the_rolls_and_the_last_one_ends_it():
    make.offered_pool(make.seller(), units=8, price="10")
    standing = keep(make.funded_buyer(), budget_micro=120 * YUAN)
    sweep()
    sweep(before(FIRST + 2))
    second = standing.rolls.get(start_slot=FIRST + 2)
    # 80 of 120 yuan are spent: two units for two hours are what 40 pay for.
    assert (second.filled_units, second.pool_order.max_cost_micro) == (2, 40 * YUAN)
    sweep(before(FIRST + 4))
    assert state(standing) == ("ended", "budget")
    assert standing.ended_at == before(FIRST + 4)
    assert not StandingRoll.objects.filter(start_slot=FIRST + 4).exists()


def test_a_days_budget_waits_for_the_next_day():
    make.offered_pool(make.seller(), units=8, price="10")
    standing = keep(make.funded_buyer(), day_budget_micro=80 * YUAN)
    sweep()
    sweep(before(FIRST + 2))
    assert state(standing) == ("waiting", "budget_of_day")
    assert standing.next_slot == (FIRST // 24 + 1) * 24
    sweep(before(standing.next_slot))
    assert state(standing) == ("active", "")


def test_its_owner_pauses_resumes_and_ends_it_and_its_end_ends_it():
    make.offered_pool(make.seller(), units=8, price="10")
    buyer = make.funded_buyer()
    standing = keep(buyer, until_slot=FIRST + 4)
    services.pause(actor=buyer, standing_id=standing.id, now=make.NOW)
    sweep()
    assert state(standing) == ("paused", "owner")
    assert not Order.objects.exists()
    services.resume(actor=buyer, standing_id=standing.id, now=make.NOW)
    sweep()
    sweep(before(FIRST + 2))
    sweep(before(FIRST + 4))
    assert standing.rolls.count() == 2
    assert state(standing) == ("ended", "until")
    with pytest.raises(TransitionRefused):
        services.resume(actor=buyer, standing_id=standing.id, now=make.NOW)


def test_a_suspended_buyer_waits():
    buyer = make.funded_buyer()
    standing = keep(buyer)
    Organisation.objects.filter(id=buyer.organisation_id).update(
        suspended=True, suspended_reason="unpaid"
    )
    sweep()
    assert state(standing) == ("waiting", "organisation")
    assert not Order.objects.exists()


BAD = [
    ({"units": 0}, "units"),
    ({"lead_seconds": 1}, "lead_seconds"),
    ({"lead_seconds": 10**9}, "lead_seconds"),
    ({"until_slot": make.SLOT + 1}, "until"),
    ({"until_slot": make.SLOT + 10**6}, "until"),
    ({"first_slot": make.SLOT - 2}, "first_start_at"),
    ({"budget_micro": 0}, "max_cost_in_all"),
    ({"day_budget_micro": -1}, "max_cost_per_day"),
    ({"hours": 10**6}, "duration_hours"),
]


@pytest.mark.parametrize(("facts", "field"), BAD)
def test_a_bad_standing_order_names_its_field(facts, field):
    with pytest.raises(OrderRefused) as refused:
        keep(make.funded_buyer(), **facts)
    assert field in {bad.field for bad in refused.value.fields}
    assert not StandingOrder.objects.exists()


def test_changes_cross_nowhere_and_anothers_is_not_found():
    buyer = make.funded_buyer()
    standing = keep(buyer)
    facts = {"standing_id": standing.id, "changes": {"lead_seconds": 600}, "now": make.NOW}
    services.change(actor=buyer, version=0, **facts)
    with pytest.raises(StandingVersionStale):
        services.change(actor=buyer, version=0, **facts)
    with pytest.raises(StandingOrderNotFound):
        services.change(actor=make.funded_buyer(), version=1, **facts)
    standing.refresh_from_db()
    assert standing.lead_seconds == 600
    # What is stored says the wish again, to the last field.
    assert json.loads(json.dumps(facts_of(wish_of(standing)))) == standing.terms
    assert wish_of(standing).grades == request().wish.grades


ATTACKS = [
    "INSERT",
    "UPDATE exchange_standingroll SET start_slot = start_slot - 1",
    "UPDATE exchange_standingroll SET market_order_id = NULL, state = 'missed'",
    "UPDATE exchange_standingroll SET state = 'in_market'",
    "UPDATE exchange_order SET bound_pool_id = NULL",
    "DELETE FROM exchange_standingroll",
]


@pytest.mark.parametrize("statement", ATTACKS)
def test_raw_sql_cannot_roll_twice_or_rewrite_a_roll(statement):
    make.offered_pool(make.seller(), units=8, price="9")
    standing = keep(make.funded_buyer())
    sweep()
    if statement == "INSERT":
        fields = [f.column for f in StandingRoll._meta.concrete_fields]
        chosen = ["gen_random_uuid()" if f == "id" else f for f in fields]
        chosen = ["NULL" if f.endswith("order_id") else f for f in chosen]
        chosen = ["'missed'" if f == "state" else f for f in chosen]
        statement = (
            f"INSERT INTO exchange_standingroll ({', '.join(fields)}) "
            f"SELECT {', '.join(chosen)} FROM exchange_standingroll"
        )
    with (
        pytest.raises(Exception, match=r"once|fixed|append-only|orders"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert [r.start_slot for r in standing.rolls.all()] == [FIRST]
