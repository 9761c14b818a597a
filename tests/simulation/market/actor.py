"""A member in the fault run: ``python -m tests.simulation.market.actor KIND SEED CALLS DAY PLACE``.

``KIND`` is ``buyer`` or ``seller``; the latter also speaks for the market desk. What is asked for
comes from the actor's own random stream; answers may be lost with the session, and then nobody
knows whether it was done. Its last line counts its calls by what became of them.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.simulation.market.worker import DATABASE_ERRORS, unless_cut  # sets Django up

# isort: split

from django.db import transaction

from accounts.actors import Actor
from accounts.models import Organisation
from core import clock
from core.errors import ExchangeError
from core.money import to_micro
from core.slots import slot_of, slot_start_at
from exchange.capacity import services as capacity
from exchange.capacity.models import BookEvent, Centre, Pool
from exchange.market import services
from exchange.market.models import Offer, Order
from exchange.market.orderly import services as orderly
from exchange.market.orderly.models import Halt
from exchange.market.requests import AmendRequest, GradeLimit, OfferRequest, OrderRequest
from exchange.market.standing import services as standing
from exchange.market.standing.models import StandingOrder
from exchange.market.standing.wishes import StandingRequest
from exchange.market.states import OFFER_LIVE, ORDER_LIVE
from tests.integration.capacity import builders as parties
from tests.integration.market.builders import SCOPES
from tests.simulation.market import hourglass

INTELLIGENT = ("intelligent.ascend-910b.1", "intelligent.a100-80g.1")
GENERAL = "general.kunpeng-920.8"
REGIONS = ("zhengzhou", "luoyang", "kaifeng")
PRICES = ("7", "8", "8.5", "9", "9.25", "10", "12")
HOUR = timedelta(hours=1)
MOST_WAITING = 8


def actors_of(kind: str) -> list[Actor]:
    """The organisations of a kind, in the order in which they were made."""
    found = Organisation.objects.filter(kinds__contains=[kind]).order_by("id")
    return [parties.actor_for(owner, scopes=SCOPES) for owner in found]


class Member:
    """Makes random calls; each of its ``acts`` is one, and answers None where it had no cause."""

    acts: tuple[tuple[str, int], ...] = ()

    def __init__(self, seed: str) -> None:
        self.dice = random.Random(seed)

    def run(self, calls: int, pass_on: Callable[[], None]) -> Counter[str]:
        """Make so many calls, and let time ``pass_on`` after each."""
        names, weights = zip(*self.acts, strict=True)
        counts: Counter[str] = Counter()
        for _ in range(calls):
            (name,) = self.dice.choices(names, weights)
            counts[f"{name} {self._ask(getattr(self, name))}"] += 1
            pass_on()
            self._let_others_go_on(time.monotonic() + 0.5)
        return counts

    def _let_others_go_on(self, until: float) -> None:
        """Wait while the books are far behind, so that a slow machine has a day of trading too."""
        while time.monotonic() < until:
            try:
                if BookEvent.objects.filter(batch=None).count() < MOST_WAITING:
                    break
            except DATABASE_ERRORS as error:
                unless_cut(error)
            time.sleep(0.02)

    def _ask(self, act: Callable[[], object]) -> str:
        self.now = clock.now()
        try:
            with transaction.atomic():
                return "no cause" if act() is None else "ok"
        except ExchangeError as refused:
            return refused.slug
        except DATABASE_ERRORS as error:
            unless_cut(error)
            return "lost"

    def hour(self, ahead: int) -> datetime:
        """The start of a slot to come; 0 is the present one's."""
        return slot_start_at(slot_of(self.now) + ahead)

    def some(self, rows: Any) -> Any:
        """One of the newest rows, or None."""
        newest = list(rows.order_by("-id")[:12])
        return self.dice.choice(newest) if newest else None

    def chance(self, share: float) -> bool:
        """True so often."""
        return self.dice.random() < share


