"""The README's examples run, in the order in which they stand."""

from __future__ import annotations

import re

import pytest

from ledger import verify
from tests.databases import ROOT

README = (ROOT / "ledger" / "README.md").read_text()


@pytest.mark.django_db
def test_the_examples_of_the_readme_hold():
    names: dict = {}
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(examples) == 6
    for example in examples:
        exec(compile(example, "ledger/README.md", "exec"), names)
    assert [finding for finding in verify.checks() if not finding.ok] == []
