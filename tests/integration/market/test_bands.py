"""Price bands: judged when something is placed, by a rule that names them, and never again."""

from __future__ import annotations

from decimal import Decimal

import pytest

from accounts.errors import OperatorRoleMissing
from accounts.models import AuditRow
from core.errors import InvalidInput
from core.money import to_micro
from core.slots import slot_start_at
from exchange.capacity.models import Book, Grade
from exchange.market import preview, services
from exchange.market.errors import OfferRefused, OrderRefused
from exchange.market.models import Offer, Order
from exchange.market.orderly import services as orderly
from exchange.market.orderly.errors import BookNotFound
from exchange.market.orderly.models import IndexHour, IndexPublication
from exchange.market.reference import ReferenceBook
from exchange.market.retelling import retell
from tests import factories
from tests.integration.market import builders as make

pytestmark = pytest.mark.usefixtures("reference")
LIMIT = "grades[0].limit_price_per_unit_hour"


def publish(slot: int = make.SLOT - 1, **prices: str) -> None:
    """An index as the sweep leaves it: a price for the NPU in each region named."""
    book = make.book()
    publication = IndexPublication.objects.create(
        book=book, slot=slot, first_batch=1, last_batch=0, min_unit_hours=1, published_at=make.NOW
    )
    grade = Grade.objects.get(code=make.NPU)
    for region, price in prices.items():
        IndexHour.objects.create(
            id=factories.new_id(),
            publication=publication,
            grade=grade,
            region_id=region,
            slot=slot,
            price_per_unit_hour=Decimal(price),
            priced_slot=slot,
            unit_seconds=3600,
            compute_micro=to_micro(Decimal(price)),
            trades=1,
        )


@pytest.fixture
def banded(reference):
    """20 % around 10 yuan in Zhengzhou and around 20 in Luoyang."""
    publish(zhengzhou="10", luoyang="20")
    Book.objects.filter(code="intelligent").update(band_bp=2_000)


ORDERS = [
    # limit, other terms, whether it passes
    ("8", {}, True),
    ("24", {}, True),
    ("7.999999", {}, False),
    ("24.000001", {}, False),
    ("12", {"regions_allowed": ("zhengzhou",)}, True),
    ("12.000001", {"regions_allowed": ("zhengzhou",)}, False),
    ("15", {"regions_excluded": ("zhengzhou",)}, False),
    ("16", {"regions_excluded": ("zhengzhou",)}, True),
    ("900", {"regions_allowed": ("hebi",)}, True),  # no index there, no band
    ("1", {"accepts_reclaimable": True}, True),
    ("25", {"accepts_reclaimable": True}, False),
]


@pytest.mark.parametrize(("limit", "terms", "passes"), ORDERS)
def test_a_limit_within_the_band_of_some_region_of_the_order(banded, limit, terms, passes):
    buyer = make.funded_buyer()
    if passes:
        assert make.place(buyer, limit=limit, **terms).state == "pending"
        return
    with pytest.raises(OrderRefused) as refused:
        make.place(buyer, limit=limit, **terms)
    (bad,) = refused.value.fields
    assert (bad.field, bad.rule.partition(":")[0]) == (LIMIT, "price band")
    assert "allow_outside_band" in bad.mend
    assert not Order.objects.exists()
    assert make.balance(buyer).held == 0


def test_transport_raises_the_band_of_an_all_in_limit(banded):
    terms = {
        "regions_allowed": ("luoyang",),
        "data_region": "zhengzhou",
        "data_in_gb_per_unit": Decimal(1_000),
        "duration_hours": 1,
        "latest_end_at": slot_start_at(make.SLOT + 24),
    }
    order = make.place(make.funded_buyer(), limit="20", allow_outside_band=True, **terms)
    from exchange.topology.selectors import network

    path = network().path("zhengzhou", "luoyang", None)
    transport = Decimal(1_000 * path.price_micro_per_gb).scaleb(-6)
    assert transport > 0
    assert order.state == "pending"
    make.place(make.funded_buyer(), limit=str(24 + transport), **terms)
    with pytest.raises(OrderRefused, match="rules"):
        make.place(make.funded_buyer(), limit=str(24 + transport + Decimal("0.000001")), **terms)


