"""``manage.py load_reference``: everything of the files, and nothing twice."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.capacity.models import Book, DeviceFigure, DeviceModel, Grade
from exchange.pricing.models import RuleSet
from exchange.topology import selectors, services
from exchange.topology.models import Link, Region
from tests.integration.capacity.builders import load_reference

pytestmark = pytest.mark.usefixtures("reference")
MODELS = (Region, Link, DeviceModel, DeviceFigure, Book, Grade, RuleSet)


def test_repeating_it_changes_nothing():
    before = {model: list(model.objects.order_by("pk").values()) for model in MODELS}
    load_reference()
    assert {model: list(model.objects.order_by("pk").values()) for model in MODELS} == before
    assert Book.objects.count() == 5
    assert RuleSet.objects.count() == 1


def test_it_corrects_facts_and_leaves_the_operators_values():
    Region.objects.filter(code="luoyang").update(role="point")
    DeviceFigure.objects.filter(quantity="fp16_tflops").update(value=1)
    link = Link.objects.get(region_a_id="luoyang", region_b_id="zhengzhou")
    Link.objects.filter(id=link.id).update(price_per_gb=Decimal("0.5"), rtt_us=1, is_open=False)
    load_reference()
    assert Region.objects.get(code="luoyang").role == "pole"
    assert not DeviceFigure.objects.filter(quantity="fp16_tflops", value=1).exists()
    after = Link.objects.get(id=link.id)
    assert (after.price_per_gb, after.is_open) == (Decimal("0.5"), False)
    assert after.rtt_us == link.rtt_us


def test_a_figure_no_longer_stated_goes():
    figure = DeviceFigure.objects.get(device_model_id="a100-80g", quantity="fp64_tflops")
    DeviceFigure.objects.create(
        device_model_id="a100-80g", quantity="rumour", value=1, kind="vendor", source="nobody"
    )
    load_reference()
    assert not DeviceFigure.objects.filter(quantity="rumour").exists()
    assert DeviceFigure.objects.get(id=figure.id).value == Decimal("9.7")


def test_the_tree_answers_for_a_province():
    henan = selectors.subtree("henan")
    assert {"henan", "zhengzhou", "zhengzhou-airport", "jiyuan"} <= henan
    assert len(henan) == 20
    assert selectors.subtree("atlantis") == set()


def test_circles_around_zhengzhou():
    assert selectors.regions_within("zhengzhou", 1_000) == {"zhengzhou", "zhengzhou-airport"}
    assert "luoyang" in selectors.regions_within("zhengzhou", 3_000)
    near = selectors.regions_within("zhengzhou", 5_000)
    cities = set(Region.objects.filter(parent_id="henan").values_list("code", flat=True))
    assert cities <= near
    assert not near & {"qingyang", "wuhu", "hami"}


def test_the_network_is_built_again_only_after_a_change(django_assert_num_queries):
    first = selectors.network()
    with django_assert_num_queries(1):
        assert selectors.network() is first
    Link.objects.filter(region_a_id="luoyang", region_b_id="zhengzhou").update(is_open=False)
    second = selectors.network()
    assert second is not first
    direct = first.path("luoyang", "zhengzhou", None)
    around = second.path("luoyang", "zhengzhou", None)
    assert len(direct.links) == 1 < len(around.links)


def test_regions_load_in_a_bounded_number_of_statements(django_assert_max_num_queries):
    with django_assert_max_num_queries(3):
        services.load_regions(services.reference_regions())
