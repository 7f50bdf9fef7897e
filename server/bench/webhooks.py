"""Webhooks in: a whole web process, its answers durable and its statuses applied, beside bare commits of the bodies.

Two shapes, as Meta delivers them: full batches of 1,000 statuses, timed until the last one is applied and counted; and
one status to a POST, timed by the answers. Load, web process and PostgreSQL share the machine.
"""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import psycopg
import uvloop
from psycopg import sql
from pyreqwest.client import ClientBuilder

from server.bench.bare import PHONE_NUMBER_ID
from server.bench.measurement import Measurement
from server.bench.web import web_process
from server.bench.workshop import APP_SECRET, WABA_ID, Workshop

BATCH: Final = 1_000
CONNECTIONS: Final = 32
PACE: Final = 3_000
_APPLIED_SECONDS: Final = 300.0
_AS_SENT: Final = """
    UPDATE whatsapp_broadcast_recipients SET status = 'sent', message_id = 'wamid.' || id WHERE broadcast_id = %(id)s
"""
_COUNTED: Final = """
    UPDATE whatsapp_broadcasts SET sent_count = total_recipients, processed_count = total_recipients WHERE id = %(id)s
"""

Signed = tuple[bytes, str]


def run(shop: Workshop, *, people: int) -> Iterator[Measurement]:
    """Statuses a second in full batches until they are applied; POSTs of one status a second, with their p99."""
    with web_process() as address:
        url = f"{address}/webhooks/whatsapp"
        yield _of_batches(shop, url, people)
        yield _of_single_ones(shop, url, people)


def _of_batches(shop: Workshop, url: str, people: int) -> Measurement:
    broadcast_id, ids = _sent(shop, people)
    bodies = [
        _signed([_status(broadcast_id, one, kind) for one in ids[start : start + BATCH]])
        for kind in ("sent", "delivered", "read")
        for start in range(0, people, BATCH)
    ]
    count = 3 * people
    began = time.perf_counter()
    uvloop.run(_post_all(url, bodies))
    answered = time.perf_counter() - began
    _until_counted(shop, broadcast_id, "read_count", people)
    applied = time.perf_counter() - began
    bare = _bare(shop, bodies, at_once=4)
    remark = f"{count:,} in POSTs of {BATCH:,}; answered at {count / answered:,.0f}/s"
    return Measurement("webhooks, batches", count / applied, "statuses/s", count / bare, remark)


def _of_single_ones(shop: Workshop, url: str, people: int) -> Measurement:
    broadcast_id, ids = _sent(shop, people)
    first, second = ([_signed([_status(broadcast_id, one, kind)]) for one in ids] for kind in ("delivered", "read"))
    began = time.perf_counter()
    uvloop.run(_post_all(url, first))
    took = time.perf_counter() - began
    _until_counted(
        shop, broadcast_id, "delivered_count", people
    )  # what the first ones left would be paid for by the next
    waits = sorted(uvloop.run(_post_all(url, second, rate=PACE)))
    _until_counted(shop, broadcast_id, "read_count", people)
    bare = _bare(shop, first, at_once=CONNECTIONS)
    p99 = waits[int(len(waits) * 0.99)] * 1000
    remark = f"one status each; at {PACE:,}/s half take {waits[len(waits) // 2] * 1000:.0f} ms, p99 {p99:.0f} ms"
    return Measurement("webhooks, single", people / took, "POSTs/s", people / bare, remark)


async def _post_all(url: str, bodies: Sequence[Signed], *, rate: float | None = None) -> list[float]:
    """Every body, so many at once. How long each answer took, in seconds.

    rate: POSTs a second; then an answer's time is counted from when its POST was due, whether or not it could leave.
    """
    left = iter(enumerate(bodies))
    waits: list[float] = []
    async with ClientBuilder().no_proxy().build() as client:
        started = time.perf_counter()

        async def post() -> None:
            for number, (body, signature) in left:
                began = time.perf_counter()
                if rate is not None:
                    began = started + number / rate
                    await asyncio.sleep(max(began - time.perf_counter(), 0))
                request = client.post(url).header("x-hub-signature-256", signature).body_bytes(body)
                response = await request.build().send()
                if response.status != 200:
                    raise RuntimeError(f"the web process answered {response.status}")
                waits.append(time.perf_counter() - began)

        await asyncio.gather(*(post() for _ in range(CONNECTIONS if rate is None else 4 * CONNECTIONS)))
    return waits


def _sent(shop: Workshop, people: int) -> tuple[int, list[int]]:
    """A broadcast that everybody was sent, and their ids."""
    broadcast_id = shop.broadcast(people, status="settling")
    with psycopg.connect(shop.database_url, autocommit=True) as connection:
        for statement in (_AS_SENT, _COUNTED):
            connection.execute(statement, {"id": broadcast_id})
        rows = connection.execute(
            "SELECT id FROM whatsapp_broadcast_recipients WHERE broadcast_id = %s ORDER BY id", (broadcast_id,)
        ).fetchall()
    shop.settle()
    return broadcast_id, [row[0] for row in rows]


def _until_counted(shop: Workshop, broadcast_id: int, counter: str, people: int) -> None:
    deadline = time.monotonic() + _APPLIED_SECONDS
    with psycopg.connect(shop.database_url, autocommit=True) as connection:
        while time.monotonic() < deadline:
            statement = sql.SQL("SELECT {} FROM whatsapp_broadcasts WHERE id = %s").format(sql.Identifier(counter))
            row = connection.execute(statement, (broadcast_id,)).fetchone()
            if row is not None and row[0] == people:
                return
            time.sleep(0.02)
    raise RuntimeError("the statuses were not applied in time")


def _bare(shop: Workshop, bodies: Sequence[Signed], *, at_once: int) -> float:
    """Seconds to commit the same bodies to a table of nothing else, so many together."""
    with psycopg.connect(shop.database_url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS bench_bodies")
        connection.execute("CREATE TABLE bench_bodies (body BYTEA)")
        connection.execute("ALTER TABLE bench_bodies ALTER COLUMN body SET STORAGE EXTERNAL")
        began = time.perf_counter()
        for start in range(0, len(bodies), at_once):
            together = [body for body, _ in bodies[start : start + at_once]]
            connection.execute("INSERT INTO bench_bodies SELECT * FROM unnest(%s::bytea[])", (together,))
        return time.perf_counter() - began


def _status(broadcast_id: int, recipient_id: int, kind: str) -> dict[str, Any]:
    return {
        "id": f"wamid.{recipient_id}",
        "status": kind,
        "timestamp": "1795608000",
        "recipient_id": "15550001111",
        "biz_opaque_callback_data": f"b{broadcast_id}:r{recipient_id}",
        "pricing": {"billable": True, "pricing_model": "PMP", "type": "regular", "category": "utility"},
    }


def _signed(statuses: list[dict[str, Any]]) -> Signed:
    metadata = {"display_phone_number": "15550783881", "phone_number_id": PHONE_NUMBER_ID}
    value = {"messaging_product": "whatsapp", "metadata": metadata, "statuses": statuses}
    entry = {"id": WABA_ID, "changes": [{"field": "messages", "value": value}]}
    body = json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()
    return body, "sha256=" + hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
