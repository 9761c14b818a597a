"""Offers, orders, admissions, trades."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q

from core.ids import new_id
from core.models import AppendOnly
from exchange.market.states import OFFER_LIVE, ORDER_LIVE


class OfferState(models.TextChoices):
    PENDING = "pending", "Pending"  # stored, not yet admitted to its book
    OPEN = "open", "Open"  # may be traded against
    PAUSED = "paused", "Paused"  # out of the market until resumed
    WITHDRAWN = "withdrawn", "Withdrawn"  # by the provider, for good
    EXPIRED = "expired", "Expired"  # its window cannot hold its smallest duration any more
    AUCTIONED = "auctioned", "Auctioned"  # what an auction offer reserved; never for the book


class OrderState(models.TextChoices):
    PENDING = "pending", "Pending"  # stored, funds held
    OPEN = "open", "Open"  # admitted to its book, nothing filled
    PARTIALLY_FILLED = "partially_filled", "Partially filled"  # some units traded, the rest rests
    FILLED = "filled", "Filled"  # all units traded
    CANCELLED = "cancelled", "Cancelled"  # by the buyer, or what ioc and fok left
    EXPIRED = "expired", "Expired"  # its window or its own deadline has passed
    REJECTED = "rejected", "Rejected"  # refused by the book before it entered


class Placement(models.TextChoices):
    SAME_POOL = "same_pool", "Same pool"
    SAME_CENTRE = "same_centre", "Same centre"
    SAME_REGION = "same_region", "Same region"
    ANYWHERE = "anywhere", "Anywhere"  # each fill may stand, and start, where it will


class TimeInForce(models.TextChoices):
    GTC = "gtc", "Good till cancelled"  # until the window can no longer be met
    GTD = "gtd", "Good till date"  # until ``good_till_at`` at the latest
    IOC = "ioc", "Immediate or cancel"  # what fits now, the rest is cancelled
    FOK = "fok", "Fill or kill"  # all of it now, or nothing


class RestingSide(models.TextChoices):
    OFFER = "offer", "Offer"  # the order arrived later; the offer's price holds
    ORDER = "order", "Order"  # the offer arrived later; the order's limit, less transport, holds
    AUCTION = "auction", "Auction"  # neither: the uniform prices of a call auction hold


class Offer(models.Model):
    """A sell order: units of one pool for a window of slots at a limit price.

    Columns show what the book knows; a change asked for enters through the book's inbox.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="offers")
    pool = models.ForeignKey("exchange.Pool", models.PROTECT, related_name="offers")
    book = models.ForeignKey("exchange.Book", models.PROTECT, related_name="offers")
    units = models.PositiveIntegerField()
    start_slot = models.IntegerField()
    end_slot = models.IntegerField()
    # One price per unit-hour, or one for each hour of the UTC day.
    prices = ArrayField(models.DecimalField(max_digits=18, decimal_places=6))
    min_duration_slots = models.PositiveIntegerField(default=1)
    max_duration_slots = models.PositiveIntegerField()
    min_chunk_units = models.PositiveIntegerField(default=1)
    is_reclaimable = models.BooleanField(default=False)
    reclaim_notice_seconds = models.PositiveIntegerField(null=True)
    reclaim_compensation_bp = models.PositiveIntegerField(
        default=0, help_text="share of the price of what is not delivered"
    )
    reclaim_least_micro = models.BigIntegerField(
        default=0, help_text="the smallest compensation of a trade"
    )
    allows_resale = models.BooleanField(default=False)
    resale_of = models.ForeignKey(
        "exchange.Trade",
        models.PROTECT,
        null=True,
        related_name="resale_offers",
        help_text="the trade whose slots its holder offers",
    )
    state = models.CharField(max_length=16, choices=OfferState.choices, default=OfferState.PENDING)
    entry_batch = models.BigIntegerField(null=True)
    entry_position = models.IntegerField(null=True)
    auction_entry = models.OneToOneField(
        "exchange.AuctionEntry", models.PROTECT, null=True, related_name="offer"
    )
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(condition=Q(units__gt=0), name="offer_units_above_zero"),
            models.CheckConstraint(
                condition=Q(end_slot__gt=F("start_slot")), name="offer_window_not_empty"
            ),
            models.CheckConstraint(
                condition=Q(prices__len__in=[1, 24]),
                name="offer_has_one_price_or_one_for_each_hour",
            ),
            models.CheckConstraint(
                condition=Q(min_chunk_units__gt=0) & Q(min_chunk_units__lte=F("units")),
                name="offer_chunk_within_units",
            ),
            models.CheckConstraint(
                condition=Q(min_duration_slots__gt=0)
                & Q(max_duration_slots__gte=F("min_duration_slots")),
                name="offer_durations_in_order",
            ),
            models.CheckConstraint(
                condition=Q(is_reclaimable=False) | Q(reclaim_notice_seconds__isnull=False),
                name="reclaimable_offer_states_its_notice",
            ),
            models.CheckConstraint(
                condition=Q(reclaim_compensation_bp__lte=10_000)
                & Q(reclaim_least_micro__gte=0)
                & (Q(is_reclaimable=True) | Q(reclaim_compensation_bp=0, reclaim_least_micro=0)),
                name="offer_compensates_what_it_reclaims",
            ),
            models.CheckConstraint(
                condition=Q(resale_of__isnull=True) | Q(allows_resale=False),
                name="what_is_resold_is_not_resold_again",
            ),
            models.CheckConstraint(
                condition=Q(auction_entry__isnull=True) & ~Q(state="auctioned")
                | Q(auction_entry__isnull=False, state="auctioned"),
                name="offer_of_an_auction_stays_there",
            ),
        ]
        indexes = [
            models.Index(
                fields=["book", "end_slot"],
                condition=Q(state__in=OFFER_LIVE),
                name="offer_live_in_book",
            ),
            models.Index(fields=["provider", "id"], name="offer_of_provider"),
            models.Index(fields=["pool", "id"], name="offer_of_pool"),
            models.Index(
                fields=["resale_of"], condition=Q(resale_of__isnull=False), name="offer_of_resale"
            ),
        ]


