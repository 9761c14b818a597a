"""Writes that meet: the same key at the same moment, the last owner, the same credit code."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

from django.db import connection

from accounts import services
from accounts.credit_code import made_up
from accounts.models import Membership, Organisation, User
from core.models import IdempotencyRecord
from tests import factories
from tests.api.client import Caller, register

MEMBER = {"email": "new@example.cn", "name": "New", "role": "viewer"}


def at_once(*calls):
    """Run the calls in threads that start together; their answers in order."""
    gate = threading.Barrier(len(calls))

    def run(call):
        gate.wait(10)
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def test_one_key_many_times_at_once_works_once(fresh_database):
    key = register().key
    for round_number in range(5):
        body = MEMBER | {"email": f"m{round_number}@example.cn"}
        answers = at_once(
            *[
                lambda body=body, n=round_number: Caller(key).post(
                    "/members", body, idempotency_key=f"round-{n}"
                )
            ]
            * 6
        )
        assert {a.status for a in answers} == {201}
        assert len({a.content for a in answers}) == 1
        assert sum("Idempotency-Replayed" in a.headers for a in answers) == 5
    assert Membership.objects.count() == 6
    assert IdempotencyRecord.objects.filter(key__startswith="round-").count() == 5


def test_the_second_works_where_the_first_is_rolled_back(fresh_database, monkeypatch):
    key = register().key
    entered, release = threading.Event(), threading.Event()
    real = services.add_member

    def fail_first(**facts):
        if not entered.is_set():
            entered.set()
            assert release.wait(10)
            raise RuntimeError("the first dies")
        return real(**facts)

    monkeypatch.setattr("api.v1.accounts.views.services.add_member", fail_first)

    def first():
        return Caller(key).post("/members", MEMBER, idempotency_key="k")

    def second():
        assert entered.wait(10)
        threading.Timer(0.5, release.set).start()
        # It waits on the unique index until the first has ended.
        return Caller(key).post("/members", MEMBER, idempotency_key="k")

    died, worked = at_once(first, second)
    assert died.status == 500
    assert worked.status == 201
    assert "Idempotency-Replayed" not in worked.headers
    assert User.objects.filter(email=MEMBER["email"]).count() == 1


def test_two_owners_cannot_remove_each_other(fresh_database):
    party = register()
    other = party.caller.post("/members", MEMBER | {"role": "owner"}).json
    first = party.caller.get("/members").json["results"][-1]
    # A key without a holder, so that removing the person does not revoke the key in use.
    key = party.key
    answers = at_once(
        lambda: Caller(key).send("PATCH", f"/members/{first['id']}", {"role": "viewer"}),
        lambda: Caller(key).send("PATCH", f"/members/{other['id']}", {"role": "viewer"}),
    )
    assert sorted(a.status for a in answers) == [200, 409]
    assert Membership.objects.filter(role="owner").count() == 1


def test_one_credit_code_registered_at_once(fresh_database):
    code = made_up(7)
    factories.region("zhengzhou")

    def firm(number):
        return {
            "name": f"firm {number}",
            "credit_code": code,
            "kinds": ["buyer"],
            "region_code": "zhengzhou",
            "owner_email": f"o{number}@example.cn",
            "owner_name": "O",
        }

    answers = at_once(*[lambda n=n: Caller().post("/registrations", firm(n)) for n in range(5)])
    assert sorted(a.status for a in answers) == [201, 409, 409, 409, 409]
    assert Organisation.objects.count() == User.objects.count() == Membership.objects.count() == 1


def test_decisions_at_once_are_taken_once(fresh_database):
    from tests.api.client import operator_staff

    key = operator_staff()["market"].key
    party = register(verified=False)
    party.caller.post("/organisation/submit", {})
    path = f"/organisations/{party.organisation.id}"
    answers = at_once(
        *[lambda: Caller(key).post(f"{path}/verify", {})] * 3,
        *[lambda: Caller(key).post(f"{path}/refuse", {"reason": "x"})] * 3,
    )
    assert sorted(a.status for a in answers) == [200, 409, 409, 409, 409, 409]
    assert uuid.UUID(str(party.organisation.id))
