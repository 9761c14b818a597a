"""`make demo`: start an exchange, let a province trade for a compressed day, settle it, report.

Environment: `TRACE` names a trace (or several, with commas) that replaces the built-in demand,
`KEEP=0` ends after the summary, `PORT` is the web server's. `ORDERS` (5000) and `SECONDS_PER_HOUR`
(4) make the day smaller or slower, for a machine that is busy or slow. See `docs/demo.md`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final, NoReturn

from core.clock import Clock
from demo import demand, replay, scenario, traces
from demo.client import Api, Refused, Timings
from demo.clockwork import DayClock, as_text, change_pace, midnight_today, ticking_from
from demo.day import Day, report_the_rest, run_day
from demo.demand import PlannedOrder
from demo.load import processor_seconds, spent_between
from demo.progress import Screen
from demo.readback import Books, Outcome, read_books, read_market
from demo.registration import Market, Staff, set_up
from demo.report import CLEAN, Report, show
from demo.scenario import Scenario
from demo.settlement import NotSettled, Settled, settle
from exchangectl.preparing import DEMONSTRATION, VAR
from exchangectl.process import StartError
from exchangectl.running import Running, start_exchange

DATA: Final = VAR / DEMONSTRATION
RESULT: Final = VAR / "demo.json"
# An hour of the day in seconds of wall time: 24 of them take 96 s.
SECONDS_PER_HOUR: Final = float(os.environ.get("SECONDS_PER_HOUR") or 4)
# For each of the two web processes: on two cores more of them only wait for one another.
WEB_THREADS: Final = 2
# In the compressed day a centre is given up after three hours of silence, which are 12 s of wall
# time; its agent sends a heartbeat every second hour.
ENVIRONMENT: Final = {
    "CENTRE_SILENCE_SECONDS": "10800",
    "RATE_LIMIT_PER_MINUTE": "60000",
    "RATE_LIMIT_REGISTRATIONS_PER_HOUR": "1000",
}


def main() -> int:
    """The whole demonstration; the exit status."""
    started = time.monotonic()
    # SIGINT too: a shell starts what it puts into the background with it ignored.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    screen = Screen()
    exchange: Running | None = None
    try:
        henan = scenario.load()
        orders = int(os.environ.get("ORDERS") or henan.orders)
        trace = os.environ.get("TRACE", "")
        plan = _plan(henan, trace, orders, screen)
        midnight = midnight_today()
        exchange = _start(screen, midnight)
        stage = _Stage(exchange, henan, screen, midnight)
        report, staff, buyer_key = _run(stage, plan, started)
        if os.environ.get("KEEP", "") != "0":
            _keep_up(stage, staff, buyer_key)
        return 0 if report.is_clean else 1
    except (traces.TraceError, StartError, Refused, NotSettled) as error:
        screen.say(f"error: {error}")
        return 1
    except ExceptionGroup as group:
        # Tasks that work side by side fail in groups; what nobody expected keeps its traceback.
        expected, other = group.split((StartError, Refused, NotSettled))
        if other is not None:
            raise
        screen.say(f"error: {_first(expected)}")
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        # A second Ctrl-C must not leave half of it running; every stop has a limit in time.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        if exchange is not None:
            exchange.stop(screen.say)


def _first(error: BaseException | None) -> BaseException | None:
    """The first single error in groups of groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _plan(henan: Scenario, trace: str, orders: int, screen: Screen) -> list[PlannedOrder]:
    """The built-in demand, or that of the traces."""
    if not trace:
        return demand.plan(henan, orders=orders)
    paths = [Path(name).expanduser() for name in trace.split(",")]
    share = max(1, orders // len(paths))
    planned = []
    for path in paths:
        screen.say(f"reading {path}")
        planned += replay.plan(henan, traces.read(path), orders=share)
    screen.say(
        f"{len(planned):,} orders sampled; buyers and limits are drawn, since no trace has them"
    )
    return sorted(planned, key=lambda order: order.at_s)


def _start(screen: Screen, midnight: datetime) -> Running:
    """A fresh exchange in the demonstration's folder, at midnight and at ordinary pace."""
    if DATA.exists():
        screen.say(f"{DATA} holds the last demonstration: it is replaced")
    clock = ticking_from(midnight, 1.0)
    port = os.environ.get("PORT", "")
    return start_exchange(
        DATA,
        clock=as_text(clock),
        port=int(port) if port else None,
        fresh=True,
        web_threads=WEB_THREADS,
        extra_env=ENVIRONMENT,
        say=screen.say,
    )


@dataclass
class _Stage:
    """What the phases of the demonstration share."""

    exchange: Running
    scenario: Scenario
    screen: Screen
    midnight: datetime
    timings: dict[str, Timings] = field(default_factory=lambda: defaultdict(Timings))

    @property
    def clock(self) -> DayClock:
        """The exchange's present clock."""
        return DayClock(Clock.parse(self.exchange.env["EXCHANGE_CLOCK"]), self.midnight)

    def go_on_at(self, speed: float) -> DayClock:
        """Let the exchange go on from the instant that it has reached, at another pace."""
        change_pace(self.exchange, speed)
        return self.clock

    def api(self) -> Api:
        """A client for one phase; all phases' timings are kept together."""
        return Api(self.exchange.base_url, timings=self.timings)

    def watch(self) -> None:
        """Start again what died by itself."""
        self.exchange.revive(self.screen.say)


def _run(
    stage: _Stage, plan: list[PlannedOrder], started: float
) -> tuple[Report, dict[str, Staff], str]:
    screen = stage.screen
    staff = _operator(stage)
    with screen:
        market = asyncio.run(_set_up(stage, staff))
        screen.say(f"the day begins: an hour takes {SECONDS_PER_HOUR:.0f} s")
        clock = stage.go_on_at(3600 / SECONDS_PER_HOUR)
        began, before = time.monotonic(), processor_seconds(stage.exchange.children)
        day = asyncio.run(_live(stage, plan, market, clock))
        spent = spent_between(before, processor_seconds(stage.exchange.children))
        screen.say("the day is done: the officers settle it at ordinary pace")
        stage.go_on_at(1.0)
        settled = asyncio.run(_settle(stage, day, staff))
        seconds_day = time.monotonic() - began
        screen.say("reading back what happened")
        outcome, books = asyncio.run(_read(stage, day, clock, staff))
    report = Report(
        orders=len(day.placed.placed_at),
        outcome=outcome,
        settled=settled,
        books=books,
        verify=_verify(stage.exchange, "verify"),
        admissions=_verify(stage.exchange, "replay_admissions"),
        seconds_day=seconds_day,
        seconds_total=time.monotonic() - started,
        seconds_behind=day.placed.seconds_behind,
        refusals=[*day.placed.refusals, *day.tally.refusals],
        timings=stage.timings,
        processor_seconds=spent,
    )
    RESULT.write_text(json.dumps(report.as_json(), indent=1, ensure_ascii=False) + "\n")
    show(report, screen)
    return report, staff, market.keys[stage.scenario.buyers[0].party.code]


def _operator(stage: _Stage) -> dict[str, Staff]:
    """Reference data and the operator's people: what every installation begins with."""
    stage.screen.say("loading reference data, making the operator's staff")
    stage.exchange.manage("load_reference")
    issued = json.loads(stage.exchange.manage("bootstrap_operator", "--json"))
    return {
        post: Staff(person["email"], person["password"], person["key"] or "")
        for post, person in issued.items()
    }


async def _set_up(stage: _Stage, staff: dict[str, Staff]) -> Market:
    async with stage.api() as api:
        return await set_up(api, stage.scenario, staff, clock=stage.clock, screen=stage.screen)


async def _live(stage: _Stage, plan: list[PlannedOrder], market: Market, clock: DayClock) -> Day:
    async with stage.api() as api:
        return await run_day(
            api,
            stage.scenario,
            plan,
            market=market,
            clock=clock,
            screen=stage.screen,
            watch=stage.watch,
        )


async def _settle(stage: _Stage, day: Day, staff: dict[str, Staff]) -> Settled:
    async with stage.api() as api:
        await report_the_rest(day, api, stage.clock)
        return await settle(api, staff["clerk"], staff["approver"], DATA)


async def _read(
    stage: _Stage, day: Day, clock: DayClock, staff: dict[str, Staff]
) -> tuple[Outcome, list[Books]]:
    async with stage.api() as api:
        outcome = await read_market(
            api, staff["market"].key, scenario=stage.scenario, placed=day.placed, clock=clock
        )
        return outcome, await read_books(api, staff["auditor"].key)


def _verify(exchange: Running, command: str) -> str:
    """`CLEAN`, or the findings that one of `manage.py`'s commands reports."""
    findings = exchange.manage(command, check=False).splitlines()
    bad = [line for line in findings if not line.startswith("ok")]
    return "; ".join(bad) if bad or not findings else CLEAN


def _keep_up(stage: _Stage, staff: dict[str, Staff], buyer_key: str) -> None:
    """Say where everything is, and stay until Ctrl-C."""
    url = stage.exchange.base_url
    say = stage.screen.say
    say("")
    say(f"console         {url}/console/")
    for post, title in (("clerk", "settlement clerk"), ("approver", "settlement approver")):
        say(f"                {title}: {staff[post].email}  {staff[post].password}")
    say(f"API             {url}/api/v1/docs (and /api/v1/redoc)")
    say(f"                a buyer's key: {buyer_key}")
    say(f"                a key that may read everything: {staff['auditor'].key}")
    say("Ctrl-C stops everything")
    while True:
        time.sleep(1)
        stage.watch()


def _interrupt(_signal: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
