"""`market.http_orders`: orders accepted per second over HTTP, against a bare view.

Both by the same number of clients that wait for each answer, on the same machine as the servers.
Accepted means answered with 201: checked, funds held, stored, in the book's inbox. The workers
are stopped meanwhile, so that nothing else is measured.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

import django

from exchangectl.process import Child, free_port
from tests.bench import province as laid
from tests.bench.contest import Contest, Stage

CLIENTS = 4
_BARE_TABLE = "CREATE TABLE IF NOT EXISTS bench_order (id uuid PRIMARY KEY, body jsonb NOT NULL)"


def contests(stage: Stage) -> Iterator[Contest]:
    """Order entry against the bare view; then with many live orders against few."""
    django.setup()
    province = laid.prepared(stage.exchange)
    bare = _start_bare_view(stage)
    try:
        count = stage.size(600, 40)
        few, many = stage.size(1_000, 100), stage.size(100_000, 1_000)
        laid.rest(province, "few", few)

        def accepted(book: str) -> float:
            url = f"{stage.exchange.base_url}/api/v1/orders"
            return rate(url, province.buyer_key, province.body(book, limit=laid.RESTING), count)

        def bare_rate() -> float:
            body = province.body("few", limit=laid.RESTING)
            return rate(f"{bare.url}/orders", province.buyer_key, body, count)

        bare_rate(), accepted("few")  # warm both
        yield Contest(
            name="market.http_orders",
            measure=f"orders accepted over HTTP by {CLIENTS} clients, to a bare view of one INSERT",
            unit="orders/s",
            better="higher",
            run=lambda: accepted("few"),
            reference=bare_rate,
        )
        laid.rest(province, "many", many)
        yield Contest(
            name="market.http_orders_growth",
            measure=f"orders accepted over HTTP with {many:,} live orders, to {few:,}",
            unit="orders/s",
            better="higher",
            run=lambda: accepted("many"),
            reference=lambda: accepted("few"),
        )
    finally:
        bare.child.stop()


class _Bare:
    def __init__(self, child: Child, url: str) -> None:
        self.child, self.url = child, url


def _start_bare_view(stage: Stage) -> _Bare:
    """The opponent on a server of its own, with as many workers and threads as the exchange's."""
    with stage.exchange.connect(owner=True) as connection:
        connection.execute(_BARE_TABLE)
        connection.execute("GRANT INSERT ON bench_order TO exchange_app")
    port = free_port()
    web = stage.exchange.children["web"]
    command = list(web.command)
    command[command.index("--port") + 1] = str(port)
    command[-1] = "tests.bench.bare.wsgi:application"
    child = Child(
        name="bare",
        command=[sys.executable, *command[1:]],
        log_path=stage.exchange.data_dir / "log" / "bare.log",
        env=web.env,
        cwd=web.cwd,
    )
    child.start()
    url = f"http://127.0.0.1:{port}"
    child.wait_until(lambda: _answers(url), timeout_s=60)
    return _Bare(child, url)


def _answers(url: str) -> bool:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def rate(url: str, key: str, body: object, count: int) -> float:
    """Answers with 201 per second, by `CLIENTS` threads that send `count` requests in all."""
    content = json.dumps(body).encode()
    problems: list[str] = []
    barrier = threading.Barrier(CLIENTS + 1)

    def work() -> None:
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.netloc, timeout=60)
        connection.connect()
        barrier.wait()
        for _ in range(count // CLIENTS):
            connection.request(
                "POST",
                address.path,
                content,
                {
                    "Authorization": f"Bearer {key}",
                    "Content-Type": "application/json",
                    "Idempotency-Key": str(uuid.uuid4()),
                },
            )
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 201:
                problems.append(text.decode()[:500])
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    barrier.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if problems:
        raise SystemExit(f"{url} refused {len(problems)} requests: {problems[0]}")
    return (count // CLIENTS) * CLIENTS / seconds
