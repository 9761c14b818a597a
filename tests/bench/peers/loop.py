"""What every peer's process does: make calls before the clock starts, then post them."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

PARTIES = 1_000

# buyer number, provider number, amount
Payment = tuple[int, int, int]


def answer(post: Callable[[list[Payment]], None], *, seed: int = 1) -> None:
    """Answer the lines of standard input until there is none, as the ledger's own poster does."""
    dice = random.Random(seed)
    calls: list[list[Payment]] = []
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        said: dict[str, Any] = {}
        if asked["do"] == "prepare":
            calls = [
                [
                    (dice.randint(1, PARTIES), dice.randint(1, PARTIES), dice.randrange(1, 10**6))
                    for _ in range(asked["size"])
                ]
                for _ in range(asked["count"])
            ]
        else:
            started = time.perf_counter()
            for call in calls:
                post(call)
            said = {
                "seconds": time.perf_counter() - started,
                "transfers": sum(map(len, calls)),
            }
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
