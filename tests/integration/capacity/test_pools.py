"""Centres and pools: registering, changing, moving; what the books are told; what is refused."""

from __future__ import annotations

import uuid
from decimal import Decimal

import pytest

from accounts.errors import OrganisationNotReady, ScopeMissing
from accounts.models import AuditRow
from core.errors import InvalidInput, NotFound, TransitionRefused
from core.slots import slot_start_at
from exchange.capacity import services
from exchange.capacity.errors import CodeTaken, UnitsSold
from exchange.capacity.models import BookEvent, Centre, CentreHour, Pool
from exchange.capacity.rules import PoolTerms
from tests.integration.capacity.builders import (
    NOW,
    NPU,
    SLOT,
    actor_for,
    centre,
    centre_terms,
    organisation,
    pool,
    provider,
    sell,
)

pytestmark = pytest.mark.usefixtures("reference")


def events(of: Pool) -> list[dict]:
    found = BookEvent.objects.filter(subject_id=of.id, kind="pool_changed").order_by("id")
    return [event.payload for event in found]


def bad_fields(refused) -> list[str]:
    return [problem.field for problem in refused.value.fields]


def test_a_new_pool_enters_its_book_and_the_audit_chain():
    actor = provider()
    at = centre(actor)
    made = pool(actor, at)
    assert (made.units, made.available_units, made.state, made.health) == (
        64,
        64,
        "active",
        "healthy",
    )
    event = BookEvent.objects.get(subject_id=made.id)
    assert (event.book.code, event.batch) == ("intelligent", None)
    assert event.payload == {
        "units": 64,
        "green_share_bp": 4000,
        "pue_milli": 1200,
        "reliability_bp": 10000,
    }
    actions = AuditRow.objects.filter(organisation_id=actor.organisation_id).order_by("id")
    assert [row.action for row in actions] == ["centre.register", "pool.register"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"code": ""}, "code"),
        ({"code": "a b"}, "code"),
        ({"name": " "}, "name"),
        ({"region": "henan"}, "region"),
        ({"region": "atlantis"}, "region"),
        ({"standard_racks": 0}, "standard_racks"),
        ({"pue": Decimal("0.99")}, "pue"),
        ({"green_share": Decimal("1.0001")}, "green_share"),
    ],
)
def test_a_bad_centre_names_its_field(changes, field):
    with pytest.raises(InvalidInput) as refused:
        services.register_centre(actor=provider(), centre=centre_terms(**changes), now=NOW)
    assert bad_fields(refused) == [field]
    assert not Centre.objects.exists()


def test_all_bad_fields_are_named_at_once():
    with pytest.raises(InvalidInput) as refused:
        services.register_centre(
            actor=provider(),
            centre=centre_terms(code="?", region="x", pue=Decimal(9), standard_racks=-1),
            now=NOW,
        )
    assert bad_fields(refused) == ["code", "region", "standard_racks", "pue"]


def test_codes_are_taken_once_per_provider():
    actor, other = provider(), provider()
    at = centre(actor)
    pool(actor, at)
    centre(other)  # another provider may use the same code
    with pytest.raises(CodeTaken):
        centre(actor)
    with pytest.raises(CodeTaken):
        pool(actor, at)
    assert Centre.objects.count() == 2
    assert Pool.objects.count() == 1


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        (PoolTerms("p", "intelligent.abacus.1", 1), "grade"),
        (PoolTerms("p", NPU, 0), "units"),
        (PoolTerms("p", NPU, 1_000_001), "units"),
        (PoolTerms("p/1", NPU, 1), "code"),
    ],
)
def test_a_bad_pool_names_its_field(terms, field):
    actor = provider()
    at = centre(actor)
    with pytest.raises(InvalidInput) as refused:
        services.register_pool(actor=actor, centre_id=at.id, pool=terms, now=NOW)
    assert bad_fields(refused) == [field]


class TestWhoMay:
    def test_only_a_verified_provider_registers(self):
        owner = organisation("provider")
        with pytest.raises(OrganisationNotReady):
            centre(actor_for(owner, verified=False))
        with pytest.raises(OrganisationNotReady):
            centre(actor_for(organisation("buyer")))
        with pytest.raises(ScopeMissing):
            centre(actor_for(owner, scopes={"capacity:read"}))

    def test_anothers_things_do_not_exist(self):
        actor, stranger = provider(), provider()
        at = centre(actor)
        made = pool(actor, at)
        told = BookEvent.objects.count()
        calls = [
            lambda: services.change_centre(
                actor=stranger, centre_id=at.id, changes={"name": "x"}, now=NOW
            ),
            lambda: services.set_centre_hours(
                actor=stranger,
                centre_id=at.id,
                hours=[services.HourTerms(SLOT, Decimal(1), Decimal(0))],
                now=NOW,
            ),
            lambda: pool(stranger, at, "p2"),
            lambda: services.change_pool(actor=stranger, pool_id=made.id, units=1, now=NOW),
            lambda: services.pause_pool(actor=stranger, pool_id=made.id, now=NOW),
            lambda: services.resume_pool(actor=stranger, pool_id=made.id, now=NOW),
            lambda: services.withdraw_pool(actor=stranger, pool_id=made.id, now=NOW),
            lambda: services.heartbeat(actor=stranger, centre_id=at.id, now=NOW),
            lambda: services.pause_pool(actor=actor, pool_id=uuid.uuid4(), now=NOW),
        ]
        for call in calls:
            with pytest.raises(NotFound):
                call()
        assert BookEvent.objects.count() == told
        assert Pool.objects.get().state == "active"


