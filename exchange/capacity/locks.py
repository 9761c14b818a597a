"""Every row lock of capacity, in this order: centre, then its pools by id.

They are ``FOR NO KEY UPDATE``: offers, trades and leases may go on referring to a locked row, but
the count of what is sold (``FOR SHARE`` on the pool, by trigger) waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from accounts.actors import Actor
from core.errors import NotFound
from exchange.capacity import selectors
from exchange.capacity.models import Centre, Pool


def _inside_transaction() -> None:
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("a row is locked inside a transaction")


def centre_for_update(actor: Actor, centre_id: UUID) -> Centre:
    """A centre that ``actor`` may see, locked; ``NotFound`` where there is none."""
    _inside_transaction()
    visible = selectors.centres_visible_to(actor)
    centre = visible.select_for_update(of=("self",), no_key=True).filter(id=centre_id).first()
    if centre is None:
        raise NotFound("There is no such centre.")
    return centre


def pool_for_update(actor: Actor, pool_id: UUID) -> Pool:
    """A pool that ``actor`` may see, locked, with grade and centre; ``NotFound`` where none is."""
    _inside_transaction()
    visible = selectors.pools_visible_to(actor).select_related("grade", "centre")
    pool = visible.select_for_update(of=("self",), no_key=True).filter(id=pool_id).first()
    if pool is None:
        raise NotFound("There is no such pool.")
    return pool


def pools_of_centres_for_update(centre_ids: Sequence[UUID]) -> list[Pool]:
    """All pools of the centres that are not withdrawn, locked in order of their ids."""
    _inside_transaction()
    return list(
        Pool.objects.select_related("grade")
        .select_for_update(of=("self",), no_key=True)
        .filter(centre_id__in=centre_ids)
        .exclude(state="withdrawn")
        .order_by("id")
    )
