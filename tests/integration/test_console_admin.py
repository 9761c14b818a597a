"""Reference data in the admin: who may open it, what may be changed, what is recorded."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from unfold.admin import ModelAdmin

from accounts.models import AuditRow, User
from exchange.pricing.models import RuleSet
from exchange.topology.models import Region
from tests.integration import console_scene
from tests.integration.console_scene import Scene

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return console_scene.build(now=NOW, cities=2, buyers=2, orders=3)


@pytest.fixture
def keeper(scene: Scene) -> Client:
    user = scene.people["market"]
    User.objects.filter(pk=user.pk).update(is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(User.objects.get(pk=user.pk))
    client.cookies["django_language"] = "en"
    return client


def test_every_model_of_the_admin_has_the_same_look() -> None:
    for model, model_admin in admin.site._registry.items():
        assert isinstance(model_admin, ModelAdmin), model


@pytest.mark.parametrize(
    "name", ["region", "link", "devicemodel", "devicefigure", "grade", "book", "ruleset"]
)
def test_every_list_opens(keeper: Client, name: str) -> None:
    assert keeper.get(reverse(f"admin:exchange_{name}_changelist")).status_code == 200
    if name != "book":
        assert keeper.get(reverse(f"admin:exchange_{name}_add")).status_code == 200


def test_a_change_is_a_row_of_the_audit_chain(keeper: Client) -> None:
    region = Region.objects.get(code="hebi")
    url = reverse("admin:exchange_region_change", args=[region.pk])
    answer = keeper.post(
        url,
        {
            "code": "hebi",
            "name_zh": "鹤壁",
            "name_en": region.name_en,
            "kind": region.kind,
            "role": region.role,
            "parent": region.parent_id,
            "latitude": region.latitude,
            "longitude": region.longitude,
        },
    )
    assert answer.status_code == 302
    row = AuditRow.objects.get(action="region.change")
    assert (row.subject_id, row.actor_label) == ("hebi", "market@operator.example")
    assert (row.before, row.after) == ({"name_zh": "鹤壁市"}, {"name_zh": "鹤壁"})


def test_rule_sets_are_only_added(keeper: Client) -> None:
    rules = RuleSet.objects.get()
    url = reverse("admin:exchange_ruleset_change", args=[rules.pk])
    assert keeper.post(url, {"commission_bp": 1}).status_code == 403
    assert keeper.post(reverse("admin:exchange_ruleset_delete", args=[rules.pk])).status_code == 403
    added = keeper.post(
        reverse("admin:exchange_ruleset_add"),
        {
            "valid_from_at_0": "2027-01-01",
            "valid_from_at_1": "00:00:00",
            "commission_bp": 250,
            "compute_vat_bp": 600,
            "transport_vat_bp": 900,
            "brokerage_vat_bp": 600,
            "reporting_grace_seconds": 86400,
            "note": "from the new year",
        },
    )
    assert added.status_code == 302
    assert list(RuleSet.objects.values_list("commission_bp", flat=True)) == [300, 250]
    assert AuditRow.objects.filter(action="ruleset.add").count() == 1


def test_books_are_only_looked_at(keeper: Client) -> None:
    assert keeper.get(reverse("admin:exchange_book_add")).status_code == 403


def test_staff_of_the_console_alone_may_not_open_the_admin(scene: Scene) -> None:
    client = Client()
    client.force_login(scene.people["clerk"])
    assert client.get(reverse("admin:index")).status_code == 302
