"""The console's pages: who may open them, what they say, and how many queries that takes."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.core.cache import cache
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.models import AuditRow, Membership, OperatorRole, Organisation
from billing.settlement.models import SettlementBatch
from console.access import CONTENT_SECURITY_POLICY
from console.views.session import MAX_FAILURES
from tests.integration import console_scene, console_scene_money
from tests.integration.console_scene import PASSWORD, Scene, as_

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch, empty_cache: None) -> None:
    monkeypatch.setattr("core.clock.now", lambda: NOW)


@pytest.fixture
def scene() -> Scene:
    made = console_scene.build(now=NOW)
    console_scene_money.draft(made, NOW)
    return made


def pages(scene: Scene) -> dict[str, str]:
    """Every page that can be opened, by a name for the test's output."""
    batch, charge = scene.batch, scene.charges[0]
    trade = scene.trades[0]
    named = {
        "today": reverse("console:today"),
        "periods": reverse("console:periods"),
        "batch": reverse("console:batch", args=[batch.id]),
        "payout": reverse("console:payout", args=[batch.payouts.first().id]),
        "market": reverse("console:market"),
        "organisations": reverse("console:organisations"),
        "all organisations": reverse("console:organisations") + "?verification=all",
        "ledger": reverse("console:ledger"),
        "audit": reverse("console:audit"),
        "search": reverse("console:search") + "?q=" + str(trade.id),
    }
    for kind in ("clearing", "payout", "commission", "tax"):
        one = batch.obligations.filter(kind=kind).order_by("-line_count", "id").first()
        named[f"obligation {kind}"] = reverse("console:obligation", args=[one.id])
    things = {
        "order": trade.order_id,
        "trade": trade.id,
        "lease": trade.id,
        "usage": charge.usage_record_id,
        "charge": charge.id,
        "transfer": charge.id,
        "offer": trade.offer_id,
        "pool": trade.pool_id,
        "centre": trade.pool.centre_id,
        "organisation": charge.seller_id,
    }
    for kind, thing_id in things.items():
        named[f"thing {kind}"] = reverse("console:thing", args=[kind, thing_id])
    return named


def test_every_page_opens_for_staff_in_both_languages(scene: Scene) -> None:
    for language, word in (("en", "Settlement"), ("zh-hans", "结算")):
        client = as_(scene, "auditor", language)
        for name, url in pages(scene).items():
            response = client.get(url)
            assert response.status_code == 200, name
            assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
            assert response.headers["Cache-Control"] == "no-store"
            body = response.content.decode()
            assert word in body, name
            assert f'<html lang="{language}">' in body
            assert "<script" not in body, name
            assert not re.search(r"\sstyle=|\son[a-z]+=|https?://(?!www\.w3\.org)", body), name


def test_nobody_without_an_operator_role_opens_a_page(scene: Scene) -> None:
    stranger = console_scene.outsider(scene, NOW)
    member = Client()
    member.force_login(stranger)
    for name, url in pages(scene).items():
        assert member.get(url).status_code == 403, name
        refused = Client().get(url)
        assert refused.status_code == 302, name
        assert refused.url.startswith("/console/login/?next=/console/"), name


def test_nobody_without_an_operator_role_does_anything(scene: Scene) -> None:
    stranger = console_scene.outsider(scene, NOW)
    member = Client()
    member.force_login(stranger)
    waiting = Organisation.objects.filter(verification="submitted").first()
    before = AuditRow.objects.count()
    for name, args in (
        ("cut-off", []),
        ("draft", [scene.period.id]),
        ("submit", [scene.batch.id]),
        ("approve", [scene.batch.id]),
        ("reject", [scene.batch.id]),
        ("halt", []),
        ("resume", [waiting.id]),
        ("book-rules", ["intelligent"]),
        ("verify", [waiting.id]),
        ("refuse", [waiting.id]),
    ):
        url = reverse(f"console:{name}", args=args)
        assert member.post(url, {"reason": "x"}).status_code == 403, name
        assert Client().post(url, {"reason": "x"}).status_code == 302, name
    scene.batch.refresh_from_db()
    waiting.refresh_from_db()
    assert scene.batch.state == "draft"
    assert waiting.verification == "submitted"
    assert AuditRow.objects.count() == before


def test_a_post_without_the_token_is_refused(scene: Scene) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(scene.people["clerk"])
    assert client.post(reverse("console:submit", args=[scene.batch.id])).status_code == 403
    scene.batch.refresh_from_db()
    assert scene.batch.state == "draft"


