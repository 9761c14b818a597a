"""A plain Django ORM double entry, written fairly: sorted row locks, balances computed in memory,
one ``bulk_create`` for transfers and one for entries, one ``bulk_update`` for accounts."""

from __future__ import annotations

import django

django.setup()

import uuid  # noqa: E402

from django.core.management import call_command  # noqa: E402
from django.db import transaction  # noqa: E402
from django.utils import timezone  # noqa: E402
from loop import PARTIES, Payment, answer  # noqa: E402
from plain.models import Account, Entry, Transfer  # noqa: E402


def main() -> None:
    """Make the tables and the accounts, then post what is asked for."""
    call_command("migrate", run_syncdb=True, verbosity=0)
    buyers, providers = (
        [
            one.id
            for one in Account.objects.bulk_create(
                Account(balance=funds, has_floor=bool(funds)) for _ in range(PARTIES)
            )
        ]
        for funds in (10**14, 0)
    )

    @transaction.atomic
    def post(payments: list[Payment]) -> None:
        wanted = {buyers[b - 1] for b, _, _ in payments} | {
            providers[p - 1] for _, p, _ in payments
        }
        locked = Account.objects.select_for_update().filter(id__in=wanted).order_by("id")
        accounts = {account.id: account for account in locked}
        now, transfers, entries = timezone.now(), [], []
        for buyer, provider, amount in payments:
            one = Transfer(code="charge.usage", reference=uuid.uuid4(), effective_at=now)
            transfers.append(one)
            for account_id, moved in (
                (buyers[buyer - 1], -amount),
                (providers[provider - 1], amount),
            ):
                account = accounts[account_id]
                account.balance += moved
                account.version += 1
                if account.has_floor and account.balance < 0:
                    raise ValueError("insufficient funds")
                entries.append(
                    Entry(
                        transfer=one,
                        account=account,
                        amount=moved,
                        balance_after=account.balance,
                        version=account.version,
                    )
                )
        Transfer.objects.bulk_create(transfers)
        Entry.objects.bulk_create(entries)
        Account.objects.bulk_update(accounts.values(), ["balance", "version"], batch_size=500)

    answer(post)


if __name__ == "__main__":
    main()
