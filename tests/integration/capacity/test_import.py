"""The bulk import: one act, all of it or nothing, every bad row named."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.errors import ScopeMissing
from accounts.models import AuditRow
from api.v1.capacity.offers_of_import import create_offers_for
from exchange.capacity.errors import CapacityFileRefused
from exchange.capacity.import_rows import read_csv, read_json
from exchange.capacity.importing import ImportResult, import_capacity
from exchange.capacity.models import BookEvent, Centre, Pool
from exchange.market.models import Offer
from tests.integration.capacity.builders import (
    NOW,
    NPU,
    actor_for,
    centre,
    organisation,
    pool,
    provider,
)

pytestmark = pytest.mark.usefixtures("reference")


def a_centre(number: int = 1, **changes) -> dict:
    row = {
        "code": f"c{number}",
        "name": f"Centre {number}",
        "region": "luoyang",
        "standard_racks": 50,
        "pue": "1.25",
        "green_share": "0.5",
    }
    return row | changes


def a_pool(number: int = 1, **changes) -> dict:
    return {"centre": "c1", "code": f"p{number}", "grade": NPU, "units": 8} | changes


def an_offer(number: int = 1, **changes) -> dict:
    row = {
        "centre": "c1",
        "pool": f"p{number}",
        "units": 8,
        "start_at": "2026-11-23T03:00:00Z",
        "end_at": "2026-11-26T03:00:00Z",
        "prices": ["5.100000"],
        "max_duration_slots": 24,
    }
    return row | changes


def bring_in(actor, body) -> ImportResult:
    file = read_csv(body) if isinstance(body, str) else read_json(body)
    create = create_offers_for(actor, NOW)
    return import_capacity(actor=actor, file=file, create_offers=create, now=NOW)


def refused(actor, body) -> list[tuple[str, int, str]]:
    """Which (kind, row, field) the refusal names; that nothing was stored is asserted here."""
    before = [model.objects.count() for model in (Centre, Pool, Offer, BookEvent, AuditRow)]
    with pytest.raises(CapacityFileRefused) as error:
        bring_in(actor, body)
    after = [model.objects.count() for model in (Centre, Pool, Offer, BookEvent, AuditRow)]
    assert after == before
    named = error.value.as_problem()["errors"]
    assert all(bad["rule"] and bad["mend"] for bad in named)
    return [(bad["kind"], bad["row"], bad["field"].split(".", 2)[-1]) for bad in named]


def test_a_file_of_all_three():
    actor = provider()
    result = bring_in(
        actor,
        {
            "centres": [a_centre(1), a_centre(2)],
            "pools": [a_pool(1), a_pool(2, centre="c2")],
            "offers": [an_offer(1), an_offer(2, centre="c2", prices=["4.00"] * 24)],
        },
    )
    assert result == ImportResult(centres=2, pools=2, offers=2)
    assert set(Centre.objects.values_list("code", "provider_id")) == {
        ("c1", actor.organisation_id),
        ("c2", actor.organisation_id),
    }
    offered = Offer.objects.get(pool__code="p2")
    assert (offered.pool.centre.code, offered.state, len(offered.prices)) == ("c2", "pending", 24)
    kinds = list(BookEvent.objects.order_by("id").values_list("kind", flat=True))
    assert kinds == ["pool_changed"] * 2 + ["offer_entered"] * 2
    assert AuditRow.objects.filter(organisation_id=actor.organisation_id).count() == 6


def test_rows_may_refer_to_what_is_registered():
    actor = provider()
    pool(actor, centre(actor), "old")
    result = bring_in(actor, {"pools": [a_pool(2)], "offers": [an_offer(2), an_offer(pool="old")]})
    assert result == ImportResult(centres=0, pools=1, offers=2)


@pytest.mark.parametrize("as_csv", [False, True])
def test_one_bad_row_among_two_thousand(as_csv):
    actor = provider()
    pools = [a_pool(number) for number in range(2_000)]
    pools[1_233] |= {"grade": "intelligent.abacus.1"}
    if as_csv:
        lines = ["kind,centre,code,grade,units,name,region,standard_racks,pue,green_share"]
        lines += ["centre,,c1,,,One,luoyang,50,1.25,0.5"]
        lines += [f"pool,c1,{p['code']},{p['grade']},{p['units']},,,,," for p in pools]
        assert refused(actor, "\n".join(lines)) == [("pool", 1_236, "grade")]
    else:
        body = {"centres": [a_centre()], "pools": pools}
        assert refused(actor, body) == [("pool", 1_234, "grade")]


def test_every_bad_row_is_named_at_once():
    actor, other = provider(), provider()
    pool(other, centre(other, "theirs"), "p1")
    pool(actor, centre(actor, "mine"), "taken")
    named = refused(
        actor,
        {
            "centres": [
                a_centre(1),
                a_centre(2, region="henan", pue="0.5"),
                a_centre(1),
                a_centre(code="mine"),
                a_centre(3, racks=9),
            ],
            "pools": [
                a_pool(1),
                a_pool(1),
                a_pool(2, units=0),
                a_pool(3, centre="nowhere"),
                a_pool(4, centre="theirs"),
                a_pool(5, centre="c2"),  # its centre is bad, which is said there
                a_pool(code="taken", centre="mine"),
                {"centre": "c1"},
            ],
            "offers": [
                an_offer(1),
                an_offer(1, units=9),
                an_offer(9),
                an_offer(5, centre="c2"),
                an_offer(1, prices=["free"]),
                an_offer(1, is_reclaimable=True),
                an_offer(1, end_at="2020-01-01T00:00:00Z"),
            ],
        },
    )
    assert named == [
        ("centre", 2, "region"),
        ("centre", 2, "pue"),
        ("centre", 3, "code"),
        ("centre", 4, "code"),
        ("centre", 5, "racks"),
        ("pool", 2, "code"),
        ("pool", 3, "units"),
        ("pool", 4, "centre"),
        ("pool", 5, "centre"),
        ("pool", 7, "code"),
        ("pool", 8, "code"),
        ("pool", 8, "grade"),
        ("pool", 8, "units"),
        ("offer", 2, "units"),
        ("offer", 3, "pool"),
        ("offer", 5, "prices"),
        ("offer", 6, "reclaim_notice_seconds"),
        ("offer", 7, "end_at"),
    ]


def test_offers_need_their_scope():
    owner = organisation("provider")
    actor = actor_for(owner, scopes={"capacity:write"})
    with pytest.raises(ScopeMissing):
        bring_in(actor, {"centres": [a_centre()], "pools": [a_pool()], "offers": [an_offer()]})
    assert not Centre.objects.exists()
    assert bring_in(actor, {"centres": [a_centre()], "pools": [a_pool()]}).pools == 1


def test_statements_do_not_grow_with_rows():
    actor = provider()
    counts = []
    for start, rows in ((0, 10), (10, 500)):
        body = {
            "centres": [a_centre(start + 1)],
            "pools": [a_pool(start + n, centre=f"c{start + 1}") for n in range(rows)],
            "offers": [an_offer(start + n, centre=f"c{start + 1}") for n in range(rows)],
        }
        with CaptureQueriesContext(connection) as queries:
            bring_in(actor, body)
        counts.append(len(queries))
    assert counts[0] == counts[1]
