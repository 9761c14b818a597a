"""How the console calls what the rooms name by codes, in the reader's language.

One table for each vocabulary; a test holds them complete. A code without a word is shown as it is.
"""

from __future__ import annotations

from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

ORDER_STATES: Final = {
    "pending": pgettext_lazy("order", "Pending"),
    "open": pgettext_lazy("order", "Open"),
    "partially_filled": _("Partially filled"),
    "filled": _("Filled"),
    "cancelled": _("Cancelled"),
    "expired": _("Expired"),
    "rejected": pgettext_lazy("order", "Rejected"),
}
OFFER_STATES: Final = {
    "pending": pgettext_lazy("order", "Pending"),
    "open": pgettext_lazy("order", "Open"),
    "paused": _("Paused"),
    "withdrawn": _("Withdrawn"),
    "expired": _("Expired"),
    "auctioned": _("Auctioned"),
}
TRADING_STATES: Final = {
    "open": pgettext_lazy("trading", "Open"),
    "halted": pgettext_lazy("trading", "Halted"),
}
LEASE_STATES: Final = {
    "scheduled": _("Scheduled"),
    "provisioning": _("Provisioning"),
    "active": pgettext_lazy("lease", "Active"),
    "suspended": _("Suspended"),
    "completed": _("Completed"),
    "failed": _("Failed"),
    "terminated": _("Terminated"),
}
PERIOD_STATES: Final = {
    "open": pgettext_lazy("period", "Open"),
    "closing": _("Closing"),
    "closed": _("Closed"),
}
BATCH_STATES: Final = {
    "draft": _("Draft"),
    "submitted": _("Submitted"),
    "approved": _("Approved"),
    "executing": _("Executing"),
    "settled": _("Settled"),
    "rejected": pgettext_lazy("batch", "Rejected"),
    "failed": _("Failed"),
}
PAYOUT_STATES: Final = {
    "pending": pgettext_lazy("payout", "Waiting"),
    "sent": _("Sent"),
}
OBLIGATION_KINDS: Final = {
    "clearing": _("Clearing between regions"),
    "payout": _("Payout"),
    "commission": _("Commission"),
    "tax": _("Value-added tax"),
    "congestion": _("Congestion rent"),
}
COMPONENTS: Final = {
    "seller_net": _("Seller, net"),
    "commission": _("Commission"),
    "compute_vat": _("VAT on compute"),
    "transport_net": _("Transport, net"),
    "transport_vat": _("VAT on transport"),
    "congestion_rent": _("Congestion rent"),
}
RESOURCE_CLASSES: Final = {
    "general": _("General"),
    "intelligent": _("Intelligent"),
    "super": _("Super"),
    "edge": _("Edge"),
    "quantum": _("Quantum"),
}
VERIFICATIONS: Final = {
    "draft": _("Draft"),
    "submitted": _("Submitted"),
    "verified": _("Verified"),
    "refused": _("Refused"),
}
ORGANISATION_KINDS: Final = {
    "provider": _("Provider"),
    "buyer": _("Buyer"),
    "carrier": _("Carrier"),
    "operator": _("Operator"),
}
OPERATOR_ROLES: Final = {
    "market": _("Market"),
    "settlement_clerk": _("Settlement clerk"),
    "settlement_approver": _("Settlement approver"),
    "auditor": _("Auditor"),
}
MEMBER_ROLES: Final = {
    "owner": _("Owner"),
    "engineer": _("Engineer"),
    "trader": _("Trader"),
    "finance": _("Finance"),
    "viewer": _("Viewer"),
}
POOL_STATES: Final = {
    "active": pgettext_lazy("pool", "Active"),
    "paused": _("Paused"),
    "withdrawn": _("Withdrawn"),
}
POOL_HEALTH: Final = {
    "healthy": _("Healthy"),
    "degraded": _("Degraded"),
    "unreachable": _("Unreachable"),
    "maintenance": _("Maintenance"),
}
PLACEMENTS: Final = {
    "same_pool": _("Same pool"),
    "same_centre": _("Same centre"),
    "same_region": _("Same region"),
    "anywhere": _("Anywhere"),
}
TIMES_IN_FORCE: Final = {
    "gtc": _("Good till cancelled"),
    "gtd": _("Good till date"),
    "ioc": _("Immediate or cancel"),
    "fok": _("Fill or kill"),
}
USAGE_SOURCES: Final = {"provider": _("Provider"), "probe": _("Probe")}
RESTING_SIDES: Final = {"offer": _("Offer"), "order": _("Order"), "auction": _("Auction")}
AUCTION_STATES: Final = {
    "announced": pgettext_lazy("auction", "Announced"),
    "open": pgettext_lazy("auction", "Gate open"),
    "closed": pgettext_lazy("auction", "Gate closed"),
    "cleared": pgettext_lazy("auction", "Cleared"),
    "published": pgettext_lazy("auction", "Published"),
    "cancelled": pgettext_lazy("auction", "Cancelled"),
    "failed": pgettext_lazy("auction", "Failed"),
}
AUCTION_METHODS: Final = {
    "optimal": _("Optimal"),
    "time_limit": _("Best found in time"),
    "fallback": _("Fallback, by the plain rule"),
}
AUCTION_REASONS: Final = {
    "out_of_the_money": _("Out of the money"),
    "paradoxical": _("In the money, but somebody would lose, or welfare would be less"),
    "parent_rejected": _("The block it depends on was rejected"),
}
AUCTION_SIDES: Final = {"buy": _("Buy"), "sell": _("Sell")}
ACTOR_KINDS: Final = {"person": _("Person"), "key": _("Key"), "system": _("System")}
HOLD_RESOLUTIONS: Final = {
    "posted": _("Posted"),
    "released": _("Released"),
    "expired": _("Expired"),
}
ACCOUNTS: Final = {
    "available": _("Prepaid funds"),
    "payable": _("Payable"),
    "receivable": _("Receivable"),
    "commission": _("Commission"),
    "tax_payable": _("Tax payable"),
    "congestion_rent": _("Congestion rent"),
    "rounding": _("Rounding"),
    "bank": _("Bank"),
    "suspense": _("Suspense"),
    "sla_reserve": _("SLA reserve"),
    "clearing": _("Clearing"),
}
THINGS: Final = {
    "order": _("Order"),
    "offer": _("Offer"),
    "trade": _("Trade"),
    "lease": _("Lease"),
    "usage": _("Usage record"),
    "charge": _("Charge"),
    "batch": _("Settlement batch"),
    "obligation": _("Obligation"),
    "payout": _("Payout"),
    "organisation": _("Organisation"),
    "centre": _("Centre"),
    "pool": _("Pool"),
    "transfer": _("Transfer"),
    "hold": _("Hold"),
    "top_up": _("Top-up"),
}
# What the services refuse, by the slug of the error; the detail follows in the service's words.
ERRORS: Final = {
    "internal-error": _("The exchange could not do this."),
    "invalid-input": _("A value breaks a rule."),
    "not-authenticated": _("Log in first."),
    "not-permitted": _("Your role may not do this."),
    "scope-missing": _("Your role may not do this."),
    "operator-role-missing": _("Your role may not do this."),
    "organisation-not-ready": _("The organisation may not do this, or not yet."),
    "four-eyes": _("Another person must do this."),
    "not-found": _("No such thing."),
    "settlement-batch-not-found": _("No such settlement batch."),
    "organisation-unknown": _("No such buyer."),
    "too-many-open-orders": _("The organisation has as many live orders as it may have."),
    "halt-not-found": _("No such halt."),
    "book-not-found": _("No such book."),
    "period-not-found": _("No such period."),
    "conflict": _("The present state does not allow this."),
    "transition-refused": _("The present state does not allow this."),
    "credit-code-taken": _("An organisation with this credit code is registered already."),
    "email-taken": _("A person with this e-mail address is registered already."),
    "already-member": _("The person is a member already."),
    "last-owner": _("An organisation keeps at least one owner."),
    "period-not-closing": _("The period is not being closed."),
    "earlier-period-unsettled": _("An earlier period is not settled yet."),
    "batch-under-way": _("The period's batch is beyond its draft."),
    "books-do-not-balance": _("The books do not balance."),
    "content-differs": _("The content is not what the hash says."),
    "batch-not-approved": _("The batch is not approved."),
    "top-up-known": _("This bank reference is booked already."),
    "insufficient-funds": _("The available balance does not cover this."),
    "unavailable": _("Try again later."),
    "auction-entry-refused": _("The order or offer breaks a rule of the auction."),
    "auction-refused": _("The auction breaks a rule."),
    "gate-not-open": _("The auction's gate is not open."),
    "no-open-period": _("The next period is just being opened; try again."),
}

