"""A running exchange loses its broker and its workers, and still matches everything."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.stories.parties import World, clock_text, until, whole_hour

GRADE = "intelligent.ascend-910b.1"


@pytest.fixture(scope="module")
def world(exchange_factory) -> World:
    clock = clock_text(datetime.now(UTC), 1.0)
    return World(
        exchange_factory(clock=clock, port=0, extra_env={"CENTRE_SILENCE_SECONDS": "86400"})
    )


def test_flushed_killed_and_restarted_everything_is_matched_in_the_end(world):
    provider = world.register("provider", "zhengzhou")
    buyer = world.register("buyer", "zhengzhou", yuan="1000000")
    world.capacity(provider, "zhengzhou", units=10, price="10")
    wanted = {
        "grades": [{"grade": GRADE, "limit_price_per_unit_hour": "10"}],
        "units": 1,
        "duration_hours": 1,
        "latest_end_at": whole_hour(world.clock.now(), 2).isoformat(),
    }

    def placed(count: int) -> list[str]:
        return [buyer.post("/orders", wanted)["id"] for _ in range(count)]

    orders = placed(3)
    world.running.restart_valkey(lose_data=True)
    orders += placed(3)
    world.running.kill("matcher")
    orders += placed(3)
    world.running.restart_valkey(kill=True, lose_data=True)
    world.running.start("matcher")
    orders += placed(3)

    def states() -> list[str]:
        found = buyer.get("/orders", limit=100)["results"]
        by_id = {order["id"]: order["state"] for order in found}
        return [by_id[order] for order in orders]

    until(lambda: "pending" not in states(), seconds=60)
    # Ten units and twelve orders, in the order of their arrival.
    assert states() == ["filled"] * 10 + ["open"] * 2
    assert len(buyer.get("/trades", limit=100)["results"]) == 10
    assert "FAIL" not in world.running.manage("verify")
