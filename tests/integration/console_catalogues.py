"""The catalogues of words that people read: ``python -m tests.integration.console_catalogues``.

Extracts every message of the sources, merges them into ``locale/*/LC_MESSAGES/django.po`` (what
is new is left empty, what is gone is removed) and compiles the ``.mo`` files, which are committed:
a fresh machine has no gettext. ``test_console_catalogues`` holds sources, ``.po`` and ``.mo`` in
step and complete.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = {"zh_Hans": "zh_Hans_CN", "en": "en_GB"}
# Where people's words stand.
_PYTHON = ("console/**/*.py", "*/admin.py", "config/settings.py")
_TEMPLATES = ("*/templates/**/*.html",)
_KEYWORDS = {
    "_": None,
    "gettext": None,
    "gettext_lazy": None,
    "ngettext": (1, 2),
    "ngettext_lazy": (1, 2),
    "pgettext": ((1, "c"), 2),
    "pgettext_lazy": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}


def sources() -> Iterator[tuple[str, bytes]]:
    """Each file with words in it, as Python: templates are turned as makemessages turns them."""
    from django.utils.translation.template import templatize

    for pattern in _PYTHON:
        for path in sorted(ROOT.glob(pattern)):
            yield str(path.relative_to(ROOT)), path.read_bytes()
    for pattern in _TEMPLATES:
        for path in sorted(ROOT.glob(pattern)):
            name = str(path.relative_to(ROOT))
            yield name, templatize(path.read_text(), origin=name).encode()


def extracted() -> Catalog:
    """Every message of the sources."""
    catalog = Catalog()
    for name, content in sources():
        for _line, message, comments, context in extract(
            "python", BytesIO(content), keywords=_KEYWORDS
        ):
            if message:
                catalog.add(message, locations=[(name, None)], context=context, flags=_no_flags())
                assert not comments
    return catalog


def _no_flags() -> set[str]:
    return set()


def path_of(language: str, suffix: str) -> Path:
    """A language's catalogue: ``po`` or ``mo``."""
    return ROOT / "locale" / language / "LC_MESSAGES" / f"django.{suffix}"


def committed(language: str) -> Catalog:
    """A language's catalogue as it is."""
    with path_of(language, "po").open("rb") as file:
        return read_po(file, locale=LANGUAGES[language])


def merged(language: str, template: Catalog) -> Catalog:
    """The messages of the sources with the translations that there are; English says them as is."""
    known = committed(language) if path_of(language, "po").exists() else Catalog()
    catalog = Catalog(locale=LANGUAGES[language], fuzzy=False, charset="utf-8")
    for message in template:
        if not message.id:
            continue
        old = known.get(message.id, message.context)
        string = old.string if old else message.id if language == "en" else None
        catalog.add(
            message.id,
            string,
            locations=sorted({(name, None) for name, _line in message.locations}),
            context=message.context,
            flags={flag for flag in message.flags if flag != "fuzzy"},
        )
    return catalog


def compiled(catalog: Catalog) -> bytes:
    """The catalogue as a ``.mo`` file, the same for the same content."""
    catalog.creation_date = catalog.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
    target = BytesIO()
    write_mo(target, catalog)
    return target.getvalue()


def strings(catalog: Catalog) -> dict[tuple[object, object], object]:
    """What a catalogue says, without its header."""

    def plain(value: object) -> object:
        if isinstance(value, bytes):  # a context, as Babel reads it from a .mo file
            return value.decode()
        return tuple(value) if isinstance(value, list | tuple) else value

    return {(plain(m.context), plain(m.id)): plain(m.string) for m in catalog if m.id}


def spelled(catalog: Catalog) -> bytes:
    """The catalogue as a ``.po`` file, the same for the same content."""
    target = BytesIO()
    write_po(target, catalog, width=96, sort_output=True, omit_header=True, include_lineno=False)
    header = (
        'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
        f'"Language: {catalog.locale_identifier}\\n"\n'
        f'"Plural-Forms: {catalog.plural_forms}\\n"\n\n'
    )
    return header.encode() + target.getvalue()


def untranslated(catalog: Catalog) -> list[str]:
    """Messages without a translation, or with one that nobody has looked over."""
    found = []
    for message in catalog:
        strings = message.string if isinstance(message.string, tuple | list) else [message.string]
        if message.id and (message.fuzzy or not all(strings)):
            found.append(str(message.id))
    return found


def main() -> int:
    """Merge and compile; returns how many messages have no translation."""
    template, missing = extracted(), 0
    for language in LANGUAGES:
        path_of(language, "po").parent.mkdir(parents=True, exist_ok=True)
        path_of(language, "po").write_bytes(spelled(merged(language, template)))
        catalog = committed(language)
        path_of(language, "mo").write_bytes(compiled(catalog))
        for message in untranslated(catalog):
            missing += 1
            sys.stderr.write(f"{language}: {message}\n")
    return missing


if __name__ == "__main__":
    import django

    django.setup()
    sys.exit(1 if main() else 0)
