"""The providers: an agent for each starts leases, sends heartbeats, reports what was delivered.

An agent knows only what the API tells it. Twice an hour it asks for the leases that changed, moves
along those whose time has come, and, when an hour begins, sends a heartbeat for each centre and
the use of the hours past. One centre fails in the day: while it is out its agent is silent about
it, and takes up its leases when it is back.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import floor
from typing import Any, Final

from demo.client import Api, Refused
from demo.clockwork import DayClock
from demo.registration import text

# Parts of an hour at which an agent looks: a little after it begins, and in its middle.
_LOOKS: Final = (0.04, 0.54)
_PROVISION_AHEAD: Final = timedelta(hours=1)
# Use is reported when a lease has ended, and of running leases every so many hours.
REPORT_EVERY_HOURS: Final = 8
_BATCH: Final = 1000
# A sign of life of each centre every so many hours; agents take turns.
BEAT_EVERY_HOURS: Final = 2
# Every so many-th lease is announced as being prepared before its time.
_PROVISION_EVERY: Final = 4
# Every so many-th lease gets access details, so that buyers have something to read.
_ACCESS_EVERY: Final = 20
_OVERLAP: Final = timedelta(minutes=5)


Span = tuple[datetime, datetime]


@dataclass
class Lease:
    """A lease as its provider sees it; `reported_until` is the end of its last usage record."""

    id: str
    number: int  # among its agent's leases
    centre: str
    units: int
    starts_at: datetime
    ends_at: datetime
    state: str
    activated_at: datetime | None = None
    ended_at: datetime | None = None
    reported_until: datetime | None = None

    def take(self, row: Mapping[str, Any]) -> None:
        """Take over what the API says now."""
        if self.state == "suspended" and row["state"] == "active":
            # What was not there in between is not use.
            self.reported_until = datetime.fromisoformat(row["updated_at"])
        self.state = row["state"]
        self.activated_at = _instant(row["activated_at"])
        self.ended_at = _instant(row["ended_at"])

    def due_move(self, now: datetime) -> str | None:
        """The event that its time asks for now."""
        if self.state in ("scheduled", "provisioning") and self.starts_at <= now < self.ends_at:
            return "activate"
        is_soon = now < self.starts_at <= now + _PROVISION_AHEAD
        if self.state == "scheduled" and is_soon and self.number % _PROVISION_EVERY == 0:
            return "provision"
        if self.state == "active" and self.ends_at <= now:
            return "complete"
        return None

    def use_until(self, until: datetime) -> Span | None:
        """The span of delivery up to `until` that is not reported yet."""
        if self.activated_at is None:
            return None
        start = self.reported_until or self.activated_at
        end = min(until, self.ends_at, self.ended_at or self.ends_at)
        return (start, end) if end > start else None


@dataclass
class Tally:
    """What all agents together did."""

    moves: Counter[str] = field(default_factory=Counter)
    heartbeats: int = 0
    usage_records: int = 0
    access_details: int = 0
    suspended: set[str] = field(default_factory=set)
    resumed: set[str] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)


@dataclass
class Outage:
    """When which centre (by id) is out, in hours after midnight."""

    centre: str
    from_hour: float
    to_hour: float

    def covers(self, centre: str, hours: float) -> bool:
        """Whether the centre is out at that hour."""
        return centre == self.centre and self.from_hour <= hours < self.to_hour


class Agent:
    """One provider's side of delivery."""

    def __init__(
        self,
        api: Api,
        *,
        number: int,
        key: str,
        centres: Iterable[str],
        clock: DayClock,
        outage: Outage,
        tally: Tally,
    ) -> None:
        self._api, self._number, self._key, self._clock = api, number, key, clock
        self._centres, self._outage, self._tally = list(centres), outage, tally
        self._leases: dict[str, Lease] = {}
        self._seen_until = clock.midnight

    async def work(self, over: asyncio.Event, stagger: float) -> None:
        """Look twice an hour until the day is over; `stagger` (hours) keeps agents apart."""
        hour = floor(self._clock.hours())
        while True:
            for part in _LOOKS:
                await self._clock.sleep_until(hour + part + stagger)
                if over.is_set():
                    return
                await self._look(begins_hour=part == _LOOKS[0])
            hour = max(hour + 1, floor(self._clock.hours()))

    async def beat(self, over: asyncio.Event, stagger: float) -> None:
        """A sign of life of each centre at least every second hour, whatever else is to do."""
        next_at = self._clock.hours() + stagger * BEAT_EVERY_HOURS
        while not over.is_set():
            await self._clock.sleep_until(next_at)
            next_at += BEAT_EVERY_HOURS
            for centre in self._centres:
                if not self._outage.covers(centre, self._clock.hours()):
                    try:
                        await self._api.post(f"/centres/{centre}/heartbeat", key=self._key)
                        self._tally.heartbeats += 1
                    except Refused as refused:
                        self._tally.refusals.append(f"heartbeat: {refused}")

    async def finish(self, until: datetime, api: Api, clock: DayClock) -> None:
        """Report everything that was delivered up to `until`, by another clock from now on."""
        self._api, self._clock = api, clock
        await self._fetch()
        await self._move()
        await self._report(until, every_lease=True)

    async def _look(self, *, begins_hour: bool) -> None:
        try:
            await self._fetch()
            await self._move()
            if begins_hour:
                whole = floor(self._clock.hours())
                until = self._clock.at(whole)
                await self._report(
                    until,
                    every_lease=whole % REPORT_EVERY_HOURS == self._number % REPORT_EVERY_HOURS,
                )
        except Refused as refused:
            self._tally.refusals.append(f"provider: {refused}")

    async def _fetch(self) -> None:
        asked_at = self._clock.now()
        since = text(self._seen_until)
        rows = self._api.pages("/leases", key=self._key, updated_since=since, party="provider")
        async for row in rows:
            known = self._leases.get(row["id"])
            if known is None:
                known = self._leases[row["id"]] = _lease(row, len(self._leases))
            if row["state"] == "suspended":
                self._tally.suspended.add(known.id)
            elif known.state == "suspended" and row["state"] == "active":
                self._tally.resumed.add(known.id)
            known.take(row)
        # A row of a transaction that was still open when we asked has an older time.
        self._seen_until = asked_at - _OVERLAP

    async def _move(self) -> None:
        now = self._clock.now()
        due = [
            (lease, event)
            for lease in self._leases.values()
            if (event := lease.due_move(now)) and not self._is_out(lease.centre)
        ]
        for batch in _batches(due):
            moves = [{"lease_id": lease.id, "event": event} for lease, event in batch]
            answer = await self._api.post("/leases/transitions", {"moves": moves}, key=self._key)
            for (lease, event), moved in zip(batch, answer["results"], strict=True):
                if moved["problem"]:
                    # The platform was faster: it ended the lease, or its centre is out.
                    if moved["problem"].get("state") in ("completed", "suspended"):
                        continue
                    self._tally.refusals.append(f"{event}: {moved['problem']['detail']}")
                else:
                    self._tally.moves[event] += 1
                    lease.state = moved["state"]
                    if event == "activate":
                        lease.activated_at = _instant(moved["activated_at"])
                        await self._put_access(lease)

    async def _put_access(self, lease: Lease) -> None:
        if lease.number % _ACCESS_EVERY == 0:
            details = {"host": f"{lease.id[:8]}.demo.example", "user": "tenant", "token": lease.id}
            await self._api.put(f"/leases/{lease.id}/access", {"details": details}, key=self._key)
            self._tally.access_details += 1

    async def _report(self, until: datetime, *, every_lease: bool) -> None:
        due: list[tuple[Lease, Span]] = []
        for lease in self._leases.values():
            if every_lease or lease.ends_at <= until or lease.state == "suspended":
                span = lease.use_until(self._delivered_until(lease, until))
                if span is not None:
                    due.append((lease, span))
        for batch in _batches(due):
            records = [_record(lease, span) for lease, span in batch]
            try:
                await self._api.post("/usage-records", {"records": records}, key=self._key)
            except Refused as refused:
                if refused.status != 422:
                    raise
                records = await self._mended(batch, refused)
                if records:
                    body = {"records": records}
                    await self._api.post("/usage-records", body, key=self._key)
            self._tally.usage_records += len(records)
            for lease, span in batch:
                lease.reported_until = span[1]

    async def _mended(
        self, batch: list[tuple[Lease, Span]], refused: Refused
    ) -> list[dict[str, Any]]:
        """The records of a refused batch: less what was not delivered, and without the late ones.

        A lease may have been suspended and resumed between two looks; its history says so. Use that
        is reported too late (the machine was too slow for the day) is the provider's loss.
        """
        wrong: dict[int, set[str]] = defaultdict(set)
        for error in refused.problem.get("errors", ()):
            _, index, name = error["field"].split(".")
            wrong[int(index)].add(name)
        records = []
        for index, (lease, span) in enumerate(batch):
            if "lease_id" in wrong[index]:
                self._tally.refusals.append(f"use of lease {lease.id} is reported too late")
            elif wrong[index]:
                told = await self._api.get(f"/leases/{lease.id}", key=self._key)
                records.append(_record(lease, span, out=_suspensions(told["events"])))
            else:
                records.append(_record(lease, span))
        return records

    def _delivered_until(self, lease: Lease, until: datetime) -> datetime:
        """Up to when the lease was delivered: not beyond the beginning of its centre's outage."""
        is_down = self._is_out(lease.centre) or lease.state == "suspended"
        if is_down and lease.centre == self._outage.centre:
            return min(until, self._clock.at(self._outage.from_hour))
        return until

    def _is_out(self, centre: str) -> bool:
        return self._outage.covers(centre, self._clock.hours())


