"""Search: each constraint turns away exactly what it names; free units follow what is sold."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from exchange.capacity import services
from exchange.capacity.search import CapacityQuery, search_capacity
from tests.integration.capacity.builders import NOW, NPU, SLOT, centre, offer, pool, provider, sell

WINDOW = CapacityQuery(from_slot=SLOT + 1, to_slot=SLOT + 5)


@pytest.fixture
def market(reference) -> dict:
    """Four pools of two providers in three cities."""
    first, second = provider(), provider()
    zhengzhou = centre(first, "zz")
    luoyang = centre(first, "ly", region="luoyang", pue=Decimal("1.400"))
    hami = centre(second, "hm", region="hami", green_share=Decimal("0.9000"))
    pools = {
        "npu": pool(first, zhengzhou, "npu", NPU, 64),
        "a100": pool(first, luoyang, "a100", "intelligent.a100-80g.1", 16),
        "node": pool(first, luoyang, "node", "super.epyc-7763.node", 100),
        "hami": pool(second, hami, "hami", NPU, 128),
    }
    offer(pools["npu"], "5.00")
    offer(pools["npu"], "4.50", start_slot=SLOT + 3)
    offer(pools["npu"], "1.00", start_slot=SLOT + 5)
    offer(pools["hami"], "3.90")
    return pools | {"first": first}


def found(query: CapacityQuery) -> list[str]:
    return [row.code for row in search_capacity(query)]


@pytest.mark.usefixtures("market")
@pytest.mark.parametrize(
    ("wanted", "codes"),
    [
        ({}, ["npu", "a100", "node", "hami"]),
        ({"resource_class": "intelligent"}, ["npu", "a100", "hami"]),
        ({"grades": (NPU,)}, ["npu", "hami"]),
        ({"grades": ("none",)}, []),
        ({"region": "henan"}, ["npu", "a100", "node"]),
        ({"region": "luoyang"}, ["a100", "node"]),
        ({"region": "atlantis"}, []),
        ({"min_figures": {"fp64_tflops": Decimal("9")}}, ["a100"]),
        ({"min_figures": {"fp64_tflops": Decimal("2")}}, ["a100", "node"]),
        ({"min_figures": {"fp16_tflops": Decimal("313")}}, ["npu", "hami"]),
        ({"min_memory_gb": Decimal("80")}, ["a100", "node"]),
        ({"domestic_only": True}, ["npu", "hami"]),
        ({"min_green_share": Decimal("0.5")}, ["hami"]),
        ({"max_pue": Decimal("1.3")}, ["npu", "hami"]),
        ({"rtt_region": "zhengzhou", "max_rtt_us": 1_000}, ["npu"]),
        ({"rtt_region": "zhengzhou", "max_rtt_us": 3_000}, ["npu", "a100", "node"]),
        ({"free_units": 65}, ["node", "hami"]),
        ({"max_price": Decimal("4.50")}, ["npu", "hami"]),
        ({"max_price": Decimal("4.49")}, ["hami"]),
    ],
)
def test_constraints(wanted, codes):
    assert found(replace(WINDOW, **wanted)) == codes


def test_free_units_and_lowest_price_follow_the_window(market):
    npu = market["npu"]
    sell(npu, 10, start_slot=SLOT + 1, slots=2)
    sell(npu, 30, start_slot=SLOT + 4, slots=40)
    first, later = replace(WINDOW, grades=(NPU,)), SLOT + 48

    def of_npu(query) -> tuple[int, Decimal | None]:
        row = next(row for row in search_capacity(query) if row.code == "npu")
        return row.free_units, row.lowest_price

    assert of_npu(first) == (34, Decimal("4.5"))
    assert of_npu(replace(first, to_slot=SLOT + 4)) == (54, Decimal("4.5"))
    assert of_npu(replace(first, from_slot=later, to_slot=later + 1)) == (64, Decimal("1"))


def test_what_cannot_be_sold_is_not_shown(market):
    first = market["first"]
    services.pause_pool(actor=first, pool_id=market["npu"].id, now=NOW)
    services.change_pool(actor=first, pool_id=market["a100"].id, health="maintenance", now=NOW)
    assert found(WINDOW) == ["node", "hami"]


def test_statements_do_not_grow_with_pools(market):
    query = replace(
        WINDOW, region="henan", rtt_region="zhengzhou", max_rtt_us=9_000, max_price=Decimal(99)
    )

    def count() -> int:
        with CaptureQueriesContext(connection) as queries:
            rows = list(search_capacity(query))
            assert all(row.grade.device_model.figures.all() for row in rows)
        return len(queries)

    count()  # builds the network, which this process then keeps
    before = count()
    at = centre(market["first"], "more")
    for number in range(30):
        offer(pool(market["first"], at, f"more-{number}"))
    assert count() == before
    assert before <= 5
