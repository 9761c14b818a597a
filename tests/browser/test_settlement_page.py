"""A day is settled in a real browser: drawn up, submitted, approved by another, paid."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.servers]

Person = Callable[..., Page]
_HASH = re.compile(r"^[0-9a-f]{64}$")


def test_a_day_is_settled_by_two_people(person: Person) -> None:
    clerk = person("clerk")
    expect(clerk).to_have_url(re.compile(r"/console/$"))
    clerk.click("nav >> text=Settlement")
    clerk.get_by_role("button", name="Cut off").click()
    expect(clerk.locator(".messages .success")).to_contain_text("cut off")
    clerk.click("text=Draw up the batch")
    expect(clerk.locator("h1 .state")).to_have_text("Draft")
    address = clerk.url
    content_hash = clerk.locator(".whole-hash").inner_text()
    assert _HASH.match(content_hash)
    _look_at_the_batch(clerk)
    _follow_a_figure_to_its_order(clerk, address)

    clerk.goto(address)
    clerk.get_by_role("button", name="Submit", exact=True).click()
    expect(clerk.locator("h1 .state")).to_have_text("Submitted")
    # The clerk holds the approver's role too, and is refused all the same.
    expect(clerk.locator(".note")).to_contain_text("another person must approve it")
    clerk.click("text=Approve …")
    clerk.click("text=Approve exactly this content")
    expect(clerk.locator(".messages .error")).to_contain_text("Another person must do this.")
    expect(clerk.locator("h1 .state")).to_have_text("Submitted")

    approver = person("approver")
    approver.click("text=1 batch waits for approval")
    approver.locator("a.batch").first.click()
    assert approver.url == address
    approver.click("text=Approve …")
    assert approver.locator(".whole-hash").inner_text() == content_hash
    approver.click("text=Approve exactly this content")
    expect(approver.locator(".messages .success")).to_contain_text("Approved.")
    _wait_until_settled(approver)
    _take_the_file(approver)


def _look_at_the_batch(page: Page) -> None:
    """The table and the flow chart say the same; what came in is what goes out and is kept."""
    charged, paid_out, kept = page.locator(".equation .big data").evaluate_all(
        "all => all.map(one => parseInt(one.value))"
    )
    assert charged > 0
    assert charged == paid_out + kept
    ribbons = page.locator("figure.flow").first.locator(".ribbons path")
    assert ribbons.count() == page.locator("#clearing tbody tr").count()
    names = set(page.locator("figure.flow .party .name").all_text_contents())
    assert names <= set(page.locator("#regions tbody th").all_inner_texts())
    assert page.locator("script").count() == 0


def _follow_a_figure_to_its_order(page: Page, batch: str) -> None:
    """Payout → charge → usage record → lease → trade → order, and from there back to the batch."""
    figure = page.locator("#payouts tbody td.figure a").first
    owed = figure.locator("data").get_attribute("value")
    figure.click()
    assert page.locator("table.sum tfoot data").first.get_attribute("value") == owed
    page.locator("#lines tbody a").first.click()
    here = page.locator(".trip .here")
    expect(here).to_have_text("Charge")
    lines = page.locator("#lines tbody data").evaluate_all(
        "all => all.map(one => parseInt(one.value)).reduce((sum, one) => sum + one)"
    )
    assert str(lines) == page.locator("#lines tfoot data").get_attribute("value")
    for stop in ("Usage record", "Lease", "Trade", "Order"):
        page.locator(".trip").get_by_text(stop, exact=False).click()
        expect(here).to_have_text(stop)
    page.locator(".trip").get_by_text("Settlement batch").click()
    assert page.url == batch


def _wait_until_settled(page: Page) -> None:
    deadline = time.monotonic() + 60
    while page.locator("h1 .state").inner_text() != "Settled":
        assert time.monotonic() < deadline, page.locator("h1").inner_text()
        page.wait_for_timeout(250)
        page.reload()
    expect(page.locator(".steps li.done")).to_have_count(4)
    expect(page.locator("#payouts .state.good").first).to_have_text("Sent")
    page.click("nav >> text=Ledger")
    expect(page.locator("h1 .state")).to_have_text("Balances")
    page.go_back()


def _take_the_file(page: Page) -> None:
    with page.expect_download() as download:
        page.click("text=Payout file (CSV)")
    assert re.fullmatch(r"payouts-\d{4}-\d\d-\d\d\.csv", download.value.suggested_filename)
    text = download.value.path().read_text(encoding="utf-8-sig")
    assert len(text.splitlines()) == 1 + page.locator("#payouts tbody tr").count()


def test_the_language_is_switched_on_the_page(person: Person) -> None:
    page = person("auditor")
    page.click("nav >> text=Ledger")
    expect(page.locator("h1")).to_contain_text("Trial balance")
    page.get_by_role("button", name="中文").click()
    expect(page.locator("h1")).to_contain_text("试算平衡表")
    expect(page).to_have_url(re.compile("/console/ledger/$"))
    page.get_by_role("button", name="English").click()
    expect(page.locator("h1")).to_contain_text("Trial balance")


def test_any_id_is_found(person: Person) -> None:
    page = person("auditor")
    page.goto("/console/settlement/")
    page.fill("[type=search]", "需求单位03")
    page.press("[type=search]", "Enter")
    expect(page.locator("h1")).to_contain_text("需求单位03")
    page.locator("#orders tbody a").first.click()
    expect(page.locator(".trip .here")).to_have_text("Order")


def test_a_provider_is_turned_away(person: Person) -> None:
    page = person("nobody")
    expect(page.locator(".refusal")).to_be_visible()
    page.fill("[name=username]", "trader@provider.example")
    page.fill("[name=password]", "a long enough password")
    page.click("button.main")
    expect(page.locator(".refusal")).to_contain_text("no operator role")
    page.goto("/console/settlement/")
    expect(page).to_have_url(re.compile("/console/login/"))


@pytest.mark.parametrize("width", [390, 820, 1400])
def test_no_page_is_wider_than_its_window(person: Person, width: int) -> None:
    page = person("auditor", viewport={"width": width, "height": 900})
    for path in ("", "settlement/", "organisations/?verification=all", "ledger/", "audit/"):
        page.goto(f"/console/{path}")
        wider = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wider == 0, path


def test_everything_is_reached_by_keyboard(person: Person) -> None:
    page = person("auditor")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.locator(".brand")).to_be_focused()
    outline = page.locator(".brand").evaluate("one => getComputedStyle(one).outlineStyle")
    assert outline == "solid"
