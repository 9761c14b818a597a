"""Tables that several pages share: charges, usage, holds, entries, events, audit rows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import AuditRow, Organisation
from billing.metering.models import UsageRecord
from billing.rating.models import Charge, ChargeLine
from billing.settlement.models import Payout
from console import cells, words
from console.cells import Cell, Column, Table
from exchange.pricing.chart import PLATFORM
from exchange.scheduling.models import LeaseEvent
from exchange.topology.models import Region
from ledger.models import Account, Entry, Hold

AUDIT_ROWS = 20


def batch_url(batch_id: UUID) -> str:
    """The address of a batch's page."""
    return reverse("console:batch", args=[batch_id])


def charges(found: QuerySet[Charge]) -> QuerySet[Charge]:
    """Charges with what a table of them shows."""
    return found.select_related(
        "buyer", "seller", "buyer_region", "seller_region", "period", "usage_record"
    )


def charge_table(found: list[Charge]) -> Table:
    """Charges and their sum."""
    columns = [
        Column(_("Charge")),
        Column(_("Buyer")),
        Column(_("Seller")),
        Column(_("Use from")),
        Column(_("Use to")),
        Column(_("Period")),
        Column(_("Compute"), figures=True),
        Column(_("Transport"), figures=True),
        Column(_("Amount"), figures=True),
    ]
    return Table(
        title=_("Charges"),
        anchor="charges",
        columns=columns,
        rows=[
            [
                cells.thing("charge", one.id),
                cells.organisation(one.buyer),
                cells.organisation(one.seller),
                cells.instant(one.usage_record.period_start_at),
                cells.instant(one.usage_record.period_end_at),
                cells.day(one.period.date),
                cells.money(one.compute_micro),
                cells.money(one.transport_micro),
                cells.money(one.amount_micro),
            ]
            for one in found
        ],
        footer=[
            cells.text(_("Sum")),
            *[cells.text("")] * 5,
            cells.money(sum(one.compute_micro for one in found)),
            cells.money(sum(one.transport_micro for one in found)),
            cells.money(sum(one.amount_micro for one in found)),
        ]
        if found
        else [],
        empty=_("Nothing charged yet."),
    )


def line_table(lines: list[ChargeLine]) -> Table:
    """The components of one charge."""
    return Table(
        title=_("Components"),
        anchor="lines",
        columns=[
            Column(_("Component")),
            Column(_("Who has it coming")),
            Column(_("Region")),
            Column(_("Amount"), figures=True),
        ],
        rows=[
            [
                cells.text(words.word("component", line.component)),
                cells.organisation(line.payee) if line.payee else cells.text(_("Platform")),
                cells.region(line.region),
                cells.money(line.amount_micro),
            ]
            for line in lines
        ],
        footer=[
            cells.text(_("Sum")),
            cells.text(""),
            cells.text(""),
            cells.money(sum(line.amount_micro for line in lines)),
        ],
    )


def usage_table(found: list[UsageRecord]) -> Table:
    """Usage records of a lease."""
    return Table(
        title=_("Usage records"),
        anchor="usage",
        columns=[
            Column(_("Usage record")),
            Column(_("Source")),
            Column(_("Source's own id")),
            Column(_("From")),
            Column(_("To")),
            Column(_("Active unit-seconds"), figures=True),
            Column(_("Received")),
        ],
        rows=[
            [
                cells.thing("usage", one.id),
                cells.text(words.word("source", one.source)),
                cells.code(one.source_record_id),
                cells.instant(one.period_start_at),
                cells.instant(one.period_end_at),
                cells.number(one.active_unit_seconds),
                cells.instant(one.received_at),
            ]
            for one in found
        ],
        empty=_("No use reported yet."),
    )


def hold_table(found: list[Hold]) -> Table:
    """Holds in the ledger: what was set aside, what became of it."""
    return Table(
        title=_("Holds"),
        anchor="holds",
        columns=[
            Column(_("Hold")),
            Column(_("What for")),
            Column(_("Held"), figures=True),
            Column(_("Posted"), figures=True),
            Column(_("Released"), figures=True),
            Column(_("Rests"), figures=True),
            Column(_("Until")),
        ],
        rows=[
            [
                cells.thing("hold", one.id),
                cells.code(one.code),
                cells.money(one.amount),
                cells.money(one.posted),
                cells.money(one.released),
                cells.money(one.amount - one.posted - one.released),
                cells.instant(one.expires_at),
            ]
            for one in found
        ],
        empty=_("No hold."),
    )