def test_the_number_of_queries_does_not_grow() -> None:
    assert _counted_with(cities=4, buyers=3, orders=9) == _counted_with(
        cities=12, buyers=15, orders=90
    )


def _counted_with(**size: int) -> dict[str, int]:
    """The queries of each page on a scene of this size, which is gone afterwards."""
    with transaction.atomic():
        made = console_scene.build(now=NOW, **size)
        console_scene_money.draft(made, NOW)
        counts = _counted(made)
        transaction.set_rollback(True)
    return counts


def _counted(scene: Scene) -> dict[str, int]:
    client = as_(scene, "auditor")
    counts = {}
    for name, url in pages(scene).items():
        with CaptureQueriesContext(connection) as queries:
            assert client.get(url).status_code == 200
        counts[name] = len(queries)
    return counts


def test_login_by_e_mail_and_password(scene: Scene) -> None:
    client = Client()
    url = reverse("console:login")
    assert client.get(url).status_code == 200
    wrong = client.post(url, {"username": "clerk@operator.example", "password": "no"})
    assert wrong.status_code == 200
    assert not client.session.get("_auth_user_id")
    right = client.post(url, {"username": "Clerk@Operator.example ", "password": PASSWORD})
    assert right.status_code == 302
    assert right.url == "/console/"
    assert client.get("/console/").status_code == 200
    assert client.post(reverse("console:logout")).status_code == 302
    assert client.get("/console/").status_code == 302


def test_login_tells_a_provider_that_the_console_is_not_for_them(scene: Scene) -> None:
    console_scene.outsider(scene, NOW)
    client = Client(headers={"Accept-Language": "en"})
    answer = client.post(
        reverse("console:login"), {"username": "trader@provider.example", "password": PASSWORD}
    )
    assert "no operator role" in answer.content.decode()
    assert not client.session.get("_auth_user_id")


def test_who_is_of_the_operator_and_of_another_acts_for_the_operator(scene: Scene) -> None:
    clerk = scene.people["clerk"]
    own = clerk.memberships.get()
    own.delete()
    for organisation, role in ((scene.providers[0], "owner"), (scene.operator, "viewer")):
        Membership.objects.create(user=clerk, organisation=organisation, role=role, created_at=NOW)
    assert as_(scene, "clerk").get("/console/").status_code == 200
    clerk.operator_roles.all().delete()
    assert as_(scene, "clerk").get("/console/").status_code == 403


def test_a_suspended_operator_is_locked_out(scene: Scene) -> None:
    Organisation.objects.filter(pk=scene.operator.pk).update(
        suspended=True, suspended_reason="for the test"
    )
    assert as_(scene, "clerk").get("/console/").status_code == 403


def test_guessing_a_password_is_slowed_down(scene: Scene) -> None:
    client = Client(headers={"Accept-Language": "en"})
    url = reverse("console:login")
    failures = "console-login:clerk@operator.example"
    for attempt in (1, 2):
        client.post(url, {"username": "CLERK@operator.example", "password": "guess"})
        assert cache.get(failures) == attempt
    cache.set(failures, MAX_FAILURES)
    answer = client.post(url, {"username": "clerk@operator.example", "password": PASSWORD})
    assert "Too many attempts" in answer.content.decode()
    assert not client.session.get("_auth_user_id")


def test_the_language_is_kept(scene: Scene) -> None:
    client = as_(scene, "clerk")
    answer = client.post(
        reverse("console:language"), {"language": "zh-hans", "next": "/console/ledger/"}
    )
    assert answer.url == "/console/ledger/"
    assert "试算平衡表" in client.get("/console/ledger/").content.decode()


@pytest.mark.parametrize("kind", ["order", "trade", "charge", "nonsense"])
def test_an_unknown_thing_is_not_found(scene: Scene, kind: str) -> None:
    client = as_(scene, "auditor")
    unknown = reverse("console:thing", args=[kind, "01900000-0000-7000-8000-000000000000"])
    answer = client.get(unknown)
    assert answer.status_code == 404
    assert "No such thing" in answer.content.decode()


