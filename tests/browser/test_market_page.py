"""Trading is halted and resumed in a real browser, before the real worker."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.servers]


def test_the_desk_halts_a_book_and_lets_it_go_on(person: Callable[..., Page]) -> None:
    desk = person("market")
    desk.click("nav >> text=Market")
    expect(desk.locator("h1")).to_have_text("Market")
    halts = desk.locator("#halts")
    halts.locator("select").select_option("book:quantum")
    halts.locator("input[name=reason]").fill("Prices run away")
    halts.get_by_role("button", name="Halt trading").click()
    expect(desk.locator(".messages .success")).to_contain_text("Halted")
    expect(halts).to_contain_text("Prices run away")
    assert _state_becomes(desk, "Halted")

    auditor = person("auditor", language="zh-hans")
    auditor.goto("/console/market/")
    expect(auditor.locator("#halts")).to_contain_text("Prices run away")
    assert (
        auditor.get_by_role("button").filter(has_text=re.compile("恢复交易|暂停交易")).count() == 0
    )

    halts.get_by_text("Resume …").click()
    halts.locator("details input[name=reason]").fill("Explained")
    halts.get_by_role("button", name="Resume", exact=True).click()
    expect(desk.locator(".messages .success")).to_contain_text("Resumed")
    assert _state_becomes(desk, "Open")

    row = desk.locator("#books tr", has_text="quantum")
    row.get_by_text("Set …").click()
    row.locator("input[name=band]").fill("12.5")
    row.get_by_role("button", name="Set", exact=True).click()
    expect(desk.locator("#books tr", has_text="quantum")).to_contain_text("12.5")
    expect(desk.locator("#concentration table")).to_contain_text("intelligent")


def _state_becomes(page: Page, state: str) -> bool:
    """The worker takes the halt with the book's next batch."""
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        row = page.locator("#books tr", has_text="quantum")
        if row.locator(".state").inner_text() == state:
            return True
        time.sleep(0.3)
        page.goto("/console/market/")
    return False
