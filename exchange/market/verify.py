"""The market's invariants over all data."""

from __future__ import annotations

from collections.abc import Iterator

from core.verify import Finding, none_found
from exchange.capacity.verify import MISCOUNTED

# Each: what must hold, and the statement that counts and names what does not.
_CHECKS = {
    "market.no_pool_oversold": """
        SELECT d.pool_id::text || ' day ' || d.day
          FROM exchange_poolday d JOIN exchange_pool p ON p.id = d.pool_id
         WHERE p.units < ANY (d.sold[
               greatest(floor(extract(epoch FROM p.units_stated_at) / 3600)::int - d.day * 24, 0)
               + 1 : 24])""",
    "market.sold_is_what_trades_claim": f"""
        SELECT pool_id::text || ' slot ' || slot FROM ({MISCOUNTED}) wrong""",  # noqa: S608
    "market.resales_stay_within_their_trades": """
        SELECT t.resold_from_id::text || ' slot ' || slot
          FROM exchange_trade t
          JOIN exchange_trade root ON root.id = t.resold_from_id
          LEFT JOIN exchange_traderelease r ON r.trade_id = t.id
         CROSS JOIN LATERAL generate_series(
               t.start_slot, COALESCE(r.from_slot, t.end_slot) - 1) AS slot
         GROUP BY t.resold_from_id, root.id, slot
        HAVING sum(t.units) > root.units OR slot < root.start_slot OR slot >= root.end_slot""",
    "market.filled_is_what_was_traded": """
        SELECT o.id::text
          FROM exchange_order o
          LEFT JOIN (SELECT order_id, sum(units) AS units, sum(compute_micro + transport_micro)
                            AS cost FROM exchange_trade GROUP BY order_id) t ON t.order_id = o.id
         WHERE o.filled_units <> COALESCE(t.units, 0) OR o.spent_micro <> COALESCE(t.cost, 0)""",
    "market.state_says_what_is_filled": """
        SELECT id::text FROM exchange_order
         WHERE (state = 'filled') <> (filled_units = units)
            OR (state = 'partially_filled' AND filled_units = 0)
            OR (state IN ('pending', 'open', 'rejected') AND filled_units > 0)
            OR (closed_at IS NULL) <> (state IN ('pending', 'open', 'partially_filled'))""",
    "market.trades_follow_their_batch": """
        SELECT t.id::text
          FROM exchange_trade t
          JOIN exchange_book b ON b.id = t.book_id
          LEFT JOIN exchange_admission a ON a.book_id = t.book_id AND a.batch = t.batch
         WHERE a.id IS NULL OR t.batch > b.version""",
    # From the batch that took a halt to the one that took its resumption, which has trades again.
    "market.nothing_traded_while_halted": """
        SELECT t.id::text
          FROM exchange_bookevent h
          LEFT JOIN exchange_bookevent r ON r.book_id = h.book_id AND r.subject_id = h.subject_id
                AND r.kind = 'trading_resumed' AND r.batch IS NOT NULL
          JOIN exchange_trade t ON t.book_id = h.book_id AND t.batch >= h.batch
               AND t.batch < coalesce(r.batch, 9223372036854775807)
         WHERE h.kind = 'trading_halted'
           AND (h.payload->'regions' = 'null' OR h.payload->'regions' ? t.seller_region_id)""",
    "market.places_asked_for_are_kept": """
        SELECT t.id::text
          FROM exchange_trade t
          JOIN exchange_order o ON o.id = t.order_id
         WHERE (o.regions_allowed IS NOT NULL AND t.seller_region_id <> ALL (o.regions_allowed))
            OR t.seller_region_id = ANY (o.regions_excluded)
            OR (o.placement IN ('same_pool', 'same_centre', 'same_region') AND EXISTS (
                SELECT 1 FROM exchange_trade s
                  JOIN exchange_pool sp ON sp.id = s.pool_id
                  JOIN exchange_pool tp ON tp.id = t.pool_id
                 WHERE s.order_id = t.order_id AND (
                       s.start_slot <> t.start_slot
                    OR (o.placement = 'same_pool' AND s.pool_id <> t.pool_id)
                    OR (o.placement = 'same_centre' AND sp.centre_id <> tp.centre_id)
                    OR (o.placement = 'same_region'
                        AND s.seller_region_id <> t.seller_region_id))))""",
}


def checks() -> Iterator[Finding]:
    """Capacity, orders and trades agree with one another; a line for each invariant."""
    return none_found(_CHECKS)
