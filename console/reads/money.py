"""Usage records, charges, transfers, holds, top-ups and organisations, as pages with links."""

from __future__ import annotations

from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext as _

from accounts.models import ApiKey, Membership, Organisation
from billing.metering.models import UsageRecord
from billing.rating.models import Charge
from billing.settlement.models import Payout, SettlementBatch, TopUp
from console import cells, words
from console.cells import Column, Fact, Table
from console.reads import goods, rows
from console.templatetags.console_format import plain_yuan
from console.trip import Thing, stops
from exchange.capacity.models import Centre
from exchange.market.models import Order
from exchange.topology.models import Region
from ledger.models import Account, Entry, Hold, Transfer

NEWEST = 25


def _above(lease_id: UUID, order_id: UUID) -> dict[str, tuple[str, int | None]]:
    return {
        "order": (cells.thing_url("order", order_id), 1),
        "trade": (cells.thing_url("trade", lease_id), 1),
        "lease": (cells.thing_url("lease", lease_id), 1),
    }


def usage(thing_id: UUID) -> Thing | None:
    """A usage record and the charge that it became."""
    one = (
        UsageRecord.objects.select_related("lease__trade__grade", "charge", "unrated")
        .filter(id=thing_id)
        .first()
    )
    if one is None:
        return None
    charge_of = getattr(one, "charge", None)
    unrated = getattr(one, "unrated", None)
    refused = unrated.refused_code if unrated else ""
    links = _above(one.lease_id, one.lease.trade.order_id)
    links["charge"] = (cells.thing_url("charge", charge_of.id), 1) if charge_of else ("", 0)
    seconds = (one.period_end_at - one.period_start_at).total_seconds()
    return Thing(
        kind="usage",
        id=one.id,
        title=one.source_record_id,
        state=None,
        facts=[
            Fact(_("Lease"), cells.thing("lease", one.lease_id)),
            Fact(_("Grade"), cells.code(one.lease.trade.grade.code)),
            Fact(_("Source"), cells.text(words.word("source", one.source))),
            Fact(_("From"), cells.instant(one.period_start_at)),
            Fact(_("To"), cells.instant(one.period_end_at)),
            Fact(_("Seconds of the period"), cells.number(int(seconds))),
            Fact(_("Units of the lease"), cells.number(one.lease.units)),
            Fact(_("Active unit-seconds"), cells.number(one.active_unit_seconds)),
            Fact(_("Received"), cells.instant(one.received_at)),
            Fact(_("Charged"), cells.money(charge_of.amount_micro if charge_of else None)),
            *([Fact(_("Not charged, since"), cells.code(refused))] if refused else []),
        ],
        stops=stops("usage", links),
    )


def charge(thing_id: UUID) -> Thing | None:
    """A charge: its components, who has them coming, its entries in the ledger."""
    one = (
        Charge.objects.select_related(
            "usage_record",
            "lease__trade",
            "period",
            "buyer",
            "seller",
            "buyer_region",
            "seller_region",
        )
        .filter(id=thing_id)
        .first()
    )
    if one is None:
        return None
    lines = list(one.lines.select_related("payee", "region").order_by("id"))
    batch = (
        SettlementBatch.objects.filter(period=one.period)
        .exclude(state="rejected")
        .order_by("-id")
        .first()
    )
    payees = {line.payee_id for line in lines if line.payee_id}
    payouts = list(Payout.objects.filter(batch=batch, organisation__in=payees)) if batch else []
    transfer_of = Transfer.objects.filter(id=one.id).first()
    return Thing(
        kind="charge",
        id=one.id,
        title=f"{plain_yuan(one.amount_micro)} · {one.buyer.name}",
        state=None,
        facts=_charge_facts(one, transfer_of),
        tables=[
            rows.line_table(lines),
            rows.entry_table(_entries(one.id)),
        ],
        stops=stops("charge", _charge_links(one, batch, payouts)),
    )


def _charge_links(
    one: Charge, batch: SettlementBatch | None, payouts: list[Payout]
) -> dict[str, tuple[str, int | None]]:
    links = _above(one.lease_id, one.lease.trade.order_id)
    links["usage"] = (cells.thing_url("usage", one.usage_record_id), 1)
    if batch:
        links["batch"] = (rows.batch_url(batch.id), 1)
        links["payout"] = (rows.batch_url(batch.id) + "#payouts", len(payouts))
    return links


