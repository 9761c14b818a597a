"""What must hold of all auctions: what was published is what was certified, traded and held."""

from __future__ import annotations

from collections.abc import Iterator

from core.verify import Finding, none_found
from exchange.market.auction import checker
from exchange.market.day_ahead.models import Auction, AuctionState

# Each: what must hold, and the statement that names what does not.
_CHECKS = {
    "auction.certificate_is_what_was_traded": """
        SELECT r.auction_id::text
          FROM exchange_auctionresult r
          JOIN exchange_auction a ON a.id = r.auction_id AND a.state = 'published'
          LEFT JOIN (
               SELECT b.auction_id, sum(t.compute_micro + t.transport_micro) AS payments,
                      sum(t.compute_micro) AS receipts, sum(t.congestion_micro) AS rent
                 FROM exchange_trade t
                 JOIN exchange_order o ON o.id = t.order_id
                 JOIN exchange_auctionentry b ON b.id = o.auction_entry_id
                WHERE t.resting_side = 'auction'
                GROUP BY b.auction_id) traded ON traded.auction_id = r.auction_id
         WHERE (r.payments_micro, r.receipts_micro, r.rent_micro) IS DISTINCT FROM
               (coalesce(traded.payments, 0), coalesce(traded.receipts, 0),
                coalesce(traded.rent, 0))""",
    "auction.answers_are_what_was_traded": """
        WITH answered AS (
            SELECT l.entry_id, e.side, a.first_slot + u.hour::int - 1 AS slot, sum(u.units) AS units
              FROM exchange_auctionanswer w
              JOIN exchange_auctionline l ON l.id = w.line_id
              JOIN exchange_auctionentry e ON e.id = l.entry_id
              JOIN exchange_auction a ON a.id = e.auction_id
             CROSS JOIN LATERAL unnest(w.accepted) WITH ORDINALITY AS u(units, hour)
             WHERE u.units > 0 GROUP BY 1, 2, 3
        ), traded AS (
            SELECT party.entry_id, party.side, slot, sum(t.units) AS units
              FROM exchange_trade t
              JOIN exchange_order o ON o.id = t.order_id
              JOIN exchange_offer f ON f.id = t.offer_id
             CROSS JOIN LATERAL (VALUES (o.auction_entry_id, 'buy'), (f.auction_entry_id, 'sell'))
                   AS party (entry_id, side)
             CROSS JOIN LATERAL generate_series(t.start_slot, t.end_slot - 1) AS slot
             WHERE t.resting_side = 'auction' GROUP BY 1, 2, 3
        )
        SELECT coalesce(answered.entry_id, traded.entry_id)::text
          FROM answered FULL JOIN traded USING (entry_id, side, slot)
         WHERE answered.units IS DISTINCT FROM traded.units""",
    "auction.orders_spend_what_they_pay": """
        SELECT e.id::text
          FROM exchange_auctionentry e
          LEFT JOIN (SELECT l.entry_id, sum(w.amount_micro) AS paid
                       FROM exchange_auctionanswer w JOIN exchange_auctionline l ON l.id = w.line_id
                      GROUP BY l.entry_id) answered ON answered.entry_id = e.id
         WHERE e.side = 'buy' AND e.spent_micro <> coalesce(answered.paid, 0)""",
    "auction.orders_are_held": """
        SELECT e.id::text
          FROM exchange_auctionentry e
          LEFT JOIN ledger_hold h ON h.id = e.id
         WHERE e.side = 'buy' AND (h.id IS NULL OR h.amount <> e.held_micro
               OR (h.resolved_at IS NULL) <> (e.state = 'entered'))""",
    "auction.trades_are_held": """
        SELECT t.id::text
          FROM exchange_trade t LEFT JOIN ledger_hold h ON h.id = t.id
         WHERE t.resting_side = 'auction'
           AND h.amount IS DISTINCT FROM t.compute_micro + t.transport_micro""",
    "auction.reservations_end_with_it": """
        SELECT r.line_id::text
          FROM exchange_auctionreservation r
          JOIN exchange_auction a ON a.id = r.auction_id
          LEFT JOIN exchange_auctionreservationend n ON n.reservation_id = r.line_id
         WHERE (n.reservation_id IS NULL) <> (a.state IN ('closed', 'cleared'))""",
    "auction.nothing_stays_entered": """
        SELECT e.id::text
          FROM exchange_auctionentry e JOIN exchange_auction a ON a.id = e.auction_id
         WHERE e.state = 'entered' AND a.state IN ('published', 'cancelled', 'failed')""",
}


def checks() -> Iterator[Finding]:
    """Auctions, trades and holds agree, and every certificate still passes the checker."""
    yield from none_found(_CHECKS)
    yield _certificates()


def _certificates() -> Finding:
    """The checker again, over the problems and answers that are stored."""
    wrong = [
        f"{auction.id}: {findings[0]}"
        for auction in Auction.objects.filter(
            state__in=(AuctionState.CLEARED, AuctionState.PUBLISHED), result__isnull=False
        )
        .select_related("problem", "result")
        .order_by("id")
        .iterator(chunk_size=10)
        if (findings := checker.check(auction.problem.document, auction.result.certificate))
    ]
    return Finding(
        "auction.certificates_pass", not wrong, "; ".join(wrong[:5]) if wrong else "hold"
    )
