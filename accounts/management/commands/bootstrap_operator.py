"""``manage.py bootstrap_operator``: the operator's organisation, staff and first keys."""

from __future__ import annotations

import json
import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import bootstrap, credit_code
from core import clock
from core.errors import ExchangeError


class Command(BaseCommand):
    help = (
        "Make the operator's organisation, its staff (market, clerk, approver, auditor, admin) and "
        "a key for each, where they are missing. New passwords and keys are printed once, or taken "
        "from OPERATOR_<POST>_PASSWORD and OPERATOR_<POST>_KEY."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        env = os.environ.get
        parser.add_argument(
            "--name", default=env("OPERATOR_NAME", "Henan Compute Exchange Operations")
        )
        parser.add_argument(
            "--credit-code", default=env("OPERATOR_CREDIT_CODE", credit_code.made_up(0))
        )
        parser.add_argument("--region", default=env("OPERATOR_REGION", "zhengzhou"))
        parser.add_argument("--domain", default=env("OPERATOR_DOMAIN", "operator.example"))
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            issued = bootstrap.bootstrap_operator(
                name=options["name"],
                code=options["credit_code"],
                region_code=options["region"],
                domain=options["domain"],
                now=clock.now(),
            )
        except ExchangeError as error:
            raise CommandError(error.detail) from error
        if options["json"]:
            staff = {
                i.post: {"email": i.email, "password": i.password, "key": i.key} for i in issued
            }
            self.stdout.write(json.dumps(staff))
            return
        for i in issued:
            password = i.password or "(unchanged)"
            self.stdout.write(f"{i.post:<10} {i.email:<28} {password:<20} {i.key or ''}")
