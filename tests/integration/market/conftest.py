from __future__ import annotations

from collections.abc import Iterator

import pytest

from exchange.market import matching
from tests.integration.capacity import builders


@pytest.fixture
def reference(db) -> Iterator[None]:
    builders.load_reference()
    matching.forget_states()
    yield
    matching.forget_states()
