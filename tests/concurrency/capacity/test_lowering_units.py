"""Lowering a pool's units while it is being sold: whoever comes second sees what the first did."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import psycopg
import pytest
from django.db import IntegrityError, connection, connections, transaction

from exchange.capacity import services
from exchange.capacity.errors import UnitsSold
from exchange.capacity.models import Pool
from exchange.market.models import Trade
from tests.integration.capacity.builders import (
    NOW,
    SLOT,
    centre,
    load_reference,
    pool,
    provider,
    sell,
)


def second_while_first_is_open(first: Callable, second: Callable) -> BaseException | None:
    """Do ``first`` in a transaction that stays open until ``second`` waits; ``second``'s error."""
    done_first, may_commit = threading.Event(), threading.Event()
    errors: list[BaseException | None] = [None]

    def in_first() -> None:
        try:
            with transaction.atomic():
                first()
                done_first.set()
                may_commit.wait(10)
        finally:
            done_first.set()
            connections.close_all()

    def in_second() -> None:
        try:
            with transaction.atomic():
                second()
        except (UnitsSold, IntegrityError) as error:
            errors[0] = error
        finally:
            connections.close_all()

    one, two = threading.Thread(target=in_first), threading.Thread(target=in_second)
    one.start()
    assert done_first.wait(10)
    two.start()
    two.join(0.5)
    assert two.is_alive(), "the second waits for the first"
    may_commit.set()
    one.join(10)
    two.join(10)
    return errors[0]


@pytest.fixture
def scene(fresh_database):
    load_reference()
    actor = provider()
    return actor, pool(actor, centre(actor), units=64)


def test_a_sale_first_and_the_lowering_is_refused(scene):
    actor, made = scene
    error = second_while_first_is_open(
        lambda: sell(made, 40, start_slot=SLOT + 1, slots=3),
        lambda: services.change_pool(actor=actor, pool_id=made.id, units=39, now=NOW),
    )
    assert isinstance(error, UnitsSold)
    assert Pool.objects.get().units == 64
    assert Trade.objects.count() == 1


def test_the_lowering_first_and_the_sale_is_refused(scene):
    actor, made = scene
    error = second_while_first_is_open(
        lambda: services.change_pool(actor=actor, pool_id=made.id, units=39, now=NOW),
        lambda: sell(made, 40, start_slot=SLOT + 1, slots=3),
    )
    assert "pool_never_oversold" in str(error.__cause__.diag.constraint_name)
    assert Pool.objects.get().units == 39
    assert not Trade.objects.exists()


def lower_by_sql(units: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE exchange_pool SET units = %s, available_units = 0", [units])


def test_a_sale_first_and_a_lowering_past_the_service_is_refused(scene):
    _, made = scene
    error = second_while_first_is_open(
        lambda: sell(made, 40, start_slot=SLOT + 1, slots=3), lambda: lower_by_sql(39)
    )
    assert "would not cover the 40 that are sold" in str(error)
    assert Pool.objects.get().units == 64


def test_a_lowering_past_the_service_first_and_the_sale_is_refused(scene):
    _, made = scene
    error = second_while_first_is_open(
        lambda: lower_by_sql(39), lambda: sell(made, 40, start_slot=SLOT + 1, slots=3)
    )
    assert "would be sold to 40 of 0" in str(error)
    assert not Trade.objects.exists()


@pytest.mark.parametrize("role", ["app", "owner"])
def test_neither_role_lowers_them_past_the_service(scene, role, request):
    _, made = scene
    sell(made, 40, start_slot=SLOT + 1, slots=3)
    raw = request.getfixturevalue(f"{role}_connection")
    with pytest.raises(psycopg.errors.CheckViolation) as refused, raw.transaction():
        raw.execute("UPDATE exchange_pool SET units = 39, available_units = 39")
    assert refused.value.diag.constraint_name == "pool_units_cover_what_is_sold"
    raw.execute("UPDATE exchange_pool SET units = 40, available_units = 39")
    raw.rollback()
    # An older snapshot could overlook a sale, so none is trusted.
    raw.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    with pytest.raises(psycopg.errors.CheckViolation, match="READ COMMITTED"):
        raw.execute("UPDATE exchange_pool SET units = 40, available_units = 39")


def test_a_sale_that_waited_for_the_pool_has_it_until_it_commits(scene):
    """A semi-join that locks drops a row that changed during the wait; it locks it all the same."""
    actor, made = scene
    sold, may_commit = threading.Event(), threading.Event()

    def sell_and_linger() -> None:
        with transaction.atomic():
            sell(made, 40, start_slot=SLOT + 1, slots=3)
            sold.set()
            assert may_commit.wait(10)

    def lower() -> None:
        services.change_pool(actor=actor, pool_id=made.id, units=39, now=NOW)

    with ThreadPoolExecutor(2) as pool_of_two:
        with transaction.atomic():
            services.change_pool(actor=actor, pool_id=made.id, available_units=50, now=NOW)
            selling = pool_of_two.submit(in_a_session_of_its_own, sell_and_linger)
            assert not sold.wait(0.5), "the sale waits for the change"
        assert sold.wait(10)
        lowering = pool_of_two.submit(in_a_session_of_its_own, lower)
        assert not wait([lowering], timeout=0.5).done, "the lowering waits for the sale"
        may_commit.set()
        selling.result(10)
        with pytest.raises(UnitsSold):
            lowering.result(10)
    assert Pool.objects.get().units == 64


def in_a_session_of_its_own(call: Callable[[], None]) -> None:
    try:
        call()
    finally:
        connections.close_all()
