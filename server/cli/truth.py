"""What can be proven, at the command line: unknowns and their settlement, receipts, the key that signs them."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.addresses import vault
from server.cli.broadcasts import AsJson, Number, group
from server.cli.environment import environment, transact
from server.cli.output import Exit, answer_json, answer_list, counted, say
from server.config import settings
from server.database import async_engine, database_errors
from server.domain.errors import BadInput

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


@group.command("unknowns")
def list_unknowns(
    number: Number,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="People at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List who is unknown, for how long, by when it is decided, and what the evidence says now."""
    from server.cli.watch import broadcast_number
    from server.services import broadcast_json, unknowns

    broadcast_id = broadcast_number(number)
    patience = unknowns.Patience.of(settings())

    async def find(connection: "AsyncConnection") -> list[dict[str, Any]]:
        await broadcast_json.show(connection, None, broadcast_id)
        return await unknowns.page(connection, broadcast_id, patience, after_id=0, limit=limit + 1)

    with environment(needs_queue=False) as found:
        people = transact(found.database_url, find)
    answer_list(people[:limit], ("id", "phone", "age_seconds", "decided_by", "evidence"), as_json=as_json)
    if len(people) > limit:
        say("There are more; --limit N shows them.")


@group.command()
def settle(
    number: Number,
    recipient: Annotated[int, typer.Argument(metavar="RECIPIENT", help="The recipient's id.", min=1, max=2**63 - 1)],
    settlement: Annotated[str, typer.Option("--as", help="sent, failed, or resend, which may make it arrive twice.")],
    as_json: AsJson = False,
) -> None:
    """Settle somebody unknown by hand. It is kept in the broadcast's history."""
    from server.cli.standing import summary
    from server.cli.watch import broadcast_number
    from server.services import broadcast_json, settlements

    broadcast_id = broadcast_number(number)
    if settlement not in set(settlements.Settlement):
        raise BadInput(f'--as is "{settlement}"; it should be one of {", ".join(settlements.Settlement)}.')

    async def make(connection: "AsyncConnection") -> dict[str, Any]:
        await broadcast_json.show(connection, None, broadcast_id)
        await settlements.settle(connection, broadcast_id, recipient, settlements.Settlement(settlement))
        return await broadcast_json.show(connection, None, broadcast_id)

    with environment(needs_queue=False) as found:
        shown = transact(found.database_url, make)
    if as_json:
        answer_json(shown)
    else:
        say(summary(shown))


@group.command("receipt")
def print_receipt(number: Number) -> None:
    """Print the signed receipt of a broadcast, as JSON. `clarion verify --receipt` checks it."""
    import asyncio

    from server.cli.watch import broadcast_number
    from server.services import receipts

    broadcast_id = broadcast_number(number)

    async def issue(database_url: str) -> dict[str, Any]:
        async with async_engine(database_url) as engine:
            return await receipts.issue(engine, vault(settings()), None, broadcast_id)

    with environment(needs_queue=False) as found, database_errors():
        receipt = asyncio.run(issue(found.database_url))
    answer_json(receipt)
    if not receipt["final"]:
        say("The broadcast has not ended, or somebody is unknown: this receipt is not final.")


def receipt_key(as_json: AsJson = False) -> None:
    """Print the public key that receipts are checked with."""
    from server.domain.receipts import named
    from server.services import receipts

    async def find(connection: "AsyncConnection") -> dict[str, str]:
        return named(await receipts.signing_key(connection, vault(settings())))

    with environment(needs_queue=False) as found:
        key = transact(found.database_url, find)
    if as_json:
        answer_json(key)
        return
    print(key["public_key"])
    say(f"Its fingerprint is {key['fingerprint']}.")


def verify_receipt(file: str, public_key: str | None, *, as_json: bool) -> None:
    """Check a receipt without a database. Exit code 1, and everything that does not hold, where something does not."""
    from server.domain.receipts import differences, read

    try:
        receipt = read(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror or error}.", pointer="--receipt") from error
    found = differences(receipt, public_key)
    if as_json:
        answer_json({"holds": not found, "final": receipt.get("final"), "differences": found})
    else:
        for difference in found:
            say(difference)
        say(_verdict(receipt, found, is_given=public_key is not None))
    if found:
        raise typer.Exit(Exit.ENVIRONMENT)


def _verdict(receipt: Mapping[str, Any], found: list[str], *, is_given: bool) -> str:
    if found:
        return "The receipt does not hold."
    count = counted(receipt["counts"]["recipients"]["count"], "person", "people")
    what = f"The receipt of broadcast {receipt['broadcast']['id']} to {count} holds"
    final = "" if receipt["final"] else ", as far as the broadcast had come: it is not final"
    own = "" if is_given else f" It is signed by the key that it names: compare {receipt['key']['fingerprint']}."
    return f"{what}{final}.{own}"
