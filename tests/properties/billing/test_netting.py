"""Netting changes no position, needs at most n - 1 payments, and knows what is behind each."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.settlement.netting import Debt, Portion, net, net_centrally, positions

PARTIES = ["henan", "gansu", "ningxia", "guizhou", "xinjiang"]
OPERATOR = "operator"


@st.composite
def debt_sets(draw):
    pair = st.lists(st.sampled_from([*PARTIES, OPERATOR]), min_size=2, max_size=2, unique=True)
    rows = draw(st.lists(st.tuples(pair, st.integers(1, 10**15)), max_size=25))
    return [Debt(a, b, amount, id=i) for i, ((a, b), amount) in enumerate(rows)]


def moved(payments):
    """What each party gets less what it pays."""
    sums = Counter()
    for payment in payments:
        assert payment.amount > 0
        sums[payment.payer] -= payment.amount
        sums[payment.payee] += payment.amount
    return {party: amount for party, amount in sums.items() if amount}


def not_zero(sums):
    return {party: amount for party, amount in sums.items() if amount}


def both_ways(debts):
    return net(debts), net_centrally(debts, OPERATOR)


@given(debt_sets())
def test_every_position_is_what_it_was(debts):
    before = positions(debts)
    assert sum(before.values()) == 0
    for payments in both_ways(debts):
        assert moved(payments) == not_zero(before)


@given(debt_sets())
def test_n_parties_need_at_most_n_less_one_payments(debts):
    parties = {party for debt in debts for party in (debt.debtor, debt.creditor)}
    between, centrally = both_ways(debts)
    assert len(between) <= max(len(parties) - 1, 0)
    assert len(centrally) <= len(parties - {OPERATOR})
    assert all(OPERATOR in (payment.payer, payment.payee) for payment in centrally)


@given(debt_sets(), st.randoms())
def test_equal_input_in_any_order_gives_equal_payments(debts, random):
    assert both_ways(random.sample(debts, len(debts))) == both_ways(debts)


@given(debt_sets())
def test_every_payment_names_the_debts_behind_it_and_none_is_named_beyond_its_amount(debts):
    by_id = {debt.id: debt for debt in debts}
    between, centrally = both_ways(debts)
    for payments in (between, centrally):
        discharged, received = Counter(), Counter()
        for payment in payments:
            for portion in payment.discharged:
                assert by_id[portion.debt].debtor == payment.payer
                discharged[portion.debt] += portion.amount
            for portion in payment.received:
                assert by_id[portion.debt].creditor == payment.payee
                received[portion.debt] += portion.amount
            for side, party in (
                (payment.discharged, payment.payer),
                (payment.received, payment.payee),
            ):
                named = sum(portion.amount for portion in side)
                central = payments is centrally and party == OPERATOR
                assert named == (0 if central else payment.amount)
        assert all(discharged[i] <= debt.amount for i, debt in by_id.items())
        assert all(received[i] <= debt.amount for i, debt in by_id.items())


@given(debt_sets())
def test_a_member_taken_out_leaves_the_others_debts_to_each_other(debts):
    without = [d for d in debts if PARTIES[0] not in (d.debtor, d.creditor)]
    assert PARTIES[0] not in moved(net(without))
    assert moved(net(without)) == not_zero(positions(without))


def test_a_circle_of_equal_debts_needs_no_payment():
    assert net([Debt("a", "b", 5, 1), Debt("b", "c", 5, 2), Debt("c", "a", 5, 3)]) == ()


def test_a_chain_becomes_one_payment_that_names_both_ends():
    (payment,) = net([Debt("a", "b", 7, 1), Debt("b", "c", 7, 2)])
    assert (payment.payer, payment.payee, payment.amount) == ("a", "c", 7)
    assert payment.discharged == (Portion(1, 7),)
    assert payment.received == (Portion(2, 7),)


@pytest.mark.parametrize(
    "debts",
    [
        [Debt("a", "b", 0)],
        [Debt("a", "b", -1)],
        [Debt("a", "a", 1)],
        [Debt("a", "b", 1, 1), Debt("b", "a", 1, 1)],
    ],
)
def test_what_is_no_debt_is_refused(debts):
    with pytest.raises(ValueError, match=r"above zero|itself|two debts"):
        net(debts)
