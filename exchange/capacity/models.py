"""What can be sold: device models, grades and books, centres and pools, and the book's inbox."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from core.ids import new_id


class ResourceClass(models.TextChoices):
    GENERAL = "general", "General"  # vCPUs with memory
    INTELLIGENT = "intelligent", "Intelligent"  # AI accelerators
    SUPER = "super", "Super"  # tightly coupled nodes for double precision
    EDGE = "edge", "Edge"  # small sites close to users
    QUANTUM = "quantum", "Quantum"  # quantum processors, sold by machine time


class FigureKind(models.TextChoices):
    VENDOR = "vendor", "Vendor"  # from the vendor's data sheet
    MEASURED = "measured", "Measured"  # by a published benchmark or the site itself
    VERIFIED = "verified", "Verified"  # measured and checked by the operator


class PoolHealth(models.TextChoices):
    HEALTHY = "healthy", "Healthy"  # heartbeats come, everything works
    DEGRADED = "degraded", "Degraded"  # works with less than all units
    UNREACHABLE = "unreachable", "Unreachable"  # no heartbeat for the stated silence
    MAINTENANCE = "maintenance", "Maintenance"  # the provider has taken it out


class PoolState(models.TextChoices):
    ACTIVE = "active", "Active"  # may be sold
    PAUSED = "paused", "Paused"  # what is sold stays, nothing new is sold
    WITHDRAWN = "withdrawn", "Withdrawn"  # for good


class DeviceModel(models.Model):
    """A catalogue entry: what one device is, whatever pool it stands in."""

    code = models.CharField(primary_key=True, max_length=64)
    name = models.CharField(max_length=128)
    vendor = models.CharField(max_length=64)
    kind = models.CharField(max_length=32)  # gpu, npu, cpu, dcu, qpu …
    is_domestic = models.BooleanField()
    memory_gb = models.DecimalField(max_digits=10, decimal_places=2, null=True)

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class DeviceFigure(models.Model):
    """One performance figure of a device model, with where it comes from."""

    id = models.AutoField(primary_key=True)
    device_model = models.ForeignKey(DeviceModel, models.PROTECT, related_name="figures")
    quantity = models.CharField(max_length=32)  # fp64_tflops, memory_bandwidth_gb_s, qubits …
    value = models.DecimalField(max_digits=14, decimal_places=3)
    kind = models.CharField(max_length=16, choices=FigureKind.choices)
    source = models.TextField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["device_model", "quantity", "kind"], name="figure_stated_once"
            ),
            models.CheckConstraint(condition=Q(value__gt=0), name="figure_above_zero"),
            models.CheckConstraint(condition=~Q(source=""), name="figure_has_a_source"),
        ]


class Book(models.Model):
    """The live orders and offers of one segment. One matcher at a time works on it.

    ``admitted`` is the number of the newest batch whose events are fixed, ``version`` that of the
    newest batch whose trades are written; ``version`` is compared and set by the writer.

    ``halts_in_force`` is what the matcher knows of halts as of ``version``: the id of each, with
    the regions that it covers (null: the whole book). Only the writer of a batch changes it.
    """

    id = models.AutoField(primary_key=True)
    code = models.CharField(max_length=32, unique=True)
    resource_class = models.CharField(max_length=16, choices=ResourceClass.choices)
    admitted = models.BigIntegerField(default=0)
    version = models.BigIntegerField(default=0)
    halts_in_force = models.JSONField(default=dict, db_default={})
    band_bp = models.PositiveIntegerField(
        null=True, help_text="how far a price may lie from the index, both ways; null: any price"
    )
    index_min_unit_hours = models.PositiveIntegerField(
        default=1, db_default=1, help_text="with less volume an hour's index is carried forward"
    )

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(version__lte=F("admitted")) & Q(admitted__lte=F("version") + 1),
                name="book_has_at_most_one_open_batch",
            ),
            models.CheckConstraint(
                condition=Q(band_bp__isnull=True) | Q(band_bp__gte=1, band_bp__lte=100_000),
                name="book_band_is_a_band",
            ),
        ]

    def __str__(self) -> str:
        return self.code

    @property
    def is_halted(self) -> bool:
        """Whether nothing is matched in the whole book."""
        return None in self.halts_in_force.values()

    def sells_in(self, region: str) -> bool:
        """Whether no halt covers ``region``."""
        return not any(
            regions is None or region in regions for regions in self.halts_in_force.values()
        )


class Grade(models.Model):
    """A standardised instrument: class, device model and unit shape."""

    id = models.AutoField(primary_key=True)
    code = models.CharField(max_length=64, unique=True)
    book = models.ForeignKey(Book, models.PROTECT, related_name="grades")
    resource_class = models.CharField(max_length=16, choices=ResourceClass.choices)
    device_model = models.ForeignKey(DeviceModel, models.PROTECT, related_name="grades")
    devices_per_unit = models.PositiveIntegerField(default=1)
    vcpus_per_unit = models.PositiveIntegerField(null=True)
    memory_gb_per_unit = models.PositiveIntegerField(null=True)
    unit_description = models.CharField(max_length=200)

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return self.code


class Centre(models.Model):
    """A data centre of a provider in one region."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    provider = models.ForeignKey("accounts.Organisation", models.PROTECT, related_name="centres")
    region = models.ForeignKey("exchange.Region", models.PROTECT, related_name="centres")
    code = models.CharField(max_length=64)  # the provider's own name for it
    name = models.CharField(max_length=128)
    standard_racks = models.PositiveIntegerField()
    pue = models.DecimalField(max_digits=4, decimal_places=3)
    green_share = models.DecimalField(max_digits=5, decimal_places=4)
    last_heartbeat_at = models.DateTimeField(null=True)
    is_reachable = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["provider", "code"], name="centre_code_once"),
            models.CheckConstraint(
                condition=Q(pue__gte=1) & Q(pue__lte=5), name="centre_pue_at_least_one"
            ),
            models.CheckConstraint(
                condition=Q(green_share__gte=0) & Q(green_share__lte=1),
                name="centre_green_share_is_a_share",
            ),
        ]
        indexes = [
            models.Index(fields=["is_reachable", "last_heartbeat_at"], name="centre_silence")
        ]

    def __str__(self) -> str:
        return self.name


