"""`clarion contacts …`: import, list, opt-out, opt-in."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.cli.environment import environment, say_data_folder, transact
from server.cli.lists import clean_tags, country_code, reading_progress, say_rejected
from server.cli.output import answer_json, answer_list, counted, say
from server.config import settings
from server.domain.errors import BadInput
from server.domain.wishes import Wish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.services.contact_imports import Imported
    from server.services.contact_lists import ContactRow

group = typer.Typer(help="The people a business knows.", no_args_is_help=True)
Business = Annotated[str, typer.Option(help="Name of the business.")]
Country = Annotated[str | None, typer.Option(help="Country of numbers without a country code, such as IL.")]
Phone = Annotated[str, typer.Argument(metavar="PHONE", help="With its country code, such as +972501234567.")]
Source = Annotated[str, typer.Option(help="How the person said so.")]
Note = Annotated[str | None, typer.Option(help="Whatever else proves it.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]

_COLUMNS = ("id", "phone", "name", "tags", "opted_out", "created_at")


@group.command("import")
def import_file(
    file: Annotated[str, typer.Argument(metavar="FILE", help="CSV, or .ndjson; - reads CSV from standard input.")],
    business: Business,
    country: Country = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag for everybody in it; may be given twice.")] = None,
    phone_column: Annotated[str | None, typer.Option(help="The column that holds the numbers.")] = None,
    name_column: Annotated[str | None, typer.Option(help="The column that holds the names.")] = None,
    tags_column: Annotated[str | None, typer.Option(help="The column that holds the tags.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take in a list of any size. Whoever is known by phone is added to; the same list again changes nothing."""
    from server.services.contact_lists import Reading, open_contacts

    reading = Reading(country_code(country), name_column, tags_column, clean_tags(tag or [], "--tag"))
    rows = open_contacts(file, phone_column, reading)
    configuration = settings()
    with environment(needs_queue=False) as found:
        if not as_json:
            say_data_folder(configuration)
        done = asyncio.run(_import(found.database_url, business, rows))
    if as_json:
        answer_json(_as_json(done))
    else:
        _say(done)
    if not done.accepted_count:
        raise BadInput("Nobody in this list can be taken in.")


@group.command("list")
def list_contacts(
    business: Business,
    tag: Annotated[list[str] | None, typer.Option(help="With this tag; may be given twice.")] = None,
    not_tag: Annotated[list[str] | None, typer.Option(help="Without this tag; may be given twice.")] = None,
    q: Annotated[str | None, typer.Option(help="A part of the name or of the phone.")] = None,
    opted_out: Annotated[
        bool | None, typer.Option("--opted-out/--not-opted-out", help="Who opted out, or not.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="People at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List contacts, in the order in which they came."""
    from server.services import accounts, contacts

    filters = contacts.Filters(
        clean_tags(tag or [], "--tag"), clean_tags(not_tag or [], "--not-tag"), None, opted_out, q
    )

    async def find(connection: "AsyncConnection") -> list[dict[str, Any]]:
        business_id = await accounts.find_business(connection, business)
        return await contacts.page(connection, business_id, filters, after_id=0, limit=limit + 1)

    with environment(needs_queue=False) as found:
        people = transact(found.database_url, find)
    shown = people[:limit]
    if not as_json:
        shown = [
            {**one, "tags": " ".join(one["tags"]), "opted_out": "yes" if one["opted_out"] else ""} for one in shown
        ]
    answer_list(shown, _COLUMNS, as_json=as_json)
    if len(people) > limit:
        say("There are more; --limit N shows them.")


@group.command("opt-out")
def opt_out(
    phone: Phone, business: Business, country: Country = None, source: Source = "at the command line",
    note: Note = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Send this person nothing more, from now on: in broadcasts that are running, too."""
    _tell(Wish.STOP, phone, business, country, (source, note), as_json=as_json)


@group.command("opt-in")
def opt_in(
    phone: Phone, business: Business, country: Country = None, source: Source = "at the command line",
    note: Note = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """This person agreed to get messages again."""
    _tell(Wish.START, phone, business, country, (source, note), as_json=as_json)


def _tell(
    wish: Wish, phone: str, business: str, country: str | None, why: tuple[str, str | None], *, as_json: bool
) -> None:
    from datetime import UTC, datetime

    from server.domain.phones import NO_COUNTRY
    from server.services import accounts, consents
    from server.services.consents import WishTold
    from server.services.contacts import phone_of

    try:
        number = phone_of(phone, country_code(country), "PHONE")
    except BadInput as error:
        if str(error).rstrip(".").lower() != NO_COUNTRY:
            raise
        detail = f'"{phone}" has no country code; write it like +972501234567, or name the country: --country IL.'
        raise BadInput(detail, pointer="PHONE") from error
    source, note = why

    async def tell(connection: "AsyncConnection") -> None:
        business_id = await accounts.find_business(connection, business)
        await consents.in_turn(connection, business_id)
        told = WishTold(business_id, number, wish, source[:200], datetime.now(UTC), note=note)
        await consents.tell(connection, told)

    with environment(needs_queue=False) as found:
        transact(found.database_url, tell)
    if as_json:
        answer_json({"phone": number, "opted_out": wish is Wish.STOP})
    else:
        say(f"{number} gets {'nothing more' if wish is Wish.STOP else 'messages again'} from {business}.")


async def _import(database_url: str, business: str, rows: "Iterator[ContactRow]") -> "Imported":
    from server.database import async_engine
    from server.services import accounts
    from server.services.contact_imports import import_contacts

    async with async_engine(database_url) as engine:
        async with engine.begin() as connection:
            business_id = await accounts.find_business(connection, business)
        return await import_contacts(engine, business_id, rows, reading_progress())


def _as_json(done: "Imported") -> dict[str, Any]:
    names = ("accepted_count", "created_count", "updated_count", "opted_out_count", "still_opted_out_count")
    return {name: getattr(done, name) for name in (*names, "rejected", "rejected_count")}


def _say(done: "Imported") -> None:
    say(f"{done.created_count:,} new, {done.updated_count:,} changed, of {counted(done.rows_count, 'row')}.")
    if done.opted_out_count:
        say(f"{counted(done.opted_out_count, 'person', 'people')} opted out by it.")
    if done.still_opted_out_count:
        say(f"{counted(done.still_opted_out_count, 'person', 'people')} had stopped before, and no list changes that.")
    say_rejected(done)