def _charge_facts(one: Charge, transfer_of: Transfer | None) -> list[Fact]:
    record = one.usage_record
    return [
        Fact(_("Amount"), cells.money(one.amount_micro)),
        Fact(_("Compute"), cells.money(one.compute_micro)),
        Fact(_("Transport"), cells.money(one.transport_micro)),
        Fact(_("Buyer"), cells.organisation(one.buyer)),
        Fact(_("Buyer's region"), cells.region(one.buyer_region)),
        Fact(_("Seller"), cells.organisation(one.seller)),
        Fact(_("Seller's region"), cells.region(one.seller_region)),
        Fact(_("Use from"), cells.instant(record.period_start_at)),
        Fact(_("Use to"), cells.instant(record.period_end_at)),
        Fact(_("Active unit-seconds"), cells.number(record.active_unit_seconds)),
        Fact(
            _("Unit-seconds charged, before and after"),
            cells.text(f"{one.unit_seconds_before:,} → {one.unit_seconds_after:,}"),
        ),
        Fact(_("Rule set"), cells.number(one.rule_set_id)),
        Fact(_("Period"), cells.day(one.period.date)),
        Fact(_("Charged at"), cells.instant(one.charged_at)),
        Fact(
            _("Transfer"),
            cells.thing("transfer", transfer_of.id) if transfer_of else cells.text(None),
        ),
    ]


def _entries(transfer_id: UUID) -> list[Entry]:
    return list(
        Entry.objects.filter(transfer=transfer_id).select_related("account").order_by("position")
    )


def transfer(thing_id: UUID) -> Thing | None:
    """A transfer with its entries."""
    one = Transfer.objects.filter(id=thing_id).first()
    if one is None:
        return None
    entries = _entries(one.id)
    drawn_on = next((each.hold_id for each in entries if each.hold_id), None)
    return Thing(
        kind="transfer",
        id=one.id,
        title=one.code,
        state=None,
        facts=[
            Fact(_("What for"), cells.code(one.code)),
            Fact(_("Reference"), _searched(one.reference)),
            Fact(_("Effective"), cells.instant(one.effective_at)),
            Fact(_("Recorded"), cells.instant(one.recorded_at)),
            Fact(_("Hold"), cells.thing("hold", drawn_on)),
        ],
        tables=[rows.entry_table(entries)],
    )


def _searched(reference: UUID) -> cells.Cell:
    """A reference of the ledger is opaque to it: the search finds what it names."""
    return cells.Cell("id", reference, f"{reverse('console:search')}?q={reference}")


def hold(thing_id: UUID) -> Thing | None:
    """A hold and the transfers that drew on it."""
    one = Hold.objects.select_related("account").filter(id=thing_id).first()
    if one is None:
        return None
    drawn = list(Transfer.objects.filter(entries__hold=one).order_by("id")[: goods.MANY])
    shown = rows.AccountCells([one.account])
    return Thing(
        kind="hold",
        id=one.id,
        title=one.code,
        state=cells.state("hold", one.resolution) if one.resolution else None,
        facts=[
            Fact(_("Account of"), shown.owner(one.account)),
            Fact(_("Account"), shown.use(one.account)),
            Fact(_("Region"), shown.region(one.account.region)),
            Fact(_("Reference"), _searched(one.reference)),
            Fact(_("Held"), cells.money(one.amount)),
            Fact(_("Posted"), cells.money(one.posted)),
            Fact(_("Released"), cells.money(one.released)),
            Fact(_("Rests"), cells.money(one.amount - one.posted - one.released)),
            Fact(_("Made"), cells.instant(one.created_at)),
            Fact(_("Until"), cells.instant(one.expires_at)),
        ],
        tables=[
            Table(
                title=_("Transfers"),
                anchor="transfers",
                columns=[Column(_("Transfer")), Column(_("What for")), Column(_("Effective"))],
                rows=[
                    [
                        cells.thing("transfer", each.id),
                        cells.code(each.code),
                        cells.instant(each.effective_at),
                    ]
                    for each in drawn
                ],
                empty=_("Nothing has been taken from it."),
            )
        ],
    )


def top_up(thing_id: UUID) -> Thing | None:
    """Money of a buyer that came from the bank."""
    one = TopUp.objects.select_related("organisation", "region").filter(id=thing_id).first()
    if one is None:
        return None
    return Thing(
        kind="top_up",
        id=one.id,
        title=one.bank_reference,
        state=None,
        facts=[
            Fact(_("Buyer"), cells.organisation(one.organisation)),
            Fact(_("Region"), cells.region(one.region)),
            Fact(_("Amount"), cells.money(one.amount_micro)),
            Fact(_("Bank's reference"), cells.code(one.bank_reference)),
            Fact(_("Received"), cells.instant(one.received_at)),
        ],
        tables=[rows.entry_table(_entries(one.id))],
    )


