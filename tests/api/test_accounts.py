"""Organisations, members, keys and the audit chain over HTTP."""

from datetime import timedelta

import pytest

from accounts.credit_code import made_up
from accounts.models import ApiKey, AuditRow, Organisation, User
from core import clock
from core.models import OutboxEvent
from tests import factories
from tests.api.client import Caller, operator_staff, register

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _a_city():
    factories.region("zhengzhou")


FIRM = {
    "name": "郑州示例智能科技有限公司",
    "credit_code": made_up(424242),
    "kinds": ["buyer"],
    "region_code": "zhengzhou",
    "owner_email": "Li.Wei@example.cn",
    "owner_name": "Li Wei",
}


def test_from_registration_to_verification():
    staff = operator_staff()
    answer = Caller().post("/registrations", FIRM)
    assert answer.status == 201, answer.content
    assert answer.json["member_email"] == "li.wei@example.cn"
    organisation = answer.json["organisation"]
    assert organisation["verification"] == "draft"
    firm = Caller(answer.json["api_key"])
    path = f"/organisations/{organisation['id']}"

    # A draft cannot be decided upon.
    assert staff["market"].post(f"{path}/verify", {}).status == 409
    assert firm.send("PATCH", "/organisation", {"name": "新名"}).json["name"] == "新名"
    assert firm.post("/organisation/submit", {}).json["verification"] == "submitted"
    again = firm.post("/organisation/submit", {})
    assert again.status == 409
    assert again.json["allowed"] == ["refuse", "verify"]

    refused = staff["market"].post(f"{path}/refuse", {"reason": "The licence is not legible."})
    assert refused.json["verification_reason"] == "The licence is not legible."
    assert firm.post("/organisation/submit", {}).status == 200
    verified = staff["market"].post(f"{path}/verify", {}).json
    assert verified["verification"] == "verified"
    assert verified["verification_reason"] == ""
    assert verified["verified_at"].endswith("Z")

    # What was verified stays; contacts may change.
    assert firm.send("PATCH", "/organisation", {"name": "Other"}).status == 409
    changed = firm.send("PATCH", "/organisation", {"contact_phone": "+86 371 0000"})
    assert changed.json["contact_phone"] == "+86 371 0000"

    kinds = list(
        OutboxEvent.objects.filter(subject_id=organisation["id"])
        .order_by("id")
        .values_list("kind", flat=True)
    )
    assert kinds == [
        "organisation.registered",
        "organisation.submitted",
        "organisation.refused",
        "organisation.submitted",
        "organisation.verified",
    ]
    actions = [row["action"] for row in firm.get("/audit?limit=200").json["results"]]
    assert actions == [
        "organisation.update",
        "organisation.verify",
        "organisation.submit",
        "organisation.refuse",
        "organisation.submit",
        "organisation.update",
        "organisation.register",
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"credit_code": "91330100799655058A"}, "credit_code"),
        ({"credit_code": "91330100799655058"}, "credit_code"),
        ({"kinds": []}, "kinds"),
        ({"kinds": ["operator"]}, "kinds.0"),
        ({"kinds": "buyer"}, "kinds"),
        ({"owner_email": "nobody"}, "owner_email"),
        ({"owner_email": "x" * 300 + "@example.cn"}, "owner_email"),
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"region_code": ""}, "region_code"),
        ({"region_code": "atlantis"}, "region_code"),
        ({"verification": "verified"}, "verification"),
    ],
)
def test_a_registration_with_a_bad_value_leaves_nothing(change, field):
    answer = Caller().post("/registrations", FIRM | change)
    assert answer.status == 422, answer.content
    assert field in {bad["field"] for bad in answer.json["errors"]}
    assert Organisation.objects.count() == User.objects.count() == AuditRow.objects.count() == 0


def test_a_code_and_an_address_are_registered_once():
    assert Caller().post("/registrations", FIRM).status == 201
    answer = Caller().post("/registrations", FIRM | {"owner_email": "other@example.cn"})
    assert (answer.status, answer.json["type"]) == (409, "/problems/credit-code-taken")
    answer = Caller().post("/registrations", FIRM | {"credit_code": made_up(5)})
    assert (answer.status, answer.json["type"]) == (409, "/problems/email-taken")


def test_suspension():
    staff, party = operator_staff(), register()
    path = f"/organisations/{party.organisation.id}"
    assert staff["market"].post(f"{path}/suspend", {"reason": " "}).status == 422
    assert staff["market"].post(f"{path}/reinstate", {}).status == 409
    suspended = staff["market"].post(f"{path}/suspend", {"reason": "Unpaid."})
    assert suspended.json["suspended_reason"] == "Unpaid."
    assert staff["market"].post(f"{path}/suspend", {"reason": "Again."}).status == 409
    assert party.caller.get("/organisation").json["suspended"] is True
    assert staff["market"].post(f"{path}/reinstate", {}).json["suspended"] is False


def test_only_the_market_desk_decides():
    staff, party = operator_staff(), register(verified=False)
    party.caller.post("/organisation/submit", {})
    path = f"/organisations/{party.organisation.id}/verify"
    for post in ("clerk", "approver", "auditor"):
        assert staff[post].post(path, {}).json["type"] == "/problems/operator-role-missing"
    assert staff["market"].post(path, {}).status == 200
    assert staff["auditor"].get("/organisations?verification=verified&kind=buyer").status == 200
    assert party.caller.get("/organisations").status == 403