class Buyer(Member):
    """Orders, amendments, cancellations, standing orders, of all buyers."""

    acts = (
        ("place", 50),
        ("amend", 22),
        ("cancel", 8),
        ("stand", 2),
        ("change_standing", 2),
        ("move_standing", 2),
    )

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.buyers = actors_of("buyer")
        self.by_id = {actor.organisation_id: actor for actor in self.buyers}

    def place(self) -> object:
        return services.place_order(
            actor=self.dice.choice(self.buyers), request=self._wish(), now=self.now
        )

    def amend(self) -> object:
        order = self.some(Order.objects.filter(state__in=ORDER_LIVE))
        if order is None:
            return None
        named = self.dice.sample(
            ["units", "min_units", "grades", "latest_end_at", "max_cost", "time_in_force"],
            self.dice.choice([1, 1, 2]),
        )
        codes = services.amendments.grade_codes()
        units = self.dice.randint(max(order.filled_units, 1), order.units + 3)
        request = AmendRequest(
            version=order.version if self.chance(0.95) else order.version + 1,
            named=frozenset(named),
            units=units,
            min_units=self.dice.randint(1, 3),
            limits=tuple(
                GradeLimit(grade=codes[grade], limit_micro=self._price())
                for grade in order.grade_ids
            ),
            latest_end_at=slot_start_at(order.latest_slot + self.dice.randint(-1, 3)),
            max_cost_micro=order.spent_micro + self.dice.randint(1, 200) * 1_000_000,
            time_in_force=self.dice.choice(["gtc", "gtc", "ioc"]),
        )
        return services.amend_order(
            actor=self.by_id[order.buyer_id], order_id=order.id, request=request, now=self.now
        )

    def cancel(self) -> object:
        order = self.some(Order.objects.filter(state__in=ORDER_LIVE))
        if order is None:
            return None
        actor = self.by_id[order.buyer_id]
        return services.cancel_order(actor=actor, order_id=order.id, now=self.now)

    def stand(self) -> object:
        request = StandingRequest(
            wish=replace(self._wish(), on_demand=False, time_in_force="gtc", good_till_at=None),
            lead_seconds=self.dice.choice([600, 1800, 7200]),
            prefers_same_pool=self.chance(0.7),
            day_budget_micro=self.dice.choice([None, 10**9]),
            budget_micro=self.dice.choice([None, None, 5 * 10**8]),
        )
        return standing.create(actor=self.dice.choice(self.buyers), request=request, now=self.now)

    def change_standing(self) -> object:
        kept = self.some(StandingOrder.objects.exclude(state="ended"))
        if kept is None:
            return None
        changes = {"units": self.dice.randint(1, 4), "duration_hours": self.dice.randint(1, 2)}
        return standing.change(
            actor=self.by_id[kept.buyer_id],
            standing_id=kept.id,
            version=kept.version,
            changes=changes,
            now=self.now,
        )

    def move_standing(self) -> object:
        kept = self.some(StandingOrder.objects.exclude(state="ended"))
        if kept is None:
            return None
        move = self.dice.choice([standing.pause, standing.resume, standing.resume, standing.end])
        return move(actor=self.by_id[kept.buyer_id], standing_id=kept.id, now=self.now)

    def _price(self) -> int:
        return to_micro(Decimal(self.dice.choice(PRICES)))

    def _wish(self) -> OrderRequest:
        grades = self.dice.choice([INTELLIGENT[:1], INTELLIGENT[1:], INTELLIGENT, (GENERAL,)])
        on_demand, units = self.chance(0.2), self.dice.randint(1, 8)
        life = self.dice.choices(["gtc", "gtd", "ioc", "fok"], [70, 10, 12, 8])[0]
        hours, earliest = self.dice.randint(1, 4), self.dice.randint(1, 4)
        data = self.dice.choice([None, None, None, *REGIONS])
        return OrderRequest(
            grades=tuple(GradeLimit(grade=code, limit_micro=self._price()) for code in grades),
            units=units,
            min_units=self.dice.choice([1, 1, 1, min(2, units), units]),
            duration_hours=hours,
            on_demand=on_demand,
            earliest_start_at=None if on_demand else self.hour(earliest),
            latest_end_at=self.hour(earliest + hours + self.dice.randint(0, 4)),
            placement=self.dice.choices(
                ["anywhere", "same_pool", "same_centre", "same_region"], [60, 20, 10, 10]
            )[0],
            regions_excluded=self.dice.choice([(), (), (), REGIONS[1:2]]),
            min_green_share=self.dice.choice([Decimal(0), Decimal(0), Decimal("0.4")]),
            data_region=data,
            data_in_gb_per_unit=Decimal(0 if data is None else self.dice.randint(1, 9)),
            accepts_reclaimable=self.chance(0.7),
            max_cost_micro=self.dice.choice([None, None, 50_000_000, 300_000_000]),
            time_in_force=life,
            good_till_at=self.now + self.dice.uniform(0.2, 3) * HOUR if life == "gtd" else None,
        )


