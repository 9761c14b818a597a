from __future__ import annotations

import pytest


@pytest.fixture
def reference(db) -> None:
    # Imported here: a conftest of a folder named on the command line is read before Django is up.
    from tests.integration.capacity import builders

    builders.load_reference()
