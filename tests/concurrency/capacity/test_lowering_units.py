"""Lowering a pool's units while it is being sold: whoever comes second sees what the first did."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import IntegrityError, connections, transaction

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