class CentreHour(models.Model):
    """Power price and green share of a centre in one slot."""

    centre = models.ForeignKey(Centre, models.PROTECT, related_name="hours")
    slot = models.IntegerField()
    power_price_per_kwh = models.DecimalField(max_digits=18, decimal_places=6)
    green_share = models.DecimalField(max_digits=5, decimal_places=4)

    class Meta:
        ordering = ["centre", "slot"]
        constraints = [
            models.UniqueConstraint(fields=["centre", "slot"], name="centre_hour_once"),
            models.CheckConstraint(
                condition=Q(green_share__gte=0) & Q(green_share__lte=1),
                name="centre_hour_green_share_is_a_share",
            ),
        ]


class Pool(models.Model):
    """Schedulable capacity in one centre.

    ``units`` is registered, ``available_units`` what can be sold now (less after a defect), and
    ``book_terms`` what the matcher has been told (``inbox.pool_terms``): it changes only when a
    batch is written, so that matching stays a function of what was admitted.

    ``units_stated_at`` says from when on ``units`` holds: they cover what is sold in its slot and
    in every later one (in all slots where they never changed), which a trigger keeps.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    centre = models.ForeignKey(Centre, models.PROTECT, related_name="pools")
    grade = models.ForeignKey(Grade, models.PROTECT, related_name="pools")
    code = models.CharField(max_length=64)
    units = models.PositiveIntegerField()
    units_stated_at = models.DateTimeField(null=True)
    available_units = models.PositiveIntegerField()
    book_terms = models.JSONField(default=dict)
    state = models.CharField(max_length=16, choices=PoolState.choices, default=PoolState.ACTIVE)
    health = models.CharField(max_length=16, choices=PoolHealth.choices, default=PoolHealth.HEALTHY)
    reliability = models.DecimalField(max_digits=5, decimal_places=4, default=1)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["centre", "code"], name="pool_code_once"),
            models.CheckConstraint(
                condition=Q(available_units__lte=F("units")),
                name="pool_available_within_registered",
            ),
            models.CheckConstraint(
                condition=Q(reliability__gte=0) & Q(reliability__lte=1),
                name="pool_reliability_is_a_share",
            ),
        ]

    def __str__(self) -> str:
        return self.code


class PoolDay(models.Model):
    """Units sold of a pool in each slot of a UTC day; kept by the database's own triggers.

    It is the guard of invariant 1: a trade that would lift an hour above what the pool has is
    refused, whoever writes it.
    """

    pool = models.ForeignKey(Pool, models.PROTECT, related_name="days")
    day = models.IntegerField()  # slot // 24
    sold = ArrayField(models.IntegerField(), size=24)

    class Meta:
        ordering = ["pool", "day"]
        constraints = [models.UniqueConstraint(fields=["pool", "day"], name="pool_day_once")]


class BookEventKind(models.TextChoices):
    """What may enter a book. Within a batch, halts come first, then capacity, then the order of
    arrival."""

    POOL_CHANGED = "pool_changed", "Pool changed"  # payload: inbox.pool_terms
    CAPACITY_RELEASED = "capacity_released", "Capacity released"  # a lease ended before its time
    CAPACITY_RESERVED = "capacity_reserved", "Capacity reserved"  # for an auction; payload: runs
    CAPACITY_RETURNED = "capacity_returned", "Capacity returned"  # what it did not sell; runs
    AUCTION_PUBLISHED = "auction_published", "Auction published"  # its trades make this batch
    OFFER_ENTERED = "offer_entered", "Offer entered"  # payload: the terms
    OFFER_CHANGED = "offer_changed", "Offer changed"  # payload: the new values
    OFFER_PAUSED = "offer_paused", "Offer paused"
    OFFER_RESUMED = "offer_resumed", "Offer resumed"
    OFFER_WITHDRAWN = "offer_withdrawn", "Offer withdrawn"
    ORDER_ENTERED = "order_entered", "Order entered"
    ORDER_AMENDED = "order_amended", "Order amended"  # payload: the amendment
    ORDER_CANCELLED = "order_cancelled", "Order cancelled"
    ORDER_EXPIRED = "order_expired", "Order expired"
    # Of the whole book or of some regions; payload: {"regions": codes, or null for the book}.
    TRADING_HALTED = "trading_halted", "Trading halted"
    TRADING_RESUMED = "trading_resumed", "Trading resumed"


class BookEvent(models.Model):
    """The inbox of a book: everything that changes what its matcher sees, in order of arrival.

    ``batch`` and ``position`` are set once, at admission.
    """

    id = models.BigAutoField(primary_key=True)
    book = models.ForeignKey(Book, models.PROTECT, related_name="events")
    kind = models.CharField(max_length=24, choices=BookEventKind.choices)
    subject_id = models.UUIDField()
    payload = models.JSONField(default=dict)
    occurred_at = models.DateTimeField()
    batch = models.BigIntegerField(null=True)
    position = models.IntegerField(null=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(batch__isnull=True, position__isnull=True)
                | Q(batch__isnull=False, position__isnull=False),
                name="book_event_admitted_whole",
            ),
        ]
        indexes = [
            models.Index(fields=["book", "id"], condition=Q(batch=None), name="book_event_waiting"),
            models.Index(
                fields=["book", "batch", "position"],
                condition=Q(batch__isnull=False),
                name="book_event_admitted",
            ),
        ]