def organisation(thing_id: UUID) -> Thing | None:
    """An organisation with its accounts, members, keys, and the newest of what it did."""
    one = Organisation.objects.filter(id=thing_id).first()
    if one is None:
        return None
    region = Region.objects.filter(code=one.region_code).first()
    kinds = " · ".join(str(words.word("kind", kind)) for kind in one.kinds)
    facts = [
        Fact(_("Unified social credit code"), cells.code(one.credit_code)),
        Fact(_("Takes part as"), cells.text(kinds)),
        Fact(_("Region"), cells.region(region) if region else cells.code(one.region_code)),
        Fact(_("Contact"), cells.text(" · ".join(filter(None, _contact(one))) or None)),
        Fact(_("Registered"), cells.instant(one.created_at)),
        Fact(_("Verified"), cells.instant(one.verified_at)),
    ]
    if one.verification_reason:
        facts.append(Fact(_("Reason"), cells.text(one.verification_reason)))
    if one.suspended:
        facts.append(Fact(_("Suspended"), cells.text(one.suspended_reason)))
    return Thing(
        kind="organisation",
        id=one.id,
        title=one.name,
        state=cells.state(
            "lease" if one.suspended else "verification",
            "suspended" if one.suspended else one.verification,
        ),
        facts=facts,
        tables=[
            _accounts(one),
            _orders(one),
            _centres(one),
            rows.payout_table(goods.payouts_of(one.id)),
            _members(one),
            _keys(one),
        ],
    )


def _contact(one: Organisation) -> list[str]:
    return [one.contact_name, one.contact_email, one.contact_phone]


def _accounts(one: Organisation) -> Table:
    found = list(Account.objects.filter(owner=one.id).order_by("region", "code", "stripe"))
    shown = rows.AccountCells(found)
    return Table(
        title=_("Accounts"),
        anchor="accounts",
        columns=[
            Column(_("Account")),
            Column(_("Region")),
            Column(_("Asset")),
            Column(_("Balance"), figures=True),
            Column(_("Held"), figures=True),
            Column(_("Free"), figures=True),
        ],
        rows=[
            [
                shown.use(each),
                shown.region(each.region),
                cells.code(each.asset),
                cells.money(each.balance * each.normal_side),
                cells.money(each.held),
                cells.money(each.balance * each.normal_side - each.held),
            ]
            for each in found
        ],
        empty=_("No account in the ledger."),
    )


def _orders(one: Organisation) -> Table:
    found = Order.objects.filter(buyer=one).select_related("book").order_by("-id")[:NEWEST]
    return Table(
        title=_("Newest orders"),
        anchor="orders",
        columns=[
            Column(_("Order")),
            Column(_("Book")),
            Column(_("Placed")),
            Column(_("Units"), figures=True),
            Column(_("Filled"), figures=True),
            Column(_("Cost of its trades"), figures=True),
            Column(_("State")),
        ],
        rows=[
            [
                cells.thing("order", each.id),
                cells.code(each.book.code),
                cells.instant(each.placed_at),
                cells.number(each.units),
                cells.number(each.filled_units),
                cells.money(each.spent_micro),
                cells.state("order", each.state),
            ]
            for each in found
        ],
        empty=_("No order."),
    )


def _centres(one: Organisation) -> Table:
    found = Centre.objects.filter(provider=one).select_related("region").order_by("id")
    return Table(
        title=_("Centres"),
        anchor="centres",
        columns=[
            Column(_("Centre")),
            Column(_("Region")),
            Column(_("Standard racks"), figures=True),
            Column(_("PUE"), figures=True),
            Column(_("Health")),
        ],
        rows=[
            [
                cells.text(each.name, cells.thing_url("centre", each.id)),
                cells.region(each.region),
                cells.number(each.standard_racks),
                cells.number(each.pue),
                cells.state("health", "healthy" if each.is_reachable else "unreachable"),
            ]
            for each in found[: goods.MANY]
        ],
        empty=_("No centre."),
    )


def _members(one: Organisation) -> Table:
    found = Membership.objects.filter(organisation=one).select_related("user").order_by("id")
    return Table(
        title=_("Members"),
        anchor="members",
        columns=[Column(_("E-mail address")), Column(_("Name")), Column(_("Role"))],
        rows=[
            [
                cells.text(each.user.email),
                cells.text(each.user.name),
                cells.text(words.word("member_role", each.role)),
            ]
            for each in found[: goods.MANY]
        ],
        empty=_("No member."),
    )


def _keys(one: Organisation) -> Table:
    found = ApiKey.objects.filter(organisation=one).order_by("-id")[: goods.MANY]
    return Table(
        title=_("API keys"),
        anchor="keys",
        columns=[
            Column(_("Key")),
            Column(_("Name")),
            Column(_("Issued")),
            Column(_("Expires")),
            Column(_("Revoked")),
            Column(_("Last used")),
        ],
        rows=[
            [
                cells.code(f"cx_{each.prefix}_…"),
                cells.text(each.name),
                cells.instant(each.created_at),
                cells.instant(each.expires_at),
                cells.instant(each.revoked_at),
                cells.instant(each.last_used_at),
            ]
            for each in found
        ],
        empty=_("No key."),
    )
