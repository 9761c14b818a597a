"""Regions and the links between them."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q


class RegionKind(models.TextChoices):
    COUNTRY = "country", "Country"  # the root of the tree
    PROVINCE = "province", "Province"  # a province, or a hub area of several
    CITY = "city", "City"  # where centres stand and organisations are registered


class RegionRole(models.TextChoices):
    CORE = "core", "Core"  # Zhengzhou
    POLE = "pole", "Pole"  # Luoyang, Hebi, Shangqiu, Xinyang
    POINT = "point", "Point"  # the other cities of the province
    HUB = "hub", "National hub"  # an area of "east data, west compute"
    PARTNER = "partner", "Partner"  # a place on a corridor, such as Hami
    NONE = "none", "None"  # countries and provinces


class Region(models.Model):
    """A node of the region tree: country > province > city."""

    code = models.CharField(primary_key=True, max_length=32)
    name_zh = models.CharField(max_length=64)
    name_en = models.CharField(max_length=64)
    kind = models.CharField(max_length=16, choices=RegionKind.choices)
    role = models.CharField(max_length=16, choices=RegionRole.choices, default=RegionRole.NONE)
    parent = models.ForeignKey("self", models.PROTECT, null=True, related_name="children")
    latitude = models.DecimalField(max_digits=8, decimal_places=5, null=True)
    longitude = models.DecimalField(max_digits=8, decimal_places=5, null=True)

    class Meta:
        ordering = ["code"]

    def __str__(self) -> str:
        return f"{self.name_zh} {self.name_en}"


class Link(models.Model):
    """A network path between two regions; undirected, stored once with ``a < b``."""

    id = models.AutoField(primary_key=True)
    region_a = models.ForeignKey(Region, models.PROTECT, related_name="+")
    region_b = models.ForeignKey(Region, models.PROTECT, related_name="+")
    carrier = models.ForeignKey("accounts.Organisation", models.PROTECT, null=True)
    distance_km = models.DecimalField(max_digits=8, decimal_places=1)
    rtt_us = models.PositiveIntegerField(help_text="round-trip time in microseconds")
    bandwidth_gbps = models.PositiveIntegerField()
    price_per_gb = models.DecimalField(max_digits=18, decimal_places=6)
    is_open = models.BooleanField(default=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(region_a__lt=F("region_b")), name="link_stored_once_in_order"
            ),
            models.UniqueConstraint(
                fields=["region_a", "region_b"],
                name="link_between_two_regions_once",
            ),
            models.CheckConstraint(
                condition=Q(price_per_gb__gte=0), name="link_price_not_negative"
            ),
            models.CheckConstraint(condition=Q(rtt_us__gt=0), name="link_takes_time"),
        ]
