"""Each error of the tree has a page, each page an error, and no two share a slug."""

import importlib
import pkgutil
from pathlib import Path

import pytest

from core.errors import ExchangeError

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "problems"
ROOMS = ("core", "accounts", "ledger", "exchange", "billing", "api", "console")


def error_tree() -> list[type[ExchangeError]]:
    for room in ROOMS:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            if module.name.endswith(".errors"):
                importlib.import_module(module.name)
    found, rest = [], [ExchangeError]
    while rest:
        error = rest.pop()
        if error.__module__.startswith(ROOMS):
            found.append(error)
        rest += error.__subclasses__()
    return found


def test_every_error_has_a_page():
    missing = sorted(
        f"docs/problems/{error.slug}.md for {error.__module__}.{error.__name__}"
        for error in error_tree()
        if not (PAGES / f"{error.slug}.md").is_file()
    )
    assert not missing, "pages to write:\n" + "\n".join(missing)


def test_every_page_is_of_an_error():
    slugs = {error.slug for error in error_tree()}
    pages = {page.stem for page in PAGES.glob("*.md")} - {"README"}
    assert sorted(pages - slugs) == []


def test_each_error_has_a_slug_of_its_own():
    slugs: dict[str, type] = {}
    for error in error_tree():
        if "slug" in vars(error):
            assert error.slug not in slugs, f"{error} and {slugs[error.slug]}"
            slugs[error.slug] = error


@pytest.mark.parametrize("error", error_tree(), ids=lambda e: e.__name__)
def test_a_page_agrees_with_its_error(error):
    page = PAGES / f"{error.slug}.md"
    if not page.is_file():
        pytest.skip("missing; told above")
    text = page.read_text("utf-8")
    owner = next(base for base in error.__mro__ if "slug" in vars(base))
    assert text.startswith(f"# {owner.title}\n"), owner.title
    helps = "yes" if owner.retry_helps else "no"
    assert f"`/problems/{owner.slug}` · status {owner.status} · trying again helps: {helps}" in text
