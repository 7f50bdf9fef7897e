"""`clarion rates …`: what WhatsApp charges, as the business has it from Meta."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.cli.environment import environment, transact
from server.cli.output import answer_json, answer_list, counted, say
from server.domain.errors import BadInput

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.services.rate_cards import Taken

group = typer.Typer(help="What WhatsApp charges, for the pre-flight to count with.", no_args_is_help=True)
Business = Annotated[str, typer.Option(help="Name of the business.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]


@group.command("import")
def import_file(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV; - reads standard input.")],
    business: Business,
    as_json: AsJson = False,
) -> None:
    """Take in a rate card, in place of the one there was: country, category, price, currency, valid_from."""
    from server.services import accounts, rate_cards

    body = _read(file, rate_cards.MOST_BYTES)

    async def take(connection: "AsyncConnection") -> "Taken":
        return await rate_cards.replace(connection, await accounts.find_business(connection, business), body)

    with environment(needs_queue=False) as found:
        taken = transact(found.database_url, take)
    if as_json:
        answer_json(taken._asdict())
    else:
        countries = counted(taken.countries_count, "country", "countries")
        say(f"{counted(taken.prices_count, 'price')} in {taken.currency} for {countries}.")


@group.command("list")
def list_rates(business: Business, as_json: AsJson = False) -> None:
    """List the prices of a business."""
    from server.services import accounts, rate_cards

    async def find(connection: "AsyncConnection") -> dict[str, Any]:
        return await rate_cards.show(connection, await accounts.find_business(connection, business))

    with environment(needs_queue=False) as found:
        shown = transact(found.database_url, find)
    items = [{**item, "currency": shown["currency"]} for item in shown["items"]]
    answer_list(items, ("country", "category", "price", "currency", "valid_from"), as_json=as_json)


def _read(file: str, most_bytes: int) -> bytes:
    """The file, and a byte more than is taken. Raises `BadInput`."""
    try:
        if file == "-":
            return sys.stdin.buffer.read(most_bytes + 1)
        with Path(file).open("rb") as opened:
            return opened.read(most_bytes + 1)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}.", pointer="FILE") from error