def test_the_auditor_reads_all_rows():
    staff, party = operator_staff(), register()
    rows = staff["auditor"].get(f"/audit?subject_id={party.organisation.id}").json["results"]
    assert [row["action"] for row in rows] == [
        "organisation.verify",
        "organisation.submit",
        "organisation.register",
    ]
    assert rows[0]["before"]["verification"] == "submitted"
    assert rows[0]["after"]["verification"] == "verified"


def test_members():
    party = register()
    add = {"email": "wang@example.cn", "name": "Wang", "role": "trader"}
    member = party.caller.post("/members", add).json
    assert member["role"] == "trader"
    assert party.caller.post("/members", add).json["type"] == "/problems/already-member"
    owner = party.caller.get("/members").json["results"][-1]
    for method, body in (("PATCH", {"role": "viewer"}), ("DELETE", None)):
        answer = party.caller.send(method, f"/members/{owner['id']}", body)
        assert (answer.status, answer.json["type"]) == (409, "/problems/last-owner")
    path = f"/members/{member['id']}"
    assert party.caller.send("PATCH", path, {"role": "owner"}).json["role"] == "owner"
    # Now the first owner may go, and with the person the key that the person answers for.
    assert party.caller.send("DELETE", f"/members/{owner['id']}").status == 204
    assert party.caller.get("/members").json["type"] == "/problems/key-revoked"


def test_the_life_of_a_key():
    party = register()
    answer = party.caller.post(
        "/api-keys",
        {"name": "bot", "scopes": ["organisation:read"], "expires_at": _in(hours=1)},
    )
    assert answer.status == 201, answer.content
    bot, row = Caller(answer.json["key"]), ApiKey.objects.get(id=answer.json["id"])
    assert answer.json["key"].encode() not in bytes(row.secret_sha256)
    assert bot.get("/organisation").status == 200
    row.refresh_from_db()
    assert row.last_used_at is not None
    listed = party.caller.get("/api-keys").json["results"]
    assert listed[0]["prefix"] == answer.json["prefix"]
    assert "key" not in listed[0]
    assert "secret" not in str(listed[0])

    wrong = Caller(answer.json["key"][:-1] + ("a" if answer.json["key"][-1] != "a" else "b"))
    assert wrong.get("/organisation").json["type"] == "/problems/key-unknown"
    ApiKey.objects.filter(id=row.id).update(
        created_at=clock.now() - timedelta(days=2), expires_at=clock.now() - timedelta(days=1)
    )
    expired = bot.get("/organisation")
    assert (expired.status, expired.json["type"]) == (401, "/problems/key-expired")
    assert expired.headers["WWW-Authenticate"].startswith("Bearer")
    assert party.caller.post(f"/api-keys/{row.id}/revoke", {}).json["revoked_at"]
    assert bot.get("/organisation").json["type"] == "/problems/key-revoked"
    assert party.caller.post(f"/api-keys/{row.id}/revoke", {}).status == 200


def _in(**time):
    return (clock.now() + timedelta(**time)).isoformat()


@pytest.mark.parametrize(
    ("header", "slug"),
    [
        ("", "key-missing"),
        ("Basic dTpw", "key-missing"),
        ("Bearer", "key-missing"),
        ("Bearer x", "key-unknown"),
        ("Bearer cx_abcdefgh_" + "x" * 43, "key-unknown"),
        ("Bearer cx_abcdefgh_" + "x" * 5000, "key-unknown"),
    ],
)
def test_headers_that_hold_no_key(header, slug):
    answer = Caller().get("/organisation", Authorization=header)
    assert (answer.status, answer.json["type"]) == (401, f"/problems/{slug}")


def test_a_key_gets_no_more_than_its_issuer_has():
    party = register()
    body = {"name": "small", "scopes": ["organisation:write", "orders:read"]}
    small = Caller(party.caller.post("/api-keys", body).json["key"])
    assert small.post("/api-keys", body | {"scopes": ["orders:write"]}).status == 403
    assert small.post("/api-keys", body | {"scopes": ["orders:read"]}).status == 201
    for roles in (["market"], ["settlement_approver"]):
        answer = party.caller.post("/api-keys", body | {"operator_roles": roles})
        assert answer.status == 403, answer.content
    assert party.caller.post("/api-keys", body | {"scopes": ["everything"]}).status == 422
    assert party.caller.post("/api-keys", body | {"expires_at": _in(hours=-1)}).status == 422
    assert party.caller.post("/api-keys", body | {"expires_at": "2030-01-01T00:00"}).status == 422


def test_a_request_costs_one_query_for_its_key(django_assert_num_queries):
    party = register()
    party.caller.get("/organisation")  # notes that the key was used
    with django_assert_num_queries(2):  # the key with its organisation; the answer
        party.caller.get("/organisation")


def test_bootstrap_is_idempotent():
    first = operator_staff()
    assert operator_staff() == {}, "no new keys"
    assert Organisation.objects.filter(kinds__contains=["operator"]).count() == 1
    assert first["market"].get("/organisations").status == 200


def test_secrets_of_the_operator_may_come_from_the_environment(monkeypatch):
    given = "cx_aaaabbbb_" + "s" * 43
    monkeypatch.setenv("OPERATOR_MARKET_KEY", given)
    monkeypatch.setenv("OPERATOR_CLERK_PASSWORD", "a pass phrase")
    operator_staff()
    assert Caller(given).get("/organisations").status == 200
    assert User.objects.get(email="clerk@operator.example").check_password("a pass phrase")
