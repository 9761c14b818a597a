"""From the stored answer to trades, in one transaction of set-based statements.

For each match of an order with an offer over a run of slots there is an order, filled, and a trade
against the offer that stood for the reservation. The buyer pays its zone's prices: the seller's
zone's prices as compute, the rest as transport, of which the links have their price and what is
left is congestion rent. Holds are split to the trades, and the surplus is free.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.models import Organisation
from core import clock, outbox
from core.ids import derived_id
from core.models import OutboxEvent
from core.money import Rounding, divide, to_decimal
from core.slots import slot_start_at
from core.wakeups import wake
from exchange.capacity.models import Book, BookEvent, BookEventKind
from exchange.market import writing
from exchange.market.day_ahead import locks, returning
from exchange.market.day_ahead.models import (
    Auction,
    AuctionAnswer,
    AuctionEntry,
    AuctionLine,
    AuctionReservation,
    AuctionResult,
    EntrySide,
    EntryState,
    LineKind,
)
from exchange.market.day_ahead.pairing import CannotPair, Carried, Match, Party, pair
from exchange.market.models import (
    Admission,
    Order,
    OrderState,
    RestingSide,
    TimeInForce,
    Trade,
)
from exchange.pricing.models import RuleSet
from exchange.pricing.selectors import rule_set_at
from ledger import services as ledger

_ANSWER_ENTRIES = """
    UPDATE exchange_auctionentry e
       SET state = 'answered', spent_micro = n.spent_micro, closed_at = %s
      FROM unnest(%s::uuid[], %s::bigint[]) AS n (id, spent_micro)
     WHERE e.id = n.id
"""


class BooksBusy(Exception):
    """Some books have an open batch, or do not know yet what is reserved: match them first."""

    def __init__(self, book_ids: list[int]) -> None:
        super().__init__(str(book_ids))
        self.book_ids = book_ids


class DoesNotAddUp(Exception):
    """What would be published is not what was certified."""


@dataclass(slots=True)
class _Said:
    """A certificate, by line and place."""

    auction: Auction
    problem: Mapping[str, Any]
    certificate: Mapping[str, Any]
    price: dict[tuple[str, str, int], int] = field(init=False)
    link_price: dict[str, int] = field(init=False)
    accepted: dict[str, dict[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        self.price = {
            (row["grade"], row["zone"], row["slot"]): row["price_micro"]
            for row in self.certificate["prices"]
        }
        self.link_price = {row["id"]: row["price_micro"] for row in self.problem["links"]}
        self.accepted = defaultdict(dict)
        for row in self.certificate["steps"]:
            token, _dot, slot = row["id"].partition(".")
            self.accepted[token][int(slot)] = row["units"]
        for row in self.certificate["blocks"]:
            self.accepted[row["id"]] = {
                slot: units for slot, units in row["units_by_slot"] if units
            }

    def of(self, line: AuctionLine) -> dict[int, int]:
        """Units accepted of a line, by slot."""
        return self.accepted.get(str(line.token), {})

    def flows(self) -> list[Carried]:
        """Flows in the direction in which they go."""
        ends = {row["id"]: (row["from_zone"], row["to_zone"]) for row in self.problem["links"]}
        found = []
        for row in self.certificate["flows"]:
            tail, head = ends[row["link"]][:: 1 if row["units"] > 0 else -1]
            found.append(
                Carried(row["link"], tail, head, row["grade"], row["slot"], abs(row["units"]))
            )
        return found


def lock_books(auction_id: UUID) -> list[Book]:
    """The books in which an auction has capacity, locked by id."""
    rows = AuctionReservation.objects.filter(auction_id=auction_id)
    return locks.books_for_update(set(rows.values_list("offer__book_id", flat=True)))


def require_free(books: Sequence[Book], auction: Auction) -> None:
    """``BooksBusy`` unless each book's batches are written, with the reservations in them."""
    busy = {book.id for book in books if book.admitted != book.version}
    untold = AuctionReservation.objects.filter(auction=auction, event__batch=None)
    busy |= set(untold.values_list("offer__book_id", flat=True))
    if busy:
        raise BooksBusy(sorted(busy))


def publish(auction: Auction, books: Sequence[Book], *, now: datetime) -> None:
    """Write everything that follows from the stored answer; locked, free and ``published``.

    ``DoesNotAddUp`` where it would not be exactly what was certified.
    """
    work = _Work(auction, {book.id: book for book in books}, now)
    work.check()
    returning.end_reservations(auction, work.taken(), now=now)
    for book in books:
        work.open_batch(book)
    Order.objects.bulk_create(work.orders, batch_size=1000)
    writing.copy_trades(work.trades)
    AuctionAnswer.objects.bulk_create(work.answers(), batch_size=5000)
    work.answer_entries()
    work.split_holds()
    outbox.emit_many(work.events())
    if work.trades:
        wake(writing.LEASES_WAKE_UP)


