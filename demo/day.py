"""The compressed day: buyers and providers at work at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from demo.client import Api
from demo.clockwork import DayClock
from demo.demand import PlannedOrder
from demo.orders import Placed, place_all
from demo.progress import Screen, Stage
from demo.providers import Agent, Outage, Tally, run_agents
from demo.registration import Market, each
from demo.scenario import Scenario

# The compressed clock is stopped before midnight, so that the officers settle the day itself and
# not the one after: it runs on for a second or two while the processes end.
LAST_HOUR: Final = 23.2
_LOOK_S: Final = 0.5


@dataclass
class Day:
    """What the participants remember, and the agents for what is left to do."""

    placed: Placed
    tally: Tally
    agents: list[Agent]


async def run_day(
    api: Api,
    scenario: Scenario,
    plan: Sequence[PlannedOrder],
    *,
    market: Market,
    clock: DayClock,
    screen: Screen,
    watch: Callable[[], None],
) -> Day:
    """From now to a little before midnight; `watch` is called twice a second."""
    tally = Tally()
    failing = scenario.failure
    outage = Outage(
        market.centre_ids[failing.centre], failing.from_hour, failing.from_hour + failing.hours
    )
    agents = [
        Agent(
            api,
            number=number,
            key=market.keys[provider.code],
            centres=[
                market.centre_ids[centre.code]
                for centre in scenario.centres
                if centre.provider == provider.code
            ],
            clock=clock,
            outage=outage,
            tally=tally,
        )
        for number, provider in enumerate(scenario.providers)
    ]
    orders = screen.stage("Orders", len(plan))
    delivery = screen.stage("Hours of delivery", 24)
    watching = asyncio.create_task(_watch(watch, lambda: _show(delivery, clock, tally)))
    try:
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(run_agents(agents, over))
            placed = await place_all(api, plan, market.keys, clock, orders)
            # On a machine that is too slow the orders, and so the day, take longer.
            await clock.sleep_until(LAST_HOUR)
            over.set()
    finally:
        watching.cancel()
    return Day(placed, tally, agents)


async def report_the_rest(day: Day, api: Api, clock: DayClock) -> None:
    """Every agent reports what was delivered until now."""
    until = clock.now()

    async def finish(agent: Agent) -> None:
        await agent.finish(until, api, clock)

    await each(day.agents, finish)


def _show(stage: Stage, clock: DayClock, tally: Tally) -> None:
    note = (
        f"{tally.moves['activate']:,} leases started, {tally.usage_records:,} usage records"
        + (f", {len(tally.suspended)} suspended" if tally.suspended else "")
        + (f", {len(tally.resumed)} resumed" if tally.resumed else "")
    )
    stage.reach(int(clock.hours()), note)


async def _watch(watch: Callable[[], None], show: Callable[[], None]) -> None:
    while True:
        watch()
        show()
        await asyncio.sleep(_LOOK_S)
