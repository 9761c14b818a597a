"""The people of a story: each speaks to a running exchange over HTTP with their own key."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from accounts.credit_code import made_up
from core.clock import Clock
from exchangectl.running import Running


def clock_text(start_at: datetime, speed: float) -> str:
    """An ``EXCHANGE_CLOCK`` that shows ``start_at`` now and runs ``speed`` times as fast."""
    return f"{start_at.isoformat()}@{datetime.now(UTC).isoformat()}x{speed}"


def whole_hour(at: datetime, hours: int = 0) -> datetime:
    """The start of the hour that ``at`` lies in, or so many hours later."""
    return at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=hours)


class Party:
    """Somebody with a key; refusals are answered, not raised."""

    def __init__(self, base_url: str, key: str | None = None, organisation_id: str = "") -> None:
        self.organisation_id = organisation_id
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self.http = httpx.Client(base_url=f"{base_url}/api/v1", headers=headers, timeout=30)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.http.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        headers = {"Idempotency-Key": str(uuid.uuid4())} | headers
        return self.http.request(
            method, path, json=body if body is not None else {}, headers=headers
        )

    def post(self, path: str, body: Any = None) -> Any:
        answer = self.ask("POST", path, body)
        assert answer.status_code < 300, answer.text
        return answer.json()


class World:
    """A running exchange with reference data and the operator's staff."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.clock = Clock.parse(running.env["EXCHANGE_CLOCK"])
        running.manage("load_reference")
        staff = json.loads(running.manage("bootstrap_operator", "--json"))
        self.staff = {post: Party(running.base_url, who["key"]) for post, who in staff.items()}
        self.people = staff
        self._number = uuid.uuid4().int % 10**9

    def register(self, kind: str, region: str, *, yuan: str | None = None) -> Party:
        """A verified organisation; with ``yuan`` its account is topped up."""
        self._number += 1
        made = Party(self.running.base_url).post(
            "/registrations",
            {
                "name": f"{kind} {self._number}",
                "credit_code": made_up(self._number),
                "kinds": [kind],
                "region_code": region,
                "owner_email": f"owner{self._number}@{kind}.example",
                "owner_name": "Owner",
            },
        )
        organisation_id = made["organisation"]["id"]
        party = Party(self.running.base_url, made["api_key"], organisation_id)
        party.post("/organisation/submit")
        self.staff["market"].post(f"/organisations/{organisation_id}/verify")
        if yuan is not None:
            self.staff["clerk"].post(
                "/top-ups",
                {
                    "organisation_id": organisation_id,
                    "amount": yuan,
                    "currency": "CNY",
                    "bank_reference": f"ref-{self._number}",
                },
            )
        return party

    def capacity(self, provider: Party, region: str, *, units: int, price: str) -> dict[str, Any]:
        """A centre with one pool of accelerators, offered for twenty days from now on."""
        centre = provider.post(
            "/centres",
            {
                "code": "c1",
                "name": "One",
                "region": region,
                "standard_racks": 100,
                "pue": "1.200",
                "green_share": "0.4000",
            },
        )
        pool = provider.post(
            "/pools",
            {
                "centre_id": centre["id"],
                "code": "p1",
                "grade": "intelligent.ascend-910b.1",
                "units": units,
            },
        )
        start_at = whole_hour(self.clock.now())
        provider.post(
            "/offers",
            {
                "pool": pool["id"],
                "units": units,
                "start_at": start_at.isoformat(),
                "end_at": (start_at + timedelta(days=20)).isoformat(),
                "prices": [price],
            },
        )
        return pool


def until(what: Callable[[], Any], *, seconds: float = 30) -> Any:
    """The first answer of ``what`` that is true."""
    deadline = time.monotonic() + seconds
    while True:
        answer = what()
        if answer:
            return answer
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)
