"""`clarion verify`, `doctor`: is it right, is it well."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from server.addresses import vault
from server.cli.environment import environment, transact
from server.cli.output import Exit, answer_json, answer_list, counted, say
from server.cli.truth import verify_receipt
from server.config import settings
from server.domain.errors import BadInput, ClarionError, NotFound

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.addresses import Addresses
    from server.services.channels import Sender
    from server.services.verify import Verified

AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
CLOCK_TOLERANCE_SECONDS = 2.0


def verify(
    number: Annotated[str | None, typer.Argument(metavar="[ID]", help="One broadcast; by default all.")] = None,
    receipt: Annotated[
        str | None, typer.Option(metavar="FILE", help="A receipt instead, without any database; - reads stdin.")
    ] = None,
    public_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Whose signature the receipt must have, as base64.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hold counters against rows and histories against their chain, or check a receipt. Exit code 1 where it fails."""
    if receipt is not None:
        verify_receipt(receipt, public_key, as_json=as_json)
        return
    if public_key is not None:
        raise BadInput("--public-key goes with --receipt.")
    from server.cli.watch import broadcast_number
    from server.services.verify import verify as hold_against_rows

    broadcast_id = None if number is None else broadcast_number(number)

    async def check(connection: "AsyncConnection") -> "Verified":
        return await hold_against_rows(connection, broadcast_id)

    with environment(needs_queue=False) as found:
        verified = transact(found.database_url, check)
    if broadcast_id is not None and not verified.broadcasts_count:
        raise NotFound(f"There is no broadcast {broadcast_id}.")
    if as_json:
        answer_json(asdict(verified))
    else:
        for difference in verified.differences:
            say(
                f"Broadcast {difference.broadcast_id}: {difference.counter} is {difference.on_the_row:,}, "
                f"and the rows say {difference.in_the_rows:,}."
            )
        for broken in verified.broken_histories:
            say(f"Broadcast {broken.broadcast_id}: {broken.where}.")
        broadcasts = counted(verified.broadcasts_count, "broadcast")
        say(
            f"{broadcasts} with {counted(verified.recipients_count, 'recipient')}: "
            + ("the counters equal the rows." if not verified.differences else "they disagree.")
        )
    if not verified.holds:
        raise typer.Exit(Exit.ENVIRONMENT)


class Finding(NamedTuple):
    """What the doctor found of one thing. mend: what to do, where it is not well."""

    what: str
    is_well: bool
    found: str
    mend: str = ""


def doctor(as_json: AsJson = False) -> None:
    """Look at the database, the queue, the workers, the clock and the numbers: what is wrong, and the mend."""
    with environment() as found:
        findings = [*_look_at_queue(found), *asyncio.run(_look_at_database(found))]
    items = [
        {"what": f.what, "state": "well" if f.is_well else "wrong", "found": f.found, "mend": f.mend} for f in findings
    ]
    answer_list(items, ("what", "state", "found", "mend"), as_json=as_json)
    if not all(finding.is_well for finding in findings):
        raise typer.Exit(Exit.ENVIRONMENT)


def _look_at_queue(found: "Addresses") -> Iterator[Finding]:
    from server.jobs.queues import BROADCASTS, STEWARD, connect
    from server.jobs.worker import is_anybody_working

    connection = connect(found.redis_url)
    yield Finding("queue", True, "answers")
    for what, queue_name in (("worker", BROADCASTS), ("steward", STEWARD)):
        lives = is_anybody_working(connection, queue_name)
        yield Finding(what, lives, "running" if lives else "none is running", "" if lives else f"clarion {what}")


async def _look_at_database(found: "Addresses") -> list[Finding]:
    from server import tenancy
    from server.database import async_engine

    async with async_engine(found.database_url) as engine:
        wrong = await tenancy.trouble(engine)
        apart = Finding("businesses", wrong is None, *(wrong or ("kept apart", "")))
        async with engine.connect() as connection:
            return [*await _look_at_server(connection), apart, *await _look_at_numbers(connection)]


async def _look_at_server(connection: "AsyncConnection") -> list[Finding]:
    from sqlalchemy import text

    version = await connection.scalar(text("SHOW server_version"))
    before = time.time()
    clock = float(await connection.scalar(text("SELECT extract(epoch FROM clock_timestamp())")) or 0)
    apart = clock - (before + time.time()) / 2
    is_near = abs(apart) < CLOCK_TOLERANCE_SECONDS
    return [
        Finding("database", True, f"PostgreSQL {version}"),
        Finding("clock", is_near, f"{apart:+.1f} s from the database's", "" if is_near else "set up NTP"),
    ]


async def _look_at_numbers(connection: "AsyncConnection") -> list[Finding]:
    from sqlalchemy import select

    from server.models import Channel
    from server.services import channels

    keys = vault(settings())
    findings = []
    for channel_id in (await connection.scalars(select(Channel.id).order_by(Channel.id))).all():
        what = f"number {channel_id}"
        try:
            sender = await channels.sender(connection, keys, channel_id)
            findings.append(Finding(what, True, await _ask_whatsapp(sender)))
        except ClarionError as error:
            mend = "look at the network and CLARION_GRAPH_API_URL, or give a new token with clarion channel add"
            findings.append(Finding(what, False, str(error), mend))
    return findings


async def _ask_whatsapp(sender: "Sender") -> str:
    from server.providers.whatsapp import WhatsAppClient

    configuration = settings()
    async with WhatsAppClient(configuration.graph_api_url, configuration.graph_api_version) as client:
        node = await client.phone_number(sender.phone_number_id, sender.token)
    return f"status {node.status or 'unknown'}, quality {node.quality_rating or 'unknown'}"
