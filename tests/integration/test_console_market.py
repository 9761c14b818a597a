"""The console's page of the market desk: halts, bands, and who has the supply."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.urls import reverse

from accounts.models import AuditRow
from exchange.capacity.models import Book
from exchange.market import matching
from exchange.market.orderly.models import Halt
from tests.integration import console_scene
from tests.integration.console_scene import Scene, as_

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch, empty_cache: None) -> None:
    monkeypatch.setattr("core.clock.now", lambda: NOW)


@pytest.fixture
def scene() -> Scene:
    return console_scene.build(now=NOW)


def test_the_market_desk_halts_resumes_and_sets_bands_and_nobody_else(scene: Scene) -> None:
    page = reverse("console:market")
    Book.objects.create(code="quantum", resource_class="quantum")  # in which nothing rests
    halt = {"what": "book:quantum", "reason": "价格异常"}
    auditor, desk = as_(scene, "auditor"), as_(scene, "market")
    refused = auditor.post(reverse("console:halt"), halt, follow=True).content.decode()
    assert "Your role may not do this." in refused
    assert "Halt trading" not in refused
    assert not Halt.objects.exists()

    shown = desk.post(reverse("console:halt"), halt, follow=True).content.decode()
    assert "Halted: nothing is matched there" in shown
    assert "价格异常" in shown
    again = desk.post(reverse("console:halt"), halt, follow=True).content.decode()
    assert "The present state does not allow this." in again
    region = {"what": "region:luoyang", "reason": " "}
    unsaid = desk.post(reverse("console:halt"), region, follow=True).content.decode()
    assert "A value breaks a rule." in unsaid
    made = Halt.objects.get()
    assert (made.book.code, made.halted_by) == ("quantum", "market@operator.example")
    book = Book.objects.get(code="quantum")
    while matching.match_book(book_id=book.id, now=NOW):
        pass
    assert '<span class="state bad">Halted</span>' in auditor.get(page).content.decode()
    assert "已暂停" in as_(scene, "auditor", "zh-hans").get(page).content.decode()

    url = reverse("console:resume", args=[made.id])
    desk.post(url, {"reason": "已查明"})
    assert "Nothing is halted." in desk.get(page).content.decode()
    rules = reverse("console:book-rules", args=["quantum"])
    for band, volume, expected in (
        ("12.5", "3", (1250, 3)),
        ("x", "3", (1250, 3)),
        ("1.234", "3", (1250, 3)),
        ("5", "-1", (1250, 3)),
        ("", "1", (None, 1)),
    ):
        desk.post(rules, {"band": band, "volume": volume})
        book.refresh_from_db()
        assert (book.band_bp, book.index_min_unit_hours) == expected
    auditor.post(rules, {"band": "1", "volume": "1"})
    book.refresh_from_db()
    assert book.band_bp is None
    acts = AuditRow.objects.filter(action__startswith="market.").order_by("id")
    assert [row.action for row in acts] == [
        "market.halt",
        "market.resume",
        "market.rules",
        "market.rules",
    ]


def test_concentration_is_that_of_the_pools(scene: Scene) -> None:
    shown = as_(scene, "auditor").get(reverse("console:market")).content.decode()
    units: dict[str, dict[object, int]] = {}
    for pool in scene.pools:
        of_grade = units.setdefault(pool.grade.code, {})
        provider = pool.centre.provider_id
        of_grade[provider] = of_grade.get(provider, 0) + pool.units
    for grade, found in units.items():
        total = sum(found.values())
        hhi = round(sum(n * n for n in found.values()) * 10_000 / total**2)
        row = re.search(rf"<tr><td><code>{re.escape(grade)}</code>.*?</tr>", shown, re.S)
        assert row is not None, grade
        assert f">{total:,}<" in row[0]
        assert f">{hhi:,}<" in row[0]
