"""Every endpoint × a stranger: nobody, somebody else, and somebody without the right.

The list of endpoints is read from the URL configuration. An address with an id answers a stranger
404 (or 403 where only the operator may ask); without a key everything but the public answers 401.
"""

import pytest

from tests.api.client import Caller, register
from tests.api.routes import routes

pytestmark = pytest.mark.django_db

ROUTES = [(method, route) for route in routes() for method in sorted(route.methods)]
IDS = [f"{method} {route.path}" for method, route in ROUTES]

# Reference and market data that every member may read: an id there belongs to nobody.
SHARED = {"regions", "links", "device-models", "grades", "market", "books", "price-rules", "prices"}


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