def test_a_preview_says_what_placing_would_say(banded):
    buyer = make.funded_buyer()
    with pytest.raises(OrderRefused) as refused:
        preview.preview_order(actor=buyer, request=make.order_request(limit="100"), now=make.NOW)
    assert refused.value.fields[0].field == LIMIT
    request = make.order_request(limit="100", allow_outside_band=True)
    quoted = preview.preview_order(actor=buyer, request=request, now=make.NOW)
    warned = quoted.warnings[0]
    assert warned.rule == "price_band"
    assert warned.says.startswith(f"{LIMIT}: price band: 100.000000 yuan, the band is 8.")


def test_who_passes_the_band_on_purpose_is_on_record(banded):
    order = make.place(make.funded_buyer(), limit="100", allow_outside_band=True)
    row = AuditRow.objects.get(action="order.place", subject_id=str(order.id))
    assert row.after["allow_outside_band"] is True


def test_offers_keep_the_band_of_their_pools_region_also_when_their_price_changes(banded):
    provider = make.seller()
    pool = make.capacity.pool(provider, make.capacity.centre(provider), units=8)
    with pytest.raises(OfferRefused) as refused:
        make.offer(provider, pool, prices_micro=(10_000_000,) * 23 + (12_000_001,))
    assert [bad.field for bad in refused.value.fields] == ["prices"]
    assert "12.000001 yuan, the band is 8.000000 to 12.000000" in refused.value.fields[0].rule
    assert not Offer.objects.exists()
    cheap = {"is_reclaimable": True, "reclaim_notice_seconds": 600}
    make.offer(provider, pool, price="1", **cheap)
    made = make.offer(provider, pool, price="12")
    make.match()

    def change(**changes):
        return services.change_offer(
            actor=provider, offer_id=made.id, changes=changes, now=make.NOW
        )

    with pytest.raises(OfferRefused):
        change(prices_micro=(13_000_000,))
    change(prices_micro=(13_000_000,), allow_outside_band=True)
    make.match()
    made.refresh_from_db()
    assert made.prices == [Decimal(13)]
    change(units=4)  # its price is as it was, and is not asked about again


def test_what_rests_is_not_judged_again_and_a_replay_needs_no_index(banded):
    make.place(make.funded_buyer(), limit="12", units=2, regions_allowed=("zhengzhou",))
    make.match()
    publish(slot=make.SLOT, zhengzhou="100")
    provider = make.seller()
    pool = make.capacity.pool(provider, make.capacity.centre(provider), units=2)
    make.offer(provider, pool, price="11", allow_outside_band=True)
    make.match()
    order = Order.objects.get()
    assert order.state == "filled"
    assert len(retell(make.book(), ReferenceBook).trades) == 1


def test_without_a_band_nothing_is_asked(banded, django_assert_num_queries):
    Book.objects.filter(code="intelligent").update(band_bp=None)
    buyer = make.funded_buyer()
    with django_assert_num_queries(1):
        services.intake.order_of(
            make.order_request(limit="500"), buyer_id=buyer.organisation_id, now=make.NOW
        )
    Book.objects.filter(code="intelligent").update(band_bp=2_000)
    with django_assert_num_queries(2):
        services.intake.order_of(
            make.order_request(limit="10"), buyer_id=buyer.organisation_id, now=make.NOW
        )


def test_the_desk_sets_the_rules_of_a_book_and_it_is_on_record():
    desk = factories.operator("market")
    rules = {"book_code": "intelligent", "index_min_unit_hours": 5, "now": make.NOW}
    orderly.set_book_rules(actor=desk, band_bp=1_500, **rules)
    book = make.book()
    assert (book.band_bp, book.index_min_unit_hours) == (1_500, 5)
    row = AuditRow.objects.get(action="market.rules")
    assert (row.before["band_bp"], row.after["band_bp"]) == (None, 1_500)
    for bad in (0, -1, 100_001):
        with pytest.raises(InvalidInput):
            orderly.set_book_rules(actor=desk, band_bp=bad, **rules)
    with pytest.raises(BookNotFound):
        orderly.set_book_rules(actor=desk, band_bp=1, **(rules | {"book_code": "none"}))
    with pytest.raises(OperatorRoleMissing):
        orderly.set_book_rules(actor=factories.operator("auditor"), band_bp=1, **rules)
    assert make.book().band_bp == 1_500
