"""Top-ups: credited once for each bank reference, by the clerk, to the fen."""

from __future__ import annotations

import pytest

from accounts.errors import OperatorRoleMissing
from billing.settlement.errors import OrganisationUnknown, TopUpKnown
from billing.settlement.funds import MAX_TOP_UP_MICRO, funds_of, record_top_up, statement_of
from billing.settlement.models import TopUp
from core.errors import InvalidInput
from core.ids import new_id
from exchange.pricing.chart import PLATFORM
from tests import factories as make
from tests.factories import START

pytestmark = pytest.mark.django_db


def top_up(buyer, actor=None, **facts):
    return record_top_up(
        actor=actor or make.operator("settlement_clerk"),
        **{
            "organisation_id": buyer.pk,
            "amount_micro": 250_000_000_000,
            "bank_reference": "ICBC 1",
            "now": START,
        }
        | facts,
    )


def test_money_from_the_bank_is_available_to_the_buyer():
    buyer = make.organisation("buyer", region_code="luoyang")
    made = top_up(buyer)
    funds = funds_of(buyer.pk, "luoyang")
    assert (funds.balance_micro, funds.held_micro, funds.available_micro) == (
        250_000_000_000,
        0,
        250_000_000_000,
    )
    assert make.balance(PLATFORM, "bank", "luoyang") == 250_000_000_000
    (line,) = statement_of(buyer.pk, "luoyang")
    assert (line.transfer, line.code, line.amount) == (made.pk, "funds.top_up", 250_000_000_000)


def test_a_bank_reference_books_once():
    buyer = make.organisation("buyer")
    top_up(buyer)
    with pytest.raises(TopUpKnown):
        top_up(buyer, amount_micro=1)
    assert TopUp.objects.count() == 1
    assert funds_of(buyer.pk, "zhengzhou").balance_micro == 250_000_000_000


@pytest.mark.parametrize(
    "facts",
    [
        {"amount_micro": 0},
        {"amount_micro": -1},
        {"amount_micro": MAX_TOP_UP_MICRO + 1},
        {"bank_reference": ""},
        {"bank_reference": "  "},
        {"bank_reference": "x" * 65},
    ],
)
def test_bad_values_are_refused(facts):
    buyer = make.organisation("buyer")
    with pytest.raises(InvalidInput):
        top_up(buyer, **facts)
    assert not TopUp.objects.exists()


def test_only_a_clerk_tops_up_and_only_buyers():
    buyer, provider = make.organisation("buyer"), make.organisation("provider")
    for actor in (make.actor_of(buyer), make.operator("settlement_approver", "auditor")):
        with pytest.raises(OperatorRoleMissing):
            top_up(buyer, actor=actor)
    with pytest.raises(OrganisationUnknown):
        top_up(provider)
    with pytest.raises(OrganisationUnknown):
        top_up(buyer, organisation_id=new_id())
    assert not TopUp.objects.exists()
