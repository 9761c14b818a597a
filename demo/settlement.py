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


class NotSettled(Exception):  # noqa: N818 - a state of affairs, and its name says it
    """The batch did not come to its end."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A settled batch as the API shows it, and the file of its payouts."""

    batch: dict[str, Any]
    payouts_file: Path
    payouts: int


async def settle(api: Api, clerk: Staff, approver: Staff, folder: Path) -> Settled:
    """Cut off, draft, submit, approve, wait until it is executed, fetch the payouts' file."""
    period = await api.post("/settlement/periods/cut-off", key=clerk.key)
    batch = await api.post("/settlement/batches", {"period_id": period["id"]}, key=clerk.key)
    path = f"/settlement/batches/{batch['id']}"
    await api.post(f"{path}/submit", key=clerk.key)
    body = {"content_hash": batch["content_hash"]}
    await api.post(f"{path}/approve", body, key=approver.key)
    batch = await _settled(api, path, clerk)
    content = await api.text(f"{path}/payouts.csv", key=clerk.key)
    file = folder / f"payouts-{period['date']}.csv"
    file.write_text(content, encoding="utf-8")
    return Settled(batch, file, max(0, len(content.splitlines()) - 1))


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
