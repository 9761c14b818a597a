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
        ]


class Order(models.Model):
    """A buy order: grades with their limits, units, a duration inside a window, constraints.

    The terms never change; state, filled units and entry change only when a batch is written.
    ``hold`` in the ledger has the order's own id.
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
    held_micro = models.BigIntegerField(help_text="what was held when the order was placed")

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
                fields=["auction_entry", "id"],
                condition=Q(auction_entry__isnull=False),
                name="order_of_auction_entry",
            ),
            # Rows lie in the order of their time: ranges of blocks find a day, and cost no write.
            BrinIndex("placed_at", name="order_by_time", autosummarize=True, pages_per_range=16),
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
