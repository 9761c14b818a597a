from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def reference(db) -> Iterator[None]:
    # Imported here: a conftest of a folder named on the command line is read before Django is up.
    from exchange.market import matching
    from tests.integration.capacity import builders

    builders.load_reference()
    matching.forget_states()
    yield
    matching.forget_states()
