"""``manage.py ledger_head``: the head of the ledger's hash chain, to be kept in another system.

``manage.py verify --head NUMBER:HASH`` later tells whether the chain still contains it.
"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand

from ledger.sealing import head


class Command(BaseCommand):
    help = "Print number, hash, sealed_at and count of the ledger's last seal as a line of JSON."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(json.dumps(head()))