def _lease(row: Mapping[str, Any], number: int) -> Lease:
    return Lease(
        id=row["id"],
        number=number,
        centre=row["centre_id"],
        units=row["units"],
        starts_at=datetime.fromisoformat(row["starts_at"]),
        ends_at=datetime.fromisoformat(row["ends_at"]),
        state=row["state"],
    )


def _record(lease: Lease, span: Span, out: Iterable[Span] = ()) -> dict[str, Any]:
    start, end = span
    missing = sum(
        (max(timedelta(0), min(end, back) - max(start, gone)) for gone, back in out), timedelta(0)
    )
    return {
        "lease_id": lease.id,
        "source_record_id": text(start),
        "period_start_at": text(start),
        "period_end_at": text(end),
        "active_unit_seconds": floor((end - start - missing).total_seconds()) * lease.units,
    }


def _suspensions(events: Iterable[Mapping[str, Any]]) -> list[Span]:
    """The spans in which a lease was suspended; the last one may last."""
    spans: list[Span] = []
    gone: datetime | None = None
    for event in events:
        at = datetime.fromisoformat(event["occurred_at"])
        if event["state_after"] == "suspended":
            gone = at
        elif gone is not None:
            spans.append((gone, at))
            gone = None
    if gone is not None:
        spans.append((gone, datetime.max.replace(tzinfo=UTC)))
    return spans


def _batches(items: list[Any]) -> Iterable[list[Any]]:
    return (items[start : start + _BATCH] for start in range(0, len(items), _BATCH))


def _instant(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


async def run_agents(agents: list[Agent], over: asyncio.Event) -> None:
    """All agents until the day is over, each at another minute."""
    beats: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as group:
        for number, agent in enumerate(agents):
            share = number / len(agents)
            group.create_task(agent.work(over, 0.4 * share))
            beats.append(group.create_task(agent.beat(over, share)))
        await over.wait()
        for beat in beats:
            beat.cancel()
