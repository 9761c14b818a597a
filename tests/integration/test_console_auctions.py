"""The console's pages of auctions: what they say in both languages, and who may hold one."""

from __future__ import annotations

import json

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditRow, User
from console.access import CONTENT_SECURITY_POLICY
from console.curve import curve_chart
from exchange.market.auction import checker
from exchange.market.day_ahead import gate
from exchange.market.day_ahead.models import Auction
from tests import factories
from tests.integration.market import auctions as at
from tests.integration.market import builders as make

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch, empty_cache: None) -> None:
    monkeypatch.setattr("core.clock.now", lambda: at.AFTER)


@pytest.fixture
def auction() -> Auction:
    """Open, with a link that will be full and a block that will not be accepted."""
    make.capacity.load_reference()
    make.matching.forget_states()
    auction = at.opened()
    cheap, dear = make.seller(), make.seller()
    luoyang = make.capacity.pool(cheap, make.capacity.centre(cheap, region="luoyang"), units=16)
    zhengzhou = make.capacity.pool(dear, make.capacity.centre(dear), units=16)
    at.link("luoyang", "zhengzhou", units=4, price="1")
    at.sell(cheap, auction, luoyang, at.line(auction, "5", 10, (2, 3)))
    at.sell(dear, auction, zhengzhou, at.line(auction, "9", 10, (2, 3)))
    at.buy(
        make.funded_buyer(),
        auction,
        at.line(auction, "20", 6, (2, 3)),
        at.line(auction, "2", 3, (2, 3), kind="block"),
    )
    return auction


def as_(role: str, language: str = "en") -> Client:
    actor = factories.operator(role)
    client = Client()
    client.force_login(User.objects.get(id=actor.id))
    client.cookies["django_language"] = language
    return client


def test_a_published_auction_says_everything_in_both_languages(
    auction, django_assert_max_num_queries
):
    at.advance(auction)
    url = reverse("console:auction", args=[auction.id])
    for language, words in (
        ("en", ("Prices by zone and hour", "Out of the money", "Optimal", "Flows and congestion")),
        ("zh-hans", ("分区分时价格", "出价未达", "最优", "潮流与拥塞")),
    ):
        client = as_("auditor", language)
        listed = client.get(reverse("console:auctions")).content.decode()
        assert url in listed
        with django_assert_max_num_queries(16):
            response = client.get(url)
        assert response.status_code == 200
        assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
        body = response.content.decode()
        for word in words:
            assert word in body, word
        assert "<script" not in body
        assert "style=" not in body
        assert '<g class="full">' in body
        assert "¥9.00" in body
        assert "¥5.00" in body
        assert reverse("console:cancel-auction", args=[auction.id]) not in body
    slot = auction.first_slot + 2
    node = as_("auditor").get(f"{url}?grade={make.NPU}&zone=luoyang&slot={slot}")
    assert f"{make.NPU} · luoyang · 2026-11-24 02:00 · ¥5.00" in node.content.decode()


def test_the_documents_can_be_downloaded_and_checked(auction):
    client = as_("auditor")
    files = [
        reverse("console:auction-document", args=[auction.id, name])
        for name in ("problem", "certificate")
    ]
    assert client.get(files[0]).status_code == 404
    at.advance(auction)
    problem, certificate = (json.loads(client.get(url).content) for url in files)
    assert checker.check(problem, certificate) == []


def test_a_fallback_is_said_plainly(auction, monkeypatch):
    from exchange.market.auction import clearing
    from exchange.market.auction.relaxation import SolverFailed

    def fails(*_args, **_options):
        raise SolverFailed("it broke")

    monkeypatch.setattr(clearing.Search, "run", fails)
    at.advance(auction)
    body = as_("auditor").get(reverse("console:auction", args=[auction.id])).content.decode()
    assert "The solver failed." in body
    assert "it broke" in body


def test_the_market_desk_announces_and_cancels_with_a_reason(auction):
    client = as_("market")
    url = reverse("console:cancel-auction", args=[auction.id])
    page = reverse("console:auction", args=[auction.id])
    assert url in client.get(page).content.decode()
    assert client.get(url).status_code == 200
    refused = as_("auditor").post(url, {"reason": "why not"}, follow=True)
    assert "Your role may not do this." in refused.content.decode()
    assert "reason" in client.post(url, {"reason": ""}, follow=True).content.decode()
    auction.refresh_from_db()
    assert auction.state == "open"
    client.post(url, {"reason": "a flood in Luoyang"})
    auction.refresh_from_db()
    assert (auction.state, auction.state_reason) == ("cancelled", "a flood in Luoyang")
    row = AuditRow.objects.get(subject_id=str(auction.id), action="auction.cancelled")
    assert row.after["reason"] == "a flood in Luoyang"
    assert "a flood in Luoyang" in client.get(page).content.decode()

    announce = reverse("console:announce-auction")
    again = {"delivery_date": "2026-11-26", "reason": "a rehearsal"}
    assert "announced" in client.post(announce, again, follow=True).content.decode()
    made = Auction.objects.get(delivery_date="2026-11-26")
    assert made.state == "announced"
    assert "Give a day" in client.post(announce, {}, follow=True).content.decode()
    assert gate.due_auctions(now=at.AFTER) == []


def test_a_curve_rises_and_falls_in_stairs_to_the_cross():
    chart = curve_chart([(20, 6), (8, 9)], [(5, 4), (9, 14)], price_micro=9, units=6)
    assert chart.demand.count("L") == 3
    assert chart.demand.startswith(f"M{chart.left} ")
    assert chart.bottom > (chart.cross_y or 0) > chart.top
    assert [tick.value for tick in chart.units] == [0, 2, 5, 8, 11, 14]
    empty = curve_chart([], [], price_micro=None, units=0)
    assert (empty.demand, empty.cross_y) == ("", None)