class Order(models.Model):
    """A buy order: grades with their limits, units, a duration inside a window, constraints.

    Terms change only by an amendment that was applied; state, filled units and entry only when a
    batch is written. The hold in the ledger has the order's own id, or, since an amendment needed
    more, that of ``hold_id``.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    buyer = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="orders")
    book = models.ForeignKey("exchange.Book", models.PROTECT, related_name="orders")
    client_reference = models.CharField(max_length=64, blank=True)
    grade_ids = ArrayField(models.IntegerField())
    limit_prices = ArrayField(models.DecimalField(max_digits=18, decimal_places=6))
    units = models.PositiveIntegerField()
    min_units = models.PositiveIntegerField(default=1)
    duration_slots = models.PositiveIntegerField()
    on_demand = models.BooleanField(default=False)
    earliest_slot = models.IntegerField()
    latest_slot = models.IntegerField(help_text="the slot before which delivery must have ended")
    placement = models.CharField(
        max_length=16, choices=Placement.choices, default=Placement.ANYWHERE
    )
    rtt_region = models.ForeignKey("exchange.Region", models.PROTECT, null=True, related_name="+")
    max_rtt_us = models.PositiveIntegerField(null=True)
    regions_allowed = ArrayField(models.CharField(max_length=32), null=True)
    regions_excluded = ArrayField(models.CharField(max_length=32), default=list)
    min_green_share = models.DecimalField(max_digits=5, decimal_places=4, default=0)
    max_pue = models.DecimalField(max_digits=4, decimal_places=3, null=True)
    min_reliability = models.DecimalField(max_digits=5, decimal_places=4, default=0)
    data_region = models.ForeignKey("exchange.Region", models.PROTECT, null=True, related_name="+")
    data_in_gb_per_unit = models.DecimalField(max_digits=12, decimal_places=3, default=0)
    data_out_gb_per_unit = models.DecimalField(max_digits=12, decimal_places=3, default=0)
    accepts_reclaimable = models.BooleanField(default=False)
    max_cost_micro = models.BigIntegerField(null=True)
    time_in_force = models.CharField(max_length=8, choices=TimeInForce.choices)
    good_till_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(help_text="when the sweep ends what is not filled")
    held_micro = models.BigIntegerField(
        help_text="the most that it could cost, when it was placed or last amended"
    )
    hold_id = models.UUIDField(null=True)
    bound_pool = models.ForeignKey(
        "exchange.Pool",
        models.PROTECT,
        null=True,
        related_name="+",
        help_text="the one pool that a roll of a standing order asks first",
    )
    version = models.PositiveIntegerField(
        default=0, help_text="number of the amendment whose terms are in force; 0: as placed"
    )

    state = models.CharField(max_length=20, choices=OrderState.choices, default=OrderState.PENDING)
    state_reason = models.CharField(max_length=200, blank=True)
    filled_units = models.PositiveIntegerField(default=0)
    spent_micro = models.BigIntegerField(default=0, help_text="cost of the trades so far")
    cancel_requested_at = models.DateTimeField(null=True)
    expiry_requested = models.BooleanField(default=False)
    entry_batch = models.BigIntegerField(null=True)
    entry_position = models.IntegerField(null=True)
    placed_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    auction_entry = models.ForeignKey(
        "exchange.AuctionEntry",
        models.PROTECT,
        null=True,
        related_name="orders",
        help_text="the auction order of which this is a run of slots, as accepted",
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(auction_entry__isnull=True)
                | Q(state="filled", filled_units=F("units")),
                name="order_of_an_auction_is_filled",
            ),
            models.CheckConstraint(condition=Q(units__gt=0), name="order_units_above_zero"),
            models.CheckConstraint(
                condition=Q(min_units__gt=0) & Q(min_units__lte=F("units")),
                name="order_min_units_within_units",
            ),
            models.CheckConstraint(
                condition=Q(duration_slots__gt=0)
                & Q(latest_slot__gte=F("earliest_slot") + F("duration_slots")),
                name="order_window_holds_duration",
            ),
            models.CheckConstraint(
                condition=Q(grade_ids__len=F("limit_prices__len")) & Q(grade_ids__len__gt=0),
                name="order_has_a_limit_for_each_grade",
            ),
            models.CheckConstraint(
                condition=Q(filled_units__lte=F("units")), name="order_never_overfilled"
            ),
            models.CheckConstraint(
                condition=Q(held_micro__gt=0) & Q(spent_micro__lte=F("held_micro")),
                name="order_never_spends_more_than_held",
            ),
            models.CheckConstraint(
                condition=Q(bound_pool__isnull=True)
                | Q(
                    placement="same_pool",
                    latest_slot=F("earliest_slot") + F("duration_slots"),
                    on_demand=False,
                ),
                name="bound_order_has_one_pool_and_start",
            ),
            models.CheckConstraint(
                condition=~Q(time_in_force="gtd") | Q(good_till_at__isnull=False),
                name="gtd_order_says_till_when",
            ),
            models.CheckConstraint(
                condition=Q(rtt_region__isnull=True, max_rtt_us__isnull=True)
                | Q(rtt_region__isnull=False, max_rtt_us__isnull=False),
                name="order_rtt_bound_names_its_region",
            ),
            models.CheckConstraint(
                condition=Q(data_region__isnull=False)
                | Q(data_in_gb_per_unit=0, data_out_gb_per_unit=0),
                name="order_data_names_its_region",
            ),
        ]
        indexes = [
            models.Index(
                fields=["book", "id"], condition=Q(state__in=ORDER_LIVE), name="order_live_in_book"
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(state__in=ORDER_LIVE, expiry_requested=False),
                name="order_to_expire",
            ),
            models.Index(fields=["buyer", "id"], name="order_of_buyer"),
            models.Index(
                fields=["buyer"], condition=Q(state__in=ORDER_LIVE), name="order_live_of_buyer"
            ),
            models.Index(
                fields=["auction_entry", "id"],
                condition=Q(auction_entry__isnull=False),
                name="order_of_auction_entry",
            ),
            # Rows lie in the order of their time: ranges of blocks find a day, and cost no write.
            BrinIndex("placed_at", name="order_by_time", autosummarize=True, pages_per_range=16),
        ]


class AmendmentState(models.TextChoices):
    PLACED = "placed", "Placed"  # number 0: the terms as the order was placed with
    REQUESTED = "requested", "Requested"  # in the book's inbox
    APPLIED = "applied", "Applied"  # the order has, or had, these terms
    REFUSED = "refused", "Refused"  # the order had gone on meanwhile; nothing changed


class OrderAmendment(models.Model):
    """Terms of an order, one row for each version that was asked for; never changed but decided.

    The terms are whole, not only what was to change.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    order = models.ForeignKey(Order, models.PROTECT, related_name="amendments")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=16, choices=AmendmentState.choices)
    reason = models.CharField(max_length=200, blank=True)
    limit_prices = ArrayField(models.DecimalField(max_digits=18, decimal_places=6))
    units = models.PositiveIntegerField()
    min_units = models.PositiveIntegerField()
    earliest_slot = models.IntegerField()
    latest_slot = models.IntegerField()
    max_cost_micro = models.BigIntegerField(null=True)
    time_in_force = models.CharField(max_length=8, choices=TimeInForce.choices)
    good_till_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    keeps_entry = models.BooleanField(help_text="it keeps its place in the queue")
    requested_at = models.DateTimeField()
    batch = models.BigIntegerField(null=True)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["order", "number"], name="amendment_numbered_once"),
            models.UniqueConstraint(
                fields=["order"],
                condition=Q(state="requested"),
                name="one_amendment_of_an_order_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["applied", "refused"], batch__isnull=False)
                | Q(state__in=["placed", "requested"], batch__isnull=True),
                name="amendment_decided_by_a_batch",
            ),
            models.CheckConstraint(
                condition=Q(number=0, state="placed") | (Q(number__gt=0) & ~Q(state="placed")),
                name="amendment_zero_is_as_placed",
            ),
        ]


