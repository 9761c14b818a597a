"""A real browser before a running exchange: web, workers and beat, on a database of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.databases import ROOT

if TYPE_CHECKING:
    from exchangectl.running import Running

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
PASSWORD = "a long enough password"


@pytest.fixture(scope="module")
def console(exchange: Running) -> str:
    """The address of an exchange with a day that waits to be settled."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.browser.populate"],
        cwd=ROOT,
        env=exchange.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return exchange.base_url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; the test is skipped, and says so, where it is missing."""
    if not CHROMIUM.exists():
        pytest.skip(f"no Chromium at {CHROMIUM} (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        opened = playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield opened
        opened.close()


@pytest.fixture
def person(browser: Browser, console: str) -> Iterator[Callable[..., Page]]:
    """``person("clerk")``: a page of somebody who has just logged in. Complaints of the browser
    (a broken link to a style, a blocked script) fail the test."""
    contexts = []
    complaints: list[str] = []

    def log_in(name: str, language: str = "en", **options: object) -> Page:
        context = browser.new_context(base_url=console, **options)
        context.add_cookies([{"name": "django_language", "value": language, "url": console}])
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/console/")
        page.fill("[name=username]", f"{name}@operator.example")
        page.fill("[name=password]", PASSWORD)
        with page.expect_navigation():
            page.click("button.main")
        return page

    yield log_in
    for context in contexts:
        context.close()
    assert complaints == []