class Seller(Member):
    """Offers and their changes, pools whose capacity comes and goes, and halts of the desk."""

    acts = (
        ("offer", 20),
        ("change", 20),
        ("move", 20),
        ("change_pool", 20),
        ("move_pool", 4),
        ("change_centre", 4),
        ("report", 6),
        ("halt", 2),
        ("resume", 6),
    )

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self.by_id = {actor.organisation_id: actor for actor in actors_of("provider")}
        (owner,) = actors_of("operator")
        self.desk = replace(owner, operator_roles=frozenset({"market"}))

    def offer(self) -> object:
        pool = self.some(Pool.objects.select_related("centre"))
        start, units = self.dice.randint(0, 3), self.dice.randint(1, 6)
        count = 24 if self.chance(0.2) else 1
        reclaimable = self.chance(0.2)
        request = OfferRequest(
            pool=pool.id,
            units=units,
            start_at=self.hour(start),
            end_at=self.hour(start + self.dice.randint(2, 9)),
            prices_micro=tuple(self._price() for _ in range(count)),
            min_chunk_units=self.dice.choice([1, 1, 1, min(2, units)]),
            max_duration_hours=self.dice.choice([None, None, 3]),
            is_reclaimable=reclaimable,
            reclaim_notice_seconds=600 if reclaimable else None,
        )
        actor = self.by_id[pool.centre.provider_id]
        return services.create_offers(actor=actor, requests=[request], now=self.now)

    def change(self) -> object:
        offer = self.some(Offer.objects.filter(state__in=OFFER_LIVE))
        if offer is None:
            return None
        changes: dict[str, Any] = self.dice.choice(
            [
                {"units": self.dice.randint(1, 8)},
                {"prices_micro": (self._price(),)},
                {"end_at": slot_start_at(offer.end_slot + self.dice.randint(-2, 4))},
                {"units": self.dice.randint(1, 4), "min_chunk_units": 1},
            ]
        )
        return services.change_offer(
            actor=self.by_id[offer.provider_id], offer_id=offer.id, changes=changes, now=self.now
        )

    def move(self) -> object:
        offer = self.some(Offer.objects.filter(state__in=OFFER_LIVE))
        if offer is None:
            return None
        moves = (services.pause_offer, services.resume_offer, services.withdraw_offer)
        (move,) = self.dice.choices(moves, [4, 6, 1])
        return move(actor=self.by_id[offer.provider_id], offer_id=offer.id, now=self.now)

    def change_pool(self) -> object:
        pool = self.some(Pool.objects.select_related("centre"))
        what: dict[str, Any] = self.dice.choice(
            [
                {"units": self.dice.randint(4, 16)},
                {"available_units": self.dice.randint(0, 8)},
                {"health": self.dice.choice(["healthy", "healthy", "degraded", "maintenance"])},
            ]
        )
        return capacity.change_pool(actor=self._owner(pool), pool_id=pool.id, **what, now=self.now)

    def move_pool(self) -> object:
        pool = self.some(Pool.objects.select_related("centre"))
        move = capacity.resume_pool if pool.state == "paused" else capacity.pause_pool
        return move(actor=self._owner(pool), pool_id=pool.id, now=self.now)

    def change_centre(self) -> object:
        centre = self.some(Centre.objects)
        return capacity.change_centre(
            actor=self.by_id[centre.provider_id],
            centre_id=centre.id,
            changes={"green_share": Decimal(self.dice.choice(["0.3", "0.4", "0.5"]))},
            now=self.now,
        )

    def report(self) -> object:
        centre = self.some(Centre.objects)
        pool = self.some(Pool.objects.filter(centre=centre))
        well = capacity.PoolReport(pool.code, "healthy", pool.units)
        return capacity.heartbeat(
            actor=self.by_id[centre.provider_id],
            centre_id=centre.id,
            reports=[well],
            now=self.now,
        )

    def halt(self) -> object:
        scope = self.dice.choice(
            [{"book_code": "intelligent"}, {"book_code": "general"}]
            + [{"region_code": code} for code in REGIONS]
        )
        return orderly.halt_trading(actor=self.desk, reason="A rumour", now=self.now, **scope)

    def resume(self) -> object:
        halt_id: UUID | None = (
            Halt.objects.filter(resumed_at=None).values_list("id", flat=True).first()
        )
        if halt_id is None:
            return None
        return orderly.resume_trading(
            actor=self.desk, halt_id=halt_id, reason="Denied", now=self.now
        )

    def _owner(self, pool: Pool) -> Actor:
        return self.by_id[pool.centre.provider_id]

    def _price(self) -> int:
        return to_micro(Decimal(self.dice.choice(PRICES[:-1])))


if __name__ == "__main__":
    kind, seed, calls, glass, place = sys.argv[1:]
    member = {"buyer": Buyer, "seller": Seller}[kind](seed)
    day = hourglass.go_by(glass)
    share = timedelta(days=1) / (int(calls) * len(day.grains))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if not sys.stdin.readline():
        sys.exit("nobody is there any more")
    counts = member.run(int(calls), lambda: day.pass_on(int(place), share))
    sys.stdout.write(json.dumps(counts) + "\n")