@dataclass(frozen=True, slots=True)
class _Cost:
    """Micro-yuan of a match: what the buyer pays, the seller gets, and the links ask."""

    unit_hours: int
    paid: int
    compute: int
    carried: int
    link_prices: list[int]


class _Work:
    """What follows from an answer, computed once."""

    def __init__(self, auction: Auction, books: Mapping[int, Book], now: datetime) -> None:
        self.auction, self.books, self.now = auction, books, now
        self.written_at = clock.now()
        self.result = AuctionResult.objects.get(auction=auction)
        self.said = _Said(auction, auction.problem.document, self.result.certificate)
        self.rules: RuleSet = rule_set_at(now)
        self.lines = list(
            AuctionLine.objects.filter(entry__auction=auction, entry__state=EntryState.ENTERED)
            .select_related("entry__grade", "reservation")
            .order_by("entry_id", "position")
        )
        self.entries: dict[str, AuctionEntry] = {
            str(line.entry_id): line.entry for line in self.lines
        }
        buyers = {e.organisation_id for e in self.entries.values() if e.side == EntrySide.BUY}
        self.home = {
            buyer.id: buyer.region_code
            for buyer in Organisation.objects.filter(id__in=buyers).only("region_code")
        }
        self.batch = {book.id: book.version + 1 for book in books.values()}
        self.orders: list[Order] = []
        self.trades: list[Trade] = []
        positions: defaultdict[int, int] = defaultdict(int)
        for number, match in enumerate(self._matches()):
            book_id = self.entries[match.offer].grade.book_id
            self._write(match, number, book_id, positions[book_id])
            positions[book_id] += 1

    def _matches(self) -> list[Match]:
        sides: dict[str, dict[str, Party]] = {EntrySide.BUY.value: {}, EntrySide.SELL.value: {}}
        for line in self.lines:
            entry = line.entry
            party = sides[entry.side].setdefault(
                str(entry.id), Party(str(entry.id), entry.grade.code, entry.region_id, {})
            )
            units = dict(party.units)
            for slot, accepted in self.said.of(line).items():
                units[slot] = units.get(slot, 0) + accepted
            sides[entry.side][str(entry.id)] = Party(party.key, party.grade, party.zone, units)
        try:
            return pair(sides["buy"].values(), sides["sell"].values(), self.said.flows())
        except CannotPair as unbalanced:
            raise DoesNotAddUp(str(unbalanced)) from unbalanced

    def _write(self, match: Match, number: int, book_id: int, position: int) -> None:
        buy, sell = self.entries[match.order], self.entries[match.offer]
        cost = self._cost(match, buy, sell)
        order = self._order(match, number, buy, cost)
        trade = self._trade(match, number, order, sell, cost)
        order.book_id = trade.book_id = book_id
        order.entry_batch = trade.batch = self.batch[book_id]
        order.entry_position = trade.position = position
        self.orders.append(order)
        self.trades.append(trade)

    def _cost(self, match: Match, buy: AuctionEntry, sell: AuctionEntry) -> _Cost:
        prices, slots = self.said.price, range(match.start, match.end)
        grade, unit_hours = buy.grade.code, match.units * (match.end - match.start)
        paid = match.units * sum(prices[grade, buy.region_id, slot] for slot in slots)
        compute = match.units * sum(prices[grade, sell.region_id, slot] for slot in slots)
        link_prices = [self.said.link_price[link] for link in match.path]
        return _Cost(unit_hours, paid, compute, unit_hours * sum(link_prices), link_prices)

    def _order(self, match: Match, number: int, buy: AuctionEntry, cost: _Cost) -> Order:
        return Order(
            id=derived_id(self.result.checked_at, "auction order", self.auction.id, number),
            buyer_id=buy.organisation_id,
            client_reference=buy.client_reference,
            grade_ids=[buy.grade_id],
            limit_prices=[to_decimal(divide(cost.paid, cost.unit_hours, Rounding.UP))],
            units=match.units,
            duration_slots=match.end - match.start,
            earliest_slot=match.start,
            latest_slot=match.end,
            time_in_force=TimeInForce.FOK,
            expires_at=slot_start_at(match.start),
            held_micro=cost.paid,
            state=OrderState.FILLED,
            filled_units=match.units,
            spent_micro=cost.paid,
            placed_at=buy.entered_at,
            closed_at=self.now,
            auction_entry=buy,
        )

    def _trade(
        self, match: Match, number: int, order: Order, sell: AuctionEntry, cost: _Cost
    ) -> Trade:
        return Trade(
            id=derived_id(self.result.checked_at, "auction trade", self.auction.id, number),
            order=order,
            offer_id=sell.id,
            pool_id=sell.offered_pool_id,
            grade_id=sell.grade_id,
            buyer_id=order.buyer_id,
            seller_id=sell.organisation_id,
            buyer_region_id=self.home[order.buyer_id],
            seller_region_id=sell.region_id,
            rule_set=self.rules,
            resting_side=RestingSide.AUCTION,
            units=match.units,
            start_slot=match.start,
            end_slot=match.end,
            starts_at=slot_start_at(match.start),
            ends_at=slot_start_at(match.end),
            price_per_unit_hour=to_decimal(
                divide(cost.compute, cost.unit_hours, Rounding.HALF_EVEN)
            ),
            compute_micro=cost.compute,
            transport_micro=cost.paid - cost.compute,
            congestion_micro=cost.paid - cost.compute - cost.carried,
            path_link_ids=[int(link) for link in match.path],
            path_prices_micro=cost.link_prices,
            traded_at=self.written_at,
        )

    def check(self) -> None:
        """``DoesNotAddUp`` unless the trades' money is the certificate's, to the micro-yuan."""
        rent = sum(trade.congestion_micro for trade in self.trades)
        transport = sum(trade.transport_micro for trade in self.trades) - rent
        made = {
            "payments_micro": sum(order.spent_micro for order in self.orders),
            "receipts_micro": sum(trade.compute_micro for trade in self.trades),
            "transport_micro": transport,
            "rent_micro": rent,
        }
        if made != self.said.certificate["totals"]:
            raise DoesNotAddUp(f"{made}, certified {self.said.certificate['totals']}")
        if any(trade.congestion_micro < 0 for trade in self.trades):
            raise DoesNotAddUp("a path runs towards the lower price")

    def taken(self) -> dict[UUID, dict[int, int]]:
        """What trades take of each reservation, by line and slot."""
        return {line.id: self.said.of(line) for line in self.lines}

    def open_batch(self, book: Book) -> None:
        """Make the trades a batch of their book, written as it is admitted.

        The book's own time stands still, so that the next batch sees that a slot has begun.
        """
        number = self.batch[book.id]
        before = Admission.objects.filter(book=book).order_by("-batch").first()
        Admission.objects.create(
            book=book, batch=number, admitted_at=before.admitted_at if before else self.now
        )
        BookEvent.objects.create(
            book=book,
            kind=BookEventKind.AUCTION_PUBLISHED,
            subject_id=self.auction.id,
            occurred_at=self.now,
            batch=number,
            position=0,
        )
        book.admitted = book.version = number
        book.save(update_fields=["admitted", "version"])

    def answers(self) -> Iterable[AuctionAnswer]:
        """What each line got; a line of an offer that was not reserved has no answer."""
        blocks = {row["id"]: row for row in self.said.certificate["blocks"]}
        slots = range(self.auction.first_slot, self.auction.end_slot)
        for line in self.lines:
            if line.entry.side == EntrySide.SELL and not hasattr(line, "reservation"):
                continue
            accepted = self.said.of(line)
            grade, zone = line.entry.grade.code, line.entry.region_id
            block = blocks[str(line.token)] if line.kind == LineKind.BLOCK else {}
            yield AuctionAnswer(
                line=line,
                accepted=[accepted.get(slot, 0) for slot in slots],
                amount_micro=sum(
                    units * self.said.price[grade, zone, slot] for slot, units in accepted.items()
                ),
                reason=block.get("reason") or "",
                forgone_micro=block.get("forgone_micro", 0),
            )

    def answer_entries(self) -> None:
        """Say of each order what its trades cost."""
        spent: defaultdict[str, int] = defaultdict(int)
        for order in self.orders:
            spent[str(order.auction_entry_id)] += order.spent_micro
        keys = sorted(self.entries)
        with connection.cursor() as cursor:
            cursor.execute(_ANSWER_ENTRIES, [self.now, keys, [spent[key] for key in keys]])

    def split_holds(self) -> None:
        """One group for each order: its own hold is released, its trades' holds are made of it."""
        by_entry: defaultdict[UUID, list[ledger.Operation]] = defaultdict(list)
        for entry in self.entries.values():
            if entry.side == EntrySide.BUY:
                by_entry[entry.id].append(ledger.ReleaseHold(hold=entry.id))
        for order, trade in zip(self.orders, self.trades, strict=True):
            if order.auction_entry_id is not None:
                by_entry[order.auction_entry_id].append(writing.trade_hold(trade, self.rules))
        for result in ledger.post([tuple(group) for group in by_entry.values()], now=self.now):
            if not result.ok:
                raise RuntimeError(f"the ledger refused to split a hold: {result}")

    def events(self) -> list[OutboxEvent]:
        """What everybody, and each party, is told."""
        told: list[OutboxEvent] = []
        for trade in self.trades:
            told += writing.trade_events(trade, occurred_at=self.now)
        for entry in self.entries.values():
            noun = "order" if entry.side == EntrySide.BUY else "offer"
            told.append(
                OutboxEvent(
                    kind=f"auction_{noun}.answered",
                    organisation_id=entry.organisation_id,
                    subject_id=entry.id,
                    payload={"auction": str(self.auction.id)},
                    occurred_at=self.now,
                )
            )
        return told