VOCABULARIES: Final = {
    "order": ORDER_STATES,
    "offer": OFFER_STATES,
    "trading": TRADING_STATES,
    "lease": LEASE_STATES,
    "period": PERIOD_STATES,
    "batch": BATCH_STATES,
    "payout": PAYOUT_STATES,
    "obligation": OBLIGATION_KINDS,
    "component": COMPONENTS,
    "class": RESOURCE_CLASSES,
    "verification": VERIFICATIONS,
    "kind": ORGANISATION_KINDS,
    "operator_role": OPERATOR_ROLES,
    "member_role": MEMBER_ROLES,
    "pool": POOL_STATES,
    "health": POOL_HEALTH,
    "placement": PLACEMENTS,
    "time_in_force": TIMES_IN_FORCE,
    "source": USAGE_SOURCES,
    "side": RESTING_SIDES,
    "auction": AUCTION_STATES,
    "auction_method": AUCTION_METHODS,
    "auction_reason": AUCTION_REASONS,
    "auction_side": AUCTION_SIDES,
    "actor": ACTOR_KINDS,
    "hold": HOLD_RESOLUTIONS,
    "account": ACCOUNTS,
    "thing": THINGS,
    "error": ERRORS,
}

# The look of a state: finished well, under way, wrong, or over and quiet.
_TONES: Final = {
    "good": {"filled", "active", "completed", "settled", "verified", "sent", "healthy", "closed"}
    | {"published"},
    "busy": {
        "pending",
        "open",
        "partially_filled",
        "scheduled",
        "announced",
        "cleared",
        "provisioning",
        "closing",
        "submitted",
        "approved",
        "executing",
        "paused",
        "degraded",
        "maintenance",
    },
    "bad": {"rejected", "failed", "suspended", "refused", "unreachable", "terminated", "halted"},
}


def word(vocabulary: str, code: str) -> str | Promise:
    """What a code of a vocabulary is called; the code itself where it has no word."""
    return VOCABULARIES[vocabulary].get(code, code)


def tone(code: str) -> str:
    """How a state looks: ``good``, ``busy``, ``bad`` or ``quiet``."""
    return next((name for name, codes in _TONES.items() if code in codes), "quiet")


def account_word(code: str, other_name: str = "") -> str | Promise:
    """What a ledger account's use is called; clearing accounts name the region they face."""
    use, _colon, other = code.partition(":")
    if not other:
        return word("account", code)
    return f"{word('account', use)} → {other_name or other}"
