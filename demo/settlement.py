"""The operator's two people at the end of the day: the clerk closes it, the approver approves."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from demo.client import Api
from demo.registration import Staff

_WAIT_S: Final = 60.0


class NotSettled(Exception):
    """The batch did not come to its end."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A settled batch as the API shows it, and the file of its payouts."""

    batch: dict[str, Any]
    payouts_file: Path
    payouts: int


async def settle(api: Api, clerk: Staff, approver: Staff, folder: Path) -> Settled:
    """Cut off, draft, submit, approve, wait until it is executed, fetch the payouts' file."""
    await api.post("/settlement/periods/cut-off", key=clerk.key)
    periods = [row async for row in api.pages("/settlement/periods", key=clerk.key)]
    closing = sorted(row["date"] for row in periods if row["state"] == "closing")
    # Where the machine was too slow for the day, its midnight has passed, and there are two.
    for date in closing[:-1]:
        await _settle_period(api, date, clerk, approver)
    batch = await _settle_period(api, closing[-1], clerk, approver)
    content = await api.text(f"/settlement/batches/{batch['id']}/payouts.csv", key=clerk.key)
    file = folder / f"payouts-{batch['period_date']}.csv"
    file.write_text(content, encoding="utf-8")
    return Settled(batch, file, max(0, len(content.splitlines()) - 1))


async def _settle_period(api: Api, date: str, clerk: Staff, approver: Staff) -> dict[str, Any]:
    batch = await api.post("/settlement/batches", {"date": date}, key=clerk.key)
    path = f"/settlement/batches/{batch['id']}"
    await api.post(f"{path}/submit", key=clerk.key)
    body = {"content_hash": batch["content_hash"]}
    await api.post(f"{path}/approve", body, key=approver.key)
    return await _settled(api, path, clerk)


async def _settled(api: Api, path: str, clerk: Staff) -> dict[str, Any]:
    """The batch once the workers have executed it."""
    deadline = time.monotonic() + _WAIT_S
    while True:
        batch: dict[str, Any] = await api.get(path, key=clerk.key)
        if batch["state"] == "settled":
            return batch
        if batch["state"] in ("failed", "rejected") or time.monotonic() > deadline:
            raise NotSettled(
                f"the settlement batch is {batch['state']}: {batch.get('state_reason', '')}"
            )
        await asyncio.sleep(0.3)


def amount(batch: dict[str, Any], name: str) -> Decimal:
    """One of the batch's amounts in yuan."""
    return Decimal(batch[name])
