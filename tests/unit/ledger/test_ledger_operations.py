"""Values that cannot be expressed, and those that can."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import pytest

from ledger.services import AccountSpec, CreateHold, ExtendHold, Leg, PostTransfer, ReleaseHold
from tests.unit.ledger.books import AVAILABLE, NOW, PAYABLE

ID = UUID(int=7)
LEGS = (Leg(AVAILABLE, 1), Leg(PAYABLE, -1))


@pytest.mark.parametrize("amount", [1.0, float("nan"), float("inf"), Decimal(1), "1", True, None])
def test_an_amount_is_a_whole_number(amount):
    with pytest.raises(TypeError):
        Leg(AVAILABLE, amount)
    with pytest.raises(TypeError):
        CreateHold(ID, AVAILABLE, amount, "code", ID, None)
    if amount is not None:
        with pytest.raises(TypeError):
            ReleaseHold(ID, amount)


@pytest.mark.parametrize("amount", [0, 10**18 + 1, -(10**18) - 1])
def test_an_amount_is_not_zero_and_not_absurd(amount):
    with pytest.raises(ValueError, match="amount"):
        Leg(AVAILABLE, amount)


@pytest.mark.parametrize("amount", [-1, 0])
def test_holds_and_releases_are_above_zero(amount):
    with pytest.raises(ValueError, match="amount"):
        CreateHold(ID, AVAILABLE, amount, "code", ID, None)
    with pytest.raises(ValueError, match="amount"):
        ReleaseHold(ID, amount)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"legs": LEGS[:1]}, "legs"),
        ({"legs": ()}, "legs"),
        ({"code": ""}, "code"),
        ({"code": "x" * 65}, "code"),
        ({"effective_at": datetime(2026, 1, 1)}, "time zone"),
    ],
)
def test_a_transfer_is_well_formed(values, says):
    good = {"id": ID, "code": "a.b", "reference": ID, "effective_at": NOW, "legs": LEGS}
    PostTransfer(**good)
    with pytest.raises(ValueError, match=says):
        PostTransfer(**(good | values))


def test_deadlines_carry_a_time_zone():
    with pytest.raises(ValueError, match="time zone"):
        CreateHold(ID, AVAILABLE, 1, "code", ID, datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="time zone"):
        ExtendHold(ID, datetime(2026, 1, 1))


@pytest.mark.parametrize(
    "values",
    [{"normal_side": "left"}, {"stripes": 0}, {"stripes": 65}, {"floor": True, "stripes": 2}],
)
def test_an_account_is_specified_soundly(values):
    with pytest.raises(ValueError, match=r"side|stripe"):
        AccountSpec(**({"key": AVAILABLE, "normal_side": "credit"} | values))