class Admission(AppendOnly, models.Model):
    """A batch of a book whose events, their sequence and its ``now`` are fixed."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    book = models.ForeignKey("exchange.Book", models.PROTECT, related_name="admissions")
    batch = models.BigIntegerField()
    admitted_at = models.DateTimeField(help_text="the batch's now")

    class Meta:
        ordering = ["book", "batch"]
        constraints = [
            models.UniqueConstraint(fields=["book", "batch"], name="admission_batch_once")
        ]


class Trade(AppendOnly, models.Model):
    """An immutable match of an order with an offer: the claim on capacity.

    ``compute_micro`` and ``transport_micro`` are what the whole trade costs at full delivery. Of an
    auction's trade ``congestion_micro`` is the part of the transport that is congestion rent, and
    ``path_prices_micro`` what each link of the path asks per unit-hour.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    book = models.ForeignKey("exchange.Book", models.PROTECT, related_name="trades")
    batch = models.BigIntegerField()
    position = models.IntegerField()
    order = models.ForeignKey(Order, models.PROTECT, related_name="trades")
    offer = models.ForeignKey(Offer, models.PROTECT, related_name="trades")
    pool = models.ForeignKey("exchange.Pool", models.PROTECT, related_name="trades")
    grade = models.ForeignKey("exchange.Grade", models.PROTECT, related_name="+")
    buyer = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    seller = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="+")
    buyer_region = models.ForeignKey("exchange.Region", models.PROTECT, related_name="+")
    seller_region = models.ForeignKey("exchange.Region", models.PROTECT, related_name="+")
    rule_set = models.ForeignKey("exchange.RuleSet", models.PROTECT, related_name="+")
    resting_side = models.CharField(max_length=8, choices=RestingSide.choices)
    units = models.PositiveIntegerField()
    start_slot = models.IntegerField()
    end_slot = models.IntegerField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    price_per_unit_hour = models.DecimalField(
        max_digits=18, decimal_places=6, help_text="mean over the trade's time, for people"
    )
    compute_micro = models.BigIntegerField()
    transport_micro = models.BigIntegerField(default=0)
    congestion_micro = models.BigIntegerField(default=0, db_default=0)
    path_link_ids = ArrayField(models.IntegerField(), default=list)
    path_prices_micro = ArrayField(models.BigIntegerField(), null=True)
    is_reclaimable = models.BooleanField(default=False)
    reclaim_notice_seconds = models.PositiveIntegerField(null=True)
    reclaim_compensation_bp = models.PositiveIntegerField(
        default=0, help_text="share of the price of what is not delivered"
    )
    reclaim_least_micro = models.BigIntegerField(
        default=0, help_text="the smallest compensation of a trade"
    )
    allows_resale = models.BooleanField(default=False)
    resold_from = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        related_name="resales",
        help_text="the trade that claims the capacity; this one only passes it on",
    )
    traded_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["book", "batch", "position"], name="trade_written_once"
            ),
            models.CheckConstraint(condition=Q(units__gt=0), name="trade_units_above_zero"),
            models.CheckConstraint(
                condition=Q(end_slot__gt=F("start_slot")) & Q(ends_at__gt=F("starts_at")),
                name="trade_covers_time",
            ),
            models.CheckConstraint(
                condition=~Q(buyer=F("seller")), name="no_organisation_trades_with_itself"
            ),
            models.CheckConstraint(
                condition=Q(compute_micro__gte=0) & Q(transport_micro__gte=0),
                name="trade_cost_not_negative",
            ),
            models.CheckConstraint(
                condition=Q(congestion_micro__gte=0)
                & Q(congestion_micro__lte=F("transport_micro"))
                & (Q(congestion_micro=0) | Q(resting_side="auction")),
                name="trade_congestion_is_a_part_of_transport",
            ),
        ]
        indexes = [
            models.Index(fields=["order", "id"], name="trade_of_order"),
            models.Index(
                fields=["resold_from"],
                condition=Q(resold_from__isnull=False),
                name="trade_of_resale",
            ),
            models.Index(fields=["buyer", "id"], name="trade_of_buyer"),
            models.Index(fields=["seller", "id"], name="trade_of_seller"),
            models.Index(fields=["book", "end_slot"], name="trade_claims_of_book"),
            models.Index(fields=["pool", "end_slot"], name="trade_claims_of_pool"),
            models.Index(fields=["grade", "-id"], name="trade_newest_of_grade"),
            BrinIndex("traded_at", name="trade_by_time", autosummarize=True, pages_per_range=16),
        ]


class TradeRelease(AppendOnly, models.Model):
    """Capacity that a trade gives back from a slot on, since its lease ended before its time.

    The book sees it once ``event`` is admitted.
    """

    trade = models.OneToOneField(Trade, models.PROTECT, primary_key=True, related_name="release")
    from_slot = models.IntegerField()
    event = models.ForeignKey("exchange.BookEvent", models.PROTECT, related_name="+")
    released_at = models.DateTimeField()