def test_search_leads_to_the_thing(scene: Scene) -> None:
    client = as_(scene, "auditor")
    charge, batch = scene.charges[0], scene.batch
    for term, url in {
        str(scene.orders[0].id): reverse("console:thing", args=["order", scene.orders[0].id]),
        scene.orders[1].client_reference: reverse(
            "console:thing", args=["order", scene.orders[1].id]
        ),
        str(charge.usage_record_id).upper(): reverse(
            "console:thing", args=["usage", charge.usage_record_id]
        ),
        batch.id.hex: reverse("console:batch", args=[batch.id]),
        batch.payouts.first().end_to_end_id: reverse(
            "console:payout", args=[batch.payouts.first().id]
        ),
        scene.buyers[0].credit_code: reverse(
            "console:thing", args=["organisation", scene.buyers[0].id]
        ),
    }.items():
        assert client.get(reverse("console:search"), {"q": f" {term} "}).url == url
    # A trade and its lease share an id, as a charge and its transfer do: both are offered.
    both = client.get(reverse("console:search"), {"q": str(charge.id)}).content.decode()
    assert reverse("console:thing", args=["charge", charge.id]) in both
    assert reverse("console:thing", args=["transfer", charge.id]) in both


@pytest.mark.parametrize(
    "term", ["", "zz", "%", "'; DROP TABLE x", "0" * 500, "\x00", "00000000", "<script>"]
)
def test_search_survives_any_term(scene: Scene, term: str) -> None:
    answer = as_(scene, "auditor").get(reverse("console:search"), {"q": term})
    assert answer.status_code == 200
    assert "<script>" not in answer.content.decode()


def test_a_figure_is_the_sum_of_the_lines_behind_it(scene: Scene) -> None:
    """Each obligation and payout leads to lines that add up to it, to the smallest unit."""
    client = as_(scene, "auditor")
    for one in scene.batch.obligations.all():
        context = client.get(reverse("console:obligation", args=[one.id])).context
        assert context["sums"].total_micro == one.amount_micro
        assert context["sums"].count == one.line_count
        assert context["before_micro"] == 0
    for payout in scene.batch.payouts.all():
        context = client.get(reverse("console:payout", args=[payout.id])).context
        assert context["sums"].total_micro == payout.owed_micro


def test_netting_leaves_each_region_where_it_was(scene: Scene) -> None:
    content = as_(scene, "auditor").get(pages(scene)["batch"]).context["content"]
    assert content.regions
    assert all(one.is_unchanged for one in content.regions)
    assert sum(one.net_micro for one in content.regions) == 0
    assert content.netted_micro <= content.gross_micro


def test_the_trial_balance_balances_by_region(scene: Scene) -> None:
    trial = as_(scene, "auditor").get(reverse("console:ledger")).context["trial"]
    assert trial.balances
    assert trial.total_micro == 0
    assert {one.region_code for one in trial.books} >= {b.region_code for b in scene.buyers}
    assert trial.mirrors


def test_today_counts_what_there_is(scene: Scene) -> None:
    context = as_(scene, "auditor").get(reverse("console:today")).context
    market = context["market"]
    assert market.orders == len(scene.orders)
    assert market.trades == len(scene.trades)
    assert market.volume_micro == sum(t.compute_micro + t.transport_micro for t in scene.trades)
    assert sum(hour.amount_micro for hour in market.hours) == market.volume_micro
    assert context["leases_live"] == sum(1 for one in scene.leases if one.state == "active")
    waits = {one.href: one.count for one in context["waiting"]}
    assert waits[reverse("console:organisations")] == 2
    assert waits[reverse("console:periods")] == 1


def test_utilisation_is_what_was_sold_of_what_there_is(scene: Scene) -> None:
    used = as_(scene, "auditor").get(reverse("console:today")).context["utilisation"]
    first, last = 16 + 0, 16 + 17  # slots from Shanghai's midnight (16:00 UTC) to the present hour
    start = int(datetime(2026, 11, 22, tzinfo=UTC).timestamp()) // 3600
    slots = range(start + first, start + last + 1)
    for cls, total in zip(used.classes, used.totals, strict=True):
        pools = {p.id: p for p in scene.pools if p.grade.resource_class == cls}
        sold = sum(
            t.units
            for t in scene.trades
            for slot in slots
            if t.pool_id in pools and t.start_slot <= slot < t.end_slot
        )
        assert total.sold == sold
        assert total.capacity == sum(p.units for p in pools.values()) * len(slots)


