"""The page of wake-ups names what exists, and leaves nobody out."""

from __future__ import annotations

from fnmatch import fnmatch

from django.utils.module_loading import import_string

from config import wiring
from config.celery import app
from tests.databases import ROOT


def own_modules(name: str) -> set[str]:
    """Dotted names of the rooms' modules with this file name."""
    found = set()
    for top in ("core", "accounts", "ledger", "exchange", "billing"):
        for path in (ROOT / top).rglob(f"{name}.py"):
            relative = path.relative_to(ROOT).with_suffix("")
            if "management" not in relative.parts:
                found.add(".".join(relative.parts))
    return found


def registered() -> set[str]:
    app.loader.import_default_modules()
    return {name for name in app.tasks if not name.startswith("celery.")}


def test_every_room_with_tasks_is_listed() -> None:
    assert set(wiring.TASK_MODULES) == own_modules("tasks")


def test_every_room_that_can_be_verified_is() -> None:
    listed = {path.rpartition(".")[0] for path in wiring.VERIFY_CHECKS}
    # billing.verify stands for billing.rating.verify and its siblings.
    above = tuple(f"{name.removesuffix('verify')}" for name in listed)
    assert listed <= own_modules("verify")
    assert [name for name in own_modules("verify") - listed if not name.startswith(above)] == []
    for path in wiring.VERIFY_CHECKS:
        assert callable(import_string(path))


def test_every_wake_up_and_every_sweep_leads_to_a_task() -> None:
    assert set(wiring.WAKE_UPS.values()) <= registered()
    assert {entry["task"] for entry in wiring.BEAT_SCHEDULE.values()} <= registered()


def test_every_task_is_woken_or_swept() -> None:
    swept = {entry["task"] for entry in wiring.BEAT_SCHEDULE.values()}
    assert registered() == swept | set(wiring.WAKE_UPS.values())


def test_every_queue_has_a_worker() -> None:
    served = {"market", "default", "sweeps"}
    assert {route["queue"] for route in wiring.TASK_ROUTES.values()} <= served
    for pattern in wiring.TASK_ROUTES:
        assert any(fnmatch(name, pattern) for name in registered()), pattern
