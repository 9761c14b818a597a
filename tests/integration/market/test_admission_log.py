"""`manage.py replay_admissions`: trades beside those that the engine makes of the log."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from demo.admissions import compare
from exchange.capacity import inbox
from exchange.capacity.models import BookEventKind, Grade, Pool
from exchange.market import intake, services
from exchange.market.models import Offer
from tests.integration.market import builders as make

pytestmark = pytest.mark.usefixtures("reference")


def a_lively_book() -> None:
    """Offers that come, rest, pause and return; orders that rest, are filled and taken back."""
    seller = make.seller()
    _, dear = make.offered_pool(seller, price="12", units=6)
    first, second = make.funded_buyer(), make.funded_buyer()
    make.place(first, limit="10", units=4)
    make.place(second, limit="13", units=4)
    make.match()
    services.pause_offer(actor=seller, offer_id=dear.id, now=make.later(0.1))
    taken_back = make.place(second, limit="12", units=1, now=make.later(0.2))
    make.match(now=make.later(0.3))
    services.cancel_order(actor=second, order_id=taken_back.id, now=make.later(0.4))
    make.offered_pool(make.seller(), price="9", units=6, code="c2")
    make.match(now=make.later(0.5))
    services.resume_offer(actor=seller, offer_id=dear.id, now=make.later(1.1))
    make.place(first, limit="14", units=3, now=make.later(1.2))
    make.match(now=make.later(1.3))


def test_the_engine_makes_the_same_trades_of_the_log(capsys):
    a_lively_book()
    (book,) = [book for book in compare() if book.trades]
    assert (book.book, book.trades >= 3, book.difference) == ("intelligent", True, "")
    call_command("replay_admissions")
    assert f"ok intelligent: {book.trades} trades" in capsys.readouterr().out


def test_a_log_that_says_otherwise_is_told():
    a_lively_book()
    # As if the pools had been of another grade, and the writer had sold what was not asked for.
    Pool.objects.update(grade=Grade.objects.exclude(code=make.NPU).filter(book=make.book())[0])
    (book,) = [book for book in compare() if book.trades]
    assert "the engine makes" in book.difference
    with pytest.raises(CommandError, match="1 books differ"):
        call_command("replay_admissions")


def test_offers_are_told_as_they_were_before_each_change():
    seller = make.seller()
    _, offer = make.offered_pool(seller, price="12", units=16)
    make.place(make.funded_buyer(), limit="13", units=4)
    make.match()
    for hour, change in enumerate(({"prices_micro": (9_000_000,)}, {"units": 10}), start=1):
        now = make.later(hour / 10)
        services.change_offer(actor=seller, offer_id=offer.id, changes=change, now=now)
        make.place(make.funded_buyer(), limit="13", units=4, now=now)
        make.match(now=now)
    (book,) = [book for book in compare() if book.trades]
    assert (book.trades >= 3, book.difference) == (True, "")


def test_what_can_no_longer_be_told_is_said():
    seller = make.seller()
    pool = make.capacity.pool(seller, make.capacity.centre(seller))
    terms = intake.offer_terms(make.offer_request(pool))
    offer = Offer.objects.create(
        provider_id=seller.organisation_id,
        pool=pool,
        book=make.book(),
        created_at=make.NOW,
        **terms,
    )
    bare = inbox.InboxEvent(BookEventKind.OFFER_ENTERED, offer.id)
    inbox.append(book_id=offer.book_id, events=[bare], now=make.NOW)
    make.match()
    services.change_offer(
        actor=seller, offer_id=offer.id, changes={"units": 8}, now=make.later(0.1)
    )
    make.match(now=make.later(0.2))
    (book,) = compare()
    assert "was changed: its first terms are gone" in book.difference