def owner_cells(owners: Iterable[UUID]) -> dict[UUID, Cell]:
    """Whose accounts these are, by name: organisations in one query, and the platform."""
    wanted = set(owners)
    found = {
        one.id: cells.organisation(one)
        for one in Organisation.objects.filter(id__in=wanted - {PLATFORM}).order_by("id")
    }
    return {owner: found.get(owner, cells.code(owner)) for owner in wanted} | {
        PLATFORM: cells.text(_("Platform"))
    }


class AccountCells:
    """How accounts are shown: owners and regions by name, each loaded in one query."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        found = list(accounts)
        self._owners = owner_cells(account.owner for account in found)
        others = {account.code.partition(":")[2] for account in found}
        self._regions = Region.objects.in_bulk(
            {account.region for account in found} | (others - {""})
        )

    def owner(self, account: Account) -> Cell:
        """Whose it is."""
        return self._owners[account.owner]

    def region(self, code: str) -> Cell:
        """In which region's books; the code where there is no such region."""
        known = self._regions.get(code)
        return cells.region(known) if known else cells.code(code)

    def use(self, account: Account) -> Cell:
        """What it is for."""
        known = self._regions.get(account.code.partition(":")[2])
        return cells.text(words.account_word(account.code, cells.region_name(known)))


def entry_table(entries: list[Entry]) -> Table:
    """The entries of a transfer, debits and credits in columns of their own."""
    shown = AccountCells(entry.account for entry in entries)
    return Table(
        title=_("Entries"),
        anchor="entries",
        columns=[
            Column(_("Region")),
            Column(_("Account of")),
            Column(_("Account")),
            Column(_("Asset")),
            Column(_("Debit"), figures=True),
            Column(_("Credit"), figures=True),
        ],
        rows=[
            [
                shown.region(entry.account.region),
                shown.owner(entry.account),
                shown.use(entry.account),
                cells.code(entry.account.asset),
                cells.money(entry.amount) if entry.amount > 0 else cells.text(""),
                cells.money(-entry.amount) if entry.amount < 0 else cells.text(""),
            ]
            for entry in sorted(entries, key=lambda e: (e.account.region, e.position))
        ],
        footer=[
            cells.text(_("Sum")),
            *[cells.text("")] * 3,
            cells.money(sum(e.amount for e in entries if e.amount > 0)),
            cells.money(sum(-e.amount for e in entries if e.amount < 0)),
        ]
        if entries
        else [],
        empty=_("No entries in the ledger."),
    )


def lease_event_table(events: list[LeaseEvent]) -> Table:
    """The way of a lease through its states."""
    return Table(
        title=_("States"),
        anchor="events",
        columns=[
            Column(_("When")),
            Column(_("Before")),
            Column(_("After")),
            Column(_("By")),
            Column(_("Reason")),
        ],
        rows=[
            [
                cells.instant(one.occurred_at),
                cells.state("lease", one.state_before),
                cells.state("lease", one.state_after),
                cells.text(one.actor_label),
                cells.text(one.reason or None),
            ]
            for one in events
        ],
        empty=_("It has not moved yet."),
    )


def payout_table(found: list[Payout]) -> Table:
    """Payouts of one party."""
    return Table(
        title=_("Payouts"),
        anchor="payouts",
        columns=[
            Column(_("Period")),
            Column(_("Region")),
            Column(_("Owed"), figures=True),
            Column(_("Paid"), figures=True),
            Column(_("Carried on"), figures=True),
            Column(_("End-to-end id")),
            Column(_("State")),
        ],
        rows=[
            [
                cells.day(one.batch.period.date, batch_url(one.batch_id)),
                cells.region(one.region),
                cells.money(one.owed_micro, reverse("console:payout", args=[one.id])),
                cells.money(one.amount_fen * 10_000),
                cells.money(one.carried_micro),
                cells.code(one.end_to_end_id),
                cells.state("payout", one.state),
            ]
            for one in found
        ],
        empty=_("No payout yet."),
    )


def audit_cells(row: AuditRow) -> list[Cell]:
    """One row of the audit chain."""
    return [
        cells.instant(row.recorded_at),
        cells.text(row.actor_label),
        cells.code(row.action),
        cells.code(_content(row.before)),
        cells.code(_content(row.after)),
    ]


def _content(value: object) -> str:
    return "" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)


def audit_table(found: QuerySet[AuditRow], subject_id: UUID) -> Table:
    """The newest acts upon one thing, of those that the reader may see."""
    newest = found.filter(subject_id=str(subject_id)).order_by("-id")[:AUDIT_ROWS]
    return Table(
        title=_("What was done to it"),
        anchor="audit",
        columns=[
            Column(_("When")),
            Column(_("By")),
            Column(_("Act")),
            Column(_("Before")),
            Column(_("After")),
        ],
        rows=[audit_cells(row) for row in newest],
        empty=_("No act by a person or key."),
    )