def test_organisations_are_verified_and_refused_by_the_market_role_only(scene: Scene) -> None:
    one, other = Organisation.objects.filter(verification="submitted").order_by("id")
    clerk = as_(scene, "clerk")
    refused = clerk.post(reverse("console:verify", args=[one.id]), follow=True)
    assert "Your role may not do this." in refused.content.decode()
    market = as_(scene, "market")
    assert "Verify" in market.get(reverse("console:organisations")).content.decode()
    market.post(reverse("console:verify", args=[one.id]))
    no_reason = market.post(
        reverse("console:refuse", args=[other.id]), {"reason": " "}, follow=True
    )
    assert "A value breaks a rule." in no_reason.content.decode()
    market.post(reverse("console:refuse", args=[other.id]), {"reason": "名称与信用代码不符"})
    one.refresh_from_db()
    other.refresh_from_db()
    assert one.verification == "verified"
    assert (other.verification, other.verification_reason) == ("refused", "名称与信用代码不符")
    acts = AuditRow.objects.filter(subject_id__in=[str(one.id), str(other.id)]).order_by("id")
    assert [row.actor_label for row in acts] == ["market@operator.example"] * 2


def test_what_a_service_refuses_is_said_in_words(scene: Scene) -> None:
    """Only the clerk submits; only from a draft; the file only after the approval."""
    submit = reverse("console:submit", args=[scene.batch.id])
    answer = as_(scene, "auditor").post(submit, follow=True)
    assert "Your role may not do this." in answer.content.decode()
    answer = as_(scene, "auditor", "zh-hans").post(submit, follow=True)
    assert "您的角色不能进行此操作。" in answer.content.decode()
    url = reverse("console:payout-file", args=[scene.batch.id])
    answer = as_(scene, "clerk").get(url, follow=True)
    assert "The batch is not approved." in answer.content.decode()


def test_a_batch_is_submitted_refused_to_its_submitter_and_rejected(scene: Scene) -> None:
    """The confirmation carries the hash; another hash, or the same person, is refused."""
    clerk, approver = as_(scene, "clerk"), as_(scene, "approver")
    OperatorRole.objects.create(
        user=scene.people["clerk"], role="settlement_approver", created_at=NOW
    )
    page = reverse("console:batch", args=[scene.batch.id])
    confirm = reverse("console:approve", args=[scene.batch.id])
    assert approver.get(confirm).url == page  # a draft is not approved
    batch = clerk.post(reverse("console:draft", args=[scene.period.id])).url
    drawn = SettlementBatch.objects.get(state="draft")
    assert batch == reverse("console:batch", args=[drawn.id])
    assert SettlementBatch.objects.get(pk=scene.batch.pk).state == "rejected"
    clerk.post(reverse("console:submit", args=[drawn.id]))
    confirm = reverse("console:approve", args=[drawn.id])
    assert as_(scene, "auditor").get(confirm).url == batch
    assert drawn.content_hash in clerk.get(confirm).content.decode()
    refused = clerk.post(confirm, {"content_hash": drawn.content_hash}, follow=True)
    assert "Another person must do this." in refused.content.decode()
    other = approver.post(confirm, {"content_hash": "0" * 64}, follow=True)
    assert "The content is not what the hash says." in other.content.decode()
    drawn.refresh_from_db()
    assert (drawn.state, drawn.approved_by) == ("submitted", None)
    reject = reverse("console:reject", args=[drawn.id])
    assert approver.get(reject).status_code == 200
    silent = approver.post(reject, {"reason": ""}, follow=True)
    assert "A value breaks a rule." in silent.content.decode()
    approver.post(reject, {"reason": "the payout of 云川 is disputed"})
    drawn.refresh_from_db()
    assert (drawn.state, drawn.state_reason) == ("rejected", "the payout of 云川 is disputed")
    assert "is disputed" in clerk.get(batch).content.decode()


def test_the_audit_page_pages_and_filters(scene: Scene) -> None:
    AuditRow.objects.bulk_create(
        AuditRow(
            recorded_at=NOW,
            actor_kind="person",
            actor_label=f"p{n % 2}@operator.example",
            action="settlement.submit" if n % 2 else "organisation.verify",
            subject_kind="thing",
            subject_id=str(n),
            after={"n": n},
        )
        for n in range(120)
    )
    client, url = as_(scene, "auditor"), reverse("console:audit")
    seen: list[int] = []
    query = ""
    while True:
        page = client.get(f"{url}?{query}").context["page"]
        seen += [row.id for row in page.rows]
        query = page.next_query
        if not query:
            break
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == len(set(seen)) == AuditRow.objects.count()
    some = client.get(url, {"action": "settlement.", "actor": "p1@operator.example"})
    assert {row.action for row in some.context["page"].rows} == {"settlement.submit"}
    assert client.get(url, {"before": "nonsense"}).status_code == 200
