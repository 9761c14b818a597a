"""django-hordak from its published form: its models, its triggers, and the bulk path that its own
benchmark command takes (``bulk_create`` of transactions, then of legs, in one transaction)."""

from __future__ import annotations

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402
from hordak.models import Account, AccountType, Leg, Transaction  # noqa: E402
from loop import PARTIES, Payment, answer  # noqa: E402
from moneyed import Money  # noqa: E402


def main() -> None:
    """Make the tables and the accounts, then post what is asked for."""
    call_command("migrate", verbosity=0)
    buyers, providers = (
        [
            Account.objects.create(
                name=f"{kind} {n}",
                code=f"{digit}{n:05d}",
                type=AccountType.liability,
                currencies=["CNY"],
            )
            for n in range(PARTIES)
        ]
        for kind, digit in (("buyer", 1), ("provider", 2))
    )

    @transaction.atomic
    def post(payments: list[Payment]) -> None:
        made = Transaction.objects.bulk_create([Transaction() for _ in payments])
        legs = []
        for one, (buyer, provider, amount) in zip(made, payments, strict=True):
            money = Money(amount, "CNY")
            legs += [
                Leg(transaction=one, account=buyers[buyer - 1], debit=money),
                Leg(transaction=one, account=providers[provider - 1], credit=money),
            ]
        Leg.objects.bulk_create(legs)

    answer(post)


if __name__ == "__main__":
    main()