class TestUnits:
    def test_units_and_availability_move_together(self):
        actor = provider()
        made = pool(actor, centre(actor))
        services.change_pool(actor=actor, pool_id=made.id, available_units=60, now=NOW)
        made = services.change_pool(actor=actor, pool_id=made.id, units=100, now=NOW)
        assert (made.units, made.available_units) == (100, 96)
        assert [payload["units"] for payload in events(made)] == [64, 60, 96]

    def test_lowering_under_what_is_sold_is_refused_with_what_stands_in_the_way(self):
        actor = provider()
        made = pool(actor, centre(actor))
        sell(made, 10, start_slot=SLOT + 1, slots=4)
        sell(made, 20, start_slot=SLOT + 3, slots=30)
        told = events(made)
        with pytest.raises(UnitsSold) as refused:
            services.change_pool(actor=actor, pool_id=made.id, units=29, now=NOW)
        assert refused.value.extra == {
            "sold_units": 30,
            "slot_start_at": slot_start_at(SLOT + 3).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        assert Pool.objects.get(id=made.id).units == 64
        assert events(made) == told
        made = services.change_pool(actor=actor, pool_id=made.id, units=30, now=NOW)
        assert (made.units, made.available_units) == (30, 30)

    def test_what_is_over_does_not_stand_in_the_way(self):
        actor = provider()
        made = pool(actor, centre(actor))
        sell(made, 50, start_slot=SLOT - 3, slots=2)
        made = services.change_pool(actor=actor, pool_id=made.id, units=1, now=NOW)
        assert made.units == 1

    def test_availability_may_fall_below_what_is_sold(self):
        actor = provider()
        made = pool(actor, centre(actor))
        sell(made, 40, start_slot=SLOT + 1, slots=2)
        made = services.change_pool(actor=actor, pool_id=made.id, available_units=5, now=NOW)
        assert (made.units, made.available_units) == (64, 5)

    def test_more_available_than_registered_is_refused(self):
        actor = provider()
        made = pool(actor, centre(actor))
        with pytest.raises(InvalidInput) as refused:
            services.change_pool(actor=actor, pool_id=made.id, available_units=65, now=NOW)
        assert bad_fields(refused) == ["available_units"]


class TestState:
    def test_pause_resume_withdraw(self):
        actor = provider()
        made = pool(actor, centre(actor))
        for verb, state, sellable in [
            (services.pause_pool, "paused", 0),
            (services.resume_pool, "active", 64),
            (services.pause_pool, "paused", 0),
            (services.withdraw_pool, "withdrawn", 0),
        ]:
            made = verb(actor=actor, pool_id=made.id, now=NOW)
            assert made.state == state
            assert events(made)[-1]["units"] == sellable
        with pytest.raises(TransitionRefused):
            services.resume_pool(actor=actor, pool_id=made.id, now=NOW)

    def test_pausing_twice_is_refused_and_moves_nothing(self):
        actor = provider()
        made = pool(actor, centre(actor))
        services.pause_pool(actor=actor, pool_id=made.id, now=NOW)
        told = events(made)
        with pytest.raises(TransitionRefused):
            services.pause_pool(actor=actor, pool_id=made.id, now=NOW)
        assert events(made) == told


class TestCentre:
    def test_greener_power_is_told_to_the_books(self):
        actor = provider()
        at = centre(actor)
        made = pool(actor, at)
        changed = services.change_centre(
            actor=actor, centre_id=at.id, changes={"green_share": Decimal("0.9")}, now=NOW
        )
        assert changed.green_share == Decimal("0.9")
        assert [payload["green_share_bp"] for payload in events(made)] == [4000, 9000]
        services.change_centre(actor=actor, centre_id=at.id, changes={"name": "New"}, now=NOW)
        assert len(events(made)) == 2

    def test_hours_are_set_and_corrected(self, django_assert_max_num_queries):
        actor = provider()
        at = centre(actor)
        hours = [services.HourTerms(SLOT + i, Decimal("0.5"), Decimal("0.3000")) for i in range(48)]
        with django_assert_max_num_queries(8):
            assert services.set_centre_hours(
                actor=actor, centre_id=at.id, hours=hours, now=NOW
            ) == len(hours)
        actual = services.HourTerms(SLOT, Decimal("-0.02"), Decimal("0.8"))
        services.set_centre_hours(actor=actor, centre_id=at.id, hours=[actual], now=NOW)
        assert CentreHour.objects.filter(centre=at).count() == 48
        assert CentreHour.objects.get(centre=at, slot=SLOT).power_price_per_kwh == Decimal("-0.02")

    @pytest.mark.parametrize(
        ("hours", "field"),
        [
            ([], "hours"),
            ([services.HourTerms(SLOT, Decimal(1), Decimal("1.1"))], "hours.0.green_share"),
            ([services.HourTerms(SLOT, Decimal(1), Decimal(0))] * 2, "hours.1.start_at"),
            (
                [services.HourTerms(SLOT, Decimal(10**6), Decimal(0))],
                "hours.0.power_price_per_kwh",
            ),
        ],
    )
    def test_bad_hours_are_named(self, hours, field):
        actor = provider()
        at = centre(actor)
        with pytest.raises(InvalidInput) as refused:
            services.set_centre_hours(actor=actor, centre_id=at.id, hours=hours, now=NOW)
        assert bad_fields(refused) == [field]
        assert not CentreHour.objects.exists()
