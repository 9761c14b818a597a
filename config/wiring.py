"""Every wake-up from one room to another, every sweep and every check, on one page.

A wake-up is a hint sent after commit; the sweep of the same work in ``BEAT_SCHEDULE`` finds what a
lost hint left. Periods are in seconds of wall time.
"""

from __future__ import annotations

# Topic of core.wakeups -> the task that answers it.
WAKE_UPS = {
    "book": "exchange.market.tasks.match_book",
    "auction": "exchange.market.day_ahead.tasks.advance",
    "leases": "exchange.scheduling.tasks.pull_leases",
    "rating": "billing.rating.tasks.rate_pending",
    "settlement": "billing.settlement.tasks.execute_batch",
}

# Books are matched by a worker of their own, so that nothing else stands before an order.
TASK_ROUTES = {
    "exchange.market.tasks.match_book": {"queue": "market"},
    "*": {"queue": "default"},
}

TASK_MODULES = (
    "core.tasks",
    "accounts.tasks",
    "ledger.tasks",
    "exchange.capacity.tasks",
    "exchange.market.tasks",
    "exchange.market.day_ahead.tasks",
    "exchange.market.orderly.tasks",
    "exchange.market.standing.tasks",
    "exchange.scheduling.tasks",
    "billing.rating.tasks",
    "billing.settlement.tasks",
)


def _every(seconds: float, task: str) -> dict[str, object]:
    # A sweep that nobody took before the next is due says nothing new: it expires.
    return {"task": task, "schedule": seconds, "options": {"expires": max(seconds, 1.0)}}


BEAT_SCHEDULE = {
    "numbers committed events for the streams": _every(1, "core.tasks.relay_outbox"),
    "forgets old idempotent answers": _every(3600, "core.tasks.sweep_idempotency"),
    "forgets events of long ago": _every(3600, "core.tasks.prune_outbox"),
    "seals the audit rows": _every(5, "accounts.tasks.seal_audit"),
    "seals the ledger": _every(5, "ledger.tasks.seal"),
    "gives up centres that fell silent": _every(1, "exchange.capacity.tasks.sweep_silent_centres"),
    "wakes books with something waiting": _every(1, "exchange.market.tasks.sweep_books"),
    "puts overdue orders before their books": _every(1, "exchange.market.tasks.expire"),
    "rolls standing orders": _every(2, "exchange.market.standing.tasks.roll"),
    "publishes the index of hours that are over": _every(
        5, "exchange.market.orderly.tasks.publish_index"
    ),
    "holds the day-ahead auctions": _every(1, "exchange.market.day_ahead.tasks.sweep"),
    "pulls leases from trades": _every(1, "exchange.scheduling.tasks.pull_leases"),
    "ends leases that are due": _every(1, "exchange.scheduling.tasks.end_due_leases"),
    "takes back what was reclaimed": _every(1, "exchange.scheduling.tasks.execute_reclaims"),
    "lets leases follow their centres": _every(1, "exchange.scheduling.tasks.suspend_and_resume"),
    "rates usage": _every(2, "billing.rating.tasks.rate_pending"),
    "gives back overdue holds": _every(5, "billing.rating.tasks.release_overdue_holds"),
    "cuts the period off": _every(5, "billing.settlement.tasks.cut_off_due_period"),
    "executes approved batches": _every(2, "billing.settlement.tasks.execute_approved"),
}

VERIFY_CHECKS = [
    "core.verify.checks",
    "ledger.verify.checks",
    "accounts.verify.checks",
    "exchange.topology.verify.checks",
    "exchange.capacity.verify.checks",
    "exchange.market.verify.checks",
    "exchange.market.day_ahead.verify.checks",
    "exchange.scheduling.verify.checks",
    "billing.verify.checks",
]

# Checks that can continue from an earlier run -> what keeps how far a run came.
VERIFY_CONTINUED = {"ledger.verify.checks": "ledger.verify.remember"}
