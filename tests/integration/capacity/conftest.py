from __future__ import annotations

import pytest

from tests.integration.capacity import builders


@pytest.fixture
def reference(db) -> None:
    builders.load_reference()
