"""Prepaid funds of buyers: what came from the bank, and what is there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts import audit
from accounts.actors import Actor
from accounts.models import Organisation
from billing.settlement.errors import OrganisationUnknown, TopUpKnown
from billing.settlement.models import TopUp
from core.errors import InvalidInput
from core.ids import new_id
from core.models import OutboxEvent
from core.money import to_decimal
from core.outbox import emit_many
from exchange.pricing.chart import AVAILABLE, BANK, PLATFORM, account, spec
from ledger.selectors import StatementLine, balances, statement
from ledger.services import Leg, PostTransfer, open_accounts, post

FUNDS_TOP_UP = "funds.top_up"
MAX_TOP_UP_MICRO = 10_000_000_000 * 1_000_000  # ten thousand million yuan
MAX_BANK_REFERENCE = 64


@dataclass(frozen=True, slots=True)
class Funds:
    """Prepaid funds in micro-yuan: ``available_micro`` is balance less what is held."""

    region_code: str
    balance_micro: int
    held_micro: int
    available_micro: int


def record_top_up(
    *, actor: Actor, organisation_id: UUID, amount_micro: int, bank_reference: str, now: datetime
) -> TopUp:
    """Credit a buyer with money that arrived at the bank; by a settlement clerk.

    ``bank_reference`` is the bank's own and books once: ``TopUpKnown``. The money is booked where
    the buyer is registered.
    """
    actor.require_operator("settlement_clerk")
    _check(amount_micro, bank_reference)
    buyer = Organisation.objects.filter(pk=organisation_id, kinds__contains=["buyer"]).first()
    if buyer is None:
        raise OrganisationUnknown(f"There is no buyer {organisation_id}.")
    with transaction.atomic():
        top_up = _insert(
            TopUp(
                id=new_id(),
                organisation=buyer,
                region_id=buyer.region_code,
                amount_micro=amount_micro,
                bank_reference=bank_reference,
                received_at=now,
            )
        )
        bank = account(PLATFORM, BANK, buyer.region_code)
        available = account(buyer.pk, AVAILABLE, buyer.region_code)
        open_accounts([spec(bank), spec(available)])
        transfer = PostTransfer(
            id=top_up.pk,
            code=FUNDS_TOP_UP,
            reference=buyer.pk,
            effective_at=now,
            legs=(Leg(bank, amount_micro), Leg(available, -amount_micro)),
        )
        result = post([(transfer,)], now=now)[0]
        if not result.ok:
            raise RuntimeError(f"a top-up was refused: {result.code}, {result.detail}")
        emit_many(
            [
                OutboxEvent(
                    kind="funds.topped_up",
                    organisation_id=buyer.pk,
                    subject_id=top_up.pk,
                    payload={"amount": f"{to_decimal(amount_micro):f}", "currency": "CNY"},
                    occurred_at=now,
                )
            ]
        )
        audit.record(
            actor=actor,
            action="funds.top_up",
            subject_kind="top_up",
            subject_id=top_up.pk,
            after={
                "organisation": buyer.pk,
                "amount_micro": amount_micro,
                "bank_reference": bank_reference,
            },
            now=now,
            organisation_id=buyer.pk,
        )
    return top_up


def funds_of(organisation_id: UUID, region_code: str) -> Funds:
    """A buyer's prepaid funds in a region's books."""
    key = account(organisation_id, AVAILABLE, region_code)
    balance = balances([key])[key]
    return Funds(region_code, balance.balance, balance.held, balance.available)


def statement_of(
    organisation_id: UUID, region_code: str, *, after: int = 0, limit: int = 50
) -> list[StatementLine]:
    """What moved a buyer's prepaid funds, in the order of booking, from line ``after`` on."""
    key = account(organisation_id, AVAILABLE, region_code)
    return statement(key, after=after, limit=limit)


def _check(amount_micro: int, bank_reference: str) -> None:
    if not 0 < amount_micro <= MAX_TOP_UP_MICRO:
        raise InvalidInput.of(
            "amount",
            f"must be above zero and at most {to_decimal(MAX_TOP_UP_MICRO):f}",
            "Give the amount in yuan that arrived.",
        )
    if not 0 < len(bank_reference.strip()) <= MAX_BANK_REFERENCE:
        raise InvalidInput.of(
            "bank_reference",
            f"must have 1 to {MAX_BANK_REFERENCE} characters",
            "Give the reference on the bank's statement.",
        )


def _insert(top_up: TopUp) -> TopUp:
    try:
        with transaction.atomic():
            top_up.save(force_insert=True)
    except IntegrityError as error:
        if TopUp.objects.filter(bank_reference=top_up.bank_reference).exists():
            raise TopUpKnown(
                f"The bank reference '{top_up.bank_reference}' is booked already."
            ) from error
        raise
    return top_up
