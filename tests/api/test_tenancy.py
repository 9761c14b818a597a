"""Every endpoint × a stranger: nobody, somebody else, and somebody without the right.

The list of endpoints is read from the URL configuration. An address with an id answers a stranger
404 (or 403 where only the operator may ask); without a key everything but the public answers 401.
"""

import pytest

from exchange.scheduling import services as scheduling
from exchange.scheduling.models import Lease
from tests import factories
from tests.api.client import Caller, register
from tests.api.routes import routes

pytestmark = pytest.mark.django_db

ROUTES = [(method, route) for route in routes() for method in sorted(route.methods)]
IDS = [f"{method} {route.path}" for method, route in ROUTES]

# Reference and market data that every member may read: an id there belongs to nobody.
SHARED = {"regions", "links", "device-models", "grades", "market", "books", "price-rules", "prices"}
SHARED |= {"auctions"}


@pytest.mark.parametrize(("method", "route"), ROUTES, ids=IDS)
def test_without_a_key(method, route):
    answer = Caller().send(method, route.concrete(), {} if method != "GET" else None)
    if route.view.public:
        assert answer.status in (200, 422)
    else:
        assert answer.status == 401, answer.content
        assert answer.json["type"] == "/problems/key-missing"


@pytest.mark.parametrize(("method", "route"), ROUTES, ids=IDS)
def test_with_a_key_that_carries_no_scope(method, route):
    if route.view.public:
        pytest.skip("public")
    party = register()
    key = party.caller.post("/api-keys", {"name": "bare", "scopes": []}).json["key"]
    answer = Caller(key).send(method, route.concrete(), {} if method != "GET" else None)
    open_to_any_key = not (
        route.view.scope or route.view.operator_roles or route.view.action_scopes
    )
    if open_to_any_key:
        assert answer.status < 500
    else:
        assert answer.status == 403, answer.content


@pytest.mark.parametrize(
    ("method", "route"),
    [(m, r) for m, r in ROUTES if "<" in r.path],
    ids=[i for i, (m, r) in zip(IDS, ROUTES, strict=True) if "<" in r.path],
)
def test_an_id_that_is_not_ones_own(method, route):
    """An id that exists for nobody must look just like another's."""
    if SHARED & set(route.path.split("/")):
        pytest.skip("shared by all")
    party = register("buyer", "provider", "carrier")
    answer = party.caller.send(method, route.concrete(), {} if method != "GET" else None)
    # A bad body or query may be told before the id is looked up; it tells nothing of the id.
    expected = (403, 404, 422)
    assert answer.status in expected, answer.content


@pytest.fixture
def anothers():
    """A provider and a buyer with one of each thing, by the names of the addresses' parameters."""
    provider, buyer = register("provider"), register("buyer")
    for party in (provider, buyer):
        factories.region(party.organisation.region_code)
    traded = factories.trade(buyer.organisation, provider.organisation, held=False)
    scheduling.pull_leases(now=factories.START)
    auction = factories.auction()
    entered = {
        side: factories.auction_entry(auction, party.organisation, traded.pool, side)
        for side, party in (("buy", buyer), ("sell", provider))
    }
    return {
        "auction_order_id": entered["buy"].id,
        "auction_offer_id": entered["sell"].id,
        "organisation_id": provider.organisation.id,
        "member_id": provider.organisation.memberships.get().id,
        "key_id": provider.organisation.api_keys.get().id,
        "centre_id": traded.pool.centre_id,
        "pool_id": traded.pool_id,
        "offer_id": traded.offer_id,
        "order_id": traded.order_id,
        "trade_id": traded.id,
        "lease_id": Lease.objects.get().pk,
    }, (provider, buyer)


# Bodies that would be taken from the right party, so that the id is what is judged.
BODIES = {
    "heartbeat": {},
    "transitions": {"event": "activate"},
    "access": {"details": {"host": "10.0.0.1"}},
}


def test_what_belongs_to_another_looks_like_nothing(anothers):
    """Real ids of one party, asked for by a third with every kind, scope and verification."""
    ids, owners = anothers
    values = {name: str(value) for name, value in ids.items()}
    stranger = register("buyer", "provider", "carrier")
    asked = 0
    for method, route in ROUTES:
        if not any(f":{name}>" in route.path for name in values):
            continue
        path = route.concrete(**values)
        body = BODIES.get(path.rsplit("/", 1)[-1], {}) if method != "GET" else None
        answer = stranger.caller.send(method, path, body)
        assert answer.status in (403, 404, 422), (method, path, answer.content)
        if answer.status == 404:
            nothing = stranger.caller.send(method, route.concrete(), body)
            told = {k: answer.json[k] for k in ("type", "title", "status")}
            assert told == {k: nothing.json[k] for k in told}, "the two can be told apart"
        assert method != "GET" or answer.status == 404 or "from" in str(answer.content), path
        asked += 1
    assert asked >= 25
    reached = 0
    for method, route in ROUTES:
        if method == "GET" and any(f":{name}>" in route.path for name in values):
            path = route.concrete(**values)
            reached += any(owner.caller.get(path).status == 200 for owner in owners)
    assert reached >= 6, "the owners themselves reach these addresses"


def test_lists_show_a_stranger_nothing(anothers):
    ids, _ = anothers
    stranger = register("buyer", "provider", "carrier")
    # The tape of trades is public; it names trades (and a lease has its trade's id), never parties.
    secret = {str(v) for name, v in ids.items() if name not in ("trade_id", "lease_id")}
    for method, route in ROUTES:
        if method != "GET" or "<" in route.path or route.path.endswith("/stream"):
            continue
        content = stranger.caller.get(route.path).content.decode()
        found = {value for value in secret if value in content}
        # Offered capacity is public: pools and centres may be searched by every member.
        if route.path == "/api/v1/capacity":
            found -= {str(ids["pool_id"]), str(ids["centre_id"]), str(ids["organisation_id"])}
        assert not found, (route.path, found)


def test_another_organisation_is_not_found():
    one, two = register(), register()
    path = f"/organisations/{two.organisation.id}"
    assert one.caller.get(path).status == 404
    assert two.caller.get(path).status == 200
    for verb, body in (("verify", {}), ("suspend", {"reason": "x"}), ("reinstate", {})):
        assert one.caller.post(f"{path}/{verb}", body).status == 403
    two.organisation.refresh_from_db()
    assert not two.organisation.suspended


def test_members_and_keys_of_another_are_not_found():
    one, two = register(), register()
    member = two.caller.get("/members").json["results"][0]
    key = two.caller.get("/api-keys").json["results"][0]
    assert one.caller.send("PATCH", f"/members/{member['id']}", {"role": "viewer"}).status == 404
    assert one.caller.send("DELETE", f"/members/{member['id']}").status == 404
    assert one.caller.post(f"/api-keys/{key['id']}/revoke", {}).status == 404
    assert two.caller.get("/organisation").status == 200
    assert [m["id"] for m in one.caller.get("/members").json["results"]] != [member["id"]]


def test_the_audit_rows_of_another_are_not_shown():
    one, two = register(), register()
    rows = one.caller.get("/audit?limit=200").json["results"]
    assert rows
    assert {row["organisation_id"] for row in rows} == {str(one.organisation.id)}
    assert two.caller.get(f"/audit?subject_id={one.organisation.id}").json["results"] == []
