"""Setting up: the schema, businesses and keys, numbers and templates."""

import asyncio
import secrets
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.addresses import vault
from server.cli.environment import environment, say_data_folder, servers, transact
from server.cli.output import HIGHEST_ID, HIGHEST_RATE, answer_json, answer_list, counted, say
from server.config import settings
from server.domain.scopes import KeyScope

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

Business = Annotated[str, typer.Option("--business", help="Name of the business.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]

api_key = typer.Typer(help="Keys for programs.", no_args_is_help=True)
channel = typer.Typer(help="The numbers a business sends from.", no_args_is_help=True)
templates = typer.Typer(help="The messages WhatsApp has approved.", no_args_is_help=True)


def migrate() -> None:
    """Bring the database to the newest schema; adopt an existing whatsapp_broadcasts table."""
    from server.migrations import upgrade

    with servers(settings(), needs_queue=False) as found:
        say("The database has the newest schema now." if upgrade(found.database_url) else "Nothing to do.")


def database_url() -> None:
    """Print the URL of the database in use, for psql and other tools."""
    with environment(needs_queue=False) as found:
        print(found.database_url)


def init(
    business: Business,
    email: Annotated[str, typer.Option(help="The owner's address, to sign in with.")],
    password: Annotated[str | None, typer.Option(help="The owner's password; one is made where it is missing.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a business and its owner. Prints an API key, once."""
    from server.services import accounts

    chosen = password or secrets.token_urlsafe(12)

    async def make(connection: "AsyncConnection") -> tuple[int, str]:
        business_id = await accounts.create_business(connection, business, email, chosen)
        return business_id, await accounts.create_api_key(connection, business_id, "first key")

    configuration = settings()
    with environment(needs_queue=False) as found:
        business_id, key = transact(found.database_url, make)
    generated = {} if password else {"password": chosen}
    if as_json:
        answer_json({"business_id": business_id, "api_key": key, **generated})
        return
    say_data_folder(configuration)
    say(f"{business} is business {business_id}. Its owner is {email}.")
    if generated:
        print(f"Password: {chosen}")
    print(f"API key: {key}")
    say("Keep it: it is shown only now.")


@api_key.command("create")
def create_api_key(
    business: Business,
    name: Annotated[str, typer.Option(help="What the key is for.")],
    scope: Annotated[KeyScope, typer.Option(help="What it may do: admin includes send, and send includes read.")] = (
        KeyScope.ADMIN
    ),
    as_json: AsJson = False,
) -> None:
    """Make a key for a program. It is printed once."""
    from server.services import accounts

    async def make(connection: "AsyncConnection") -> "accounts.NewKey":
        business_id = await accounts.find_business(connection, business)
        return await accounts.make_api_key(connection, business_id, name, scope)

    with environment(needs_queue=False) as found:
        made = transact(found.database_url, make)
    if as_json:
        answer_json({"id": made.id, "name": name, "scope": scope, "api_key": made.key})
    else:
        print(made.key)


@api_key.command("list")
def list_api_keys(business: Business, as_json: AsJson = False) -> None:
    """List the keys of a business that still open something. The keys themselves are not kept."""
    from server.services import accounts

    async def find(connection: "AsyncConnection") -> list[dict[str, Any]]:
        return await accounts.page_of_keys(connection, await accounts.find_business(connection, business))

    with environment(needs_queue=False) as found:
        items = transact(found.database_url, find)
    answer_list(items, ("id", "name", "scope", "created_at", "last_used_at"), as_json=as_json)


@api_key.command("revoke")
def revoke_api_key(
    number: Annotated[int, typer.Argument(metavar="ID", min=1, max=HIGHEST_ID, help="Of `clarion api-key list`.")],
    business: Business,
    as_json: AsJson = False,
) -> None:
    """Revoke a key: from now on it opens nothing. What it started goes on."""
    from server.services import accounts

    async def revoke(connection: "AsyncConnection") -> None:
        await accounts.revoke_api_key(connection, await accounts.find_business(connection, business), number)

    with environment(needs_queue=False) as found:
        transact(found.database_url, revoke)
    if as_json:
        answer_json({"id": number, "revoked": True})
    else:
        say(f"Key {number} opens nothing any more.")


@channel.command("add")
def add_channel(
    business: Business,
    phone_number_id: Annotated[str, typer.Option(help="The number's id at Meta.")],
    waba_id: Annotated[str, typer.Option(help="The id of its WhatsApp Business Account.")],
    token: Annotated[str, typer.Option(help="A system user's token; stored encrypted.")],
    app_secret: Annotated[str, typer.Option(help="The app's secret; signs webhooks.")],
    verify_token: Annotated[str, typer.Option(help="What Meta repeats when it verifies the webhook.")],
    rate: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=HIGHEST_RATE,
            help="Messages a second; 0: no limit. Without it: what WhatsApp lets the number send.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Add a WhatsApp number, or renew its tokens."""
    from server.services import accounts, channels

    async def add(connection: "AsyncConnection") -> int:
        business_id = await accounts.find_business(connection, business)
        new = channels.NewChannel(phone_number_id, waba_id, token, app_secret, verify_token, rate)
        return await channels.add(connection, vault(settings()), business_id, new)

    with environment(needs_queue=False) as found:
        channel_id = transact(found.database_url, add)
    if as_json:
        answer_json({"channel_id": channel_id, "phone_number_id": phone_number_id})
    else:
        say(f"Number {phone_number_id} is channel {channel_id} of {business}.")


@channel.command("list")
def list_channels(business: Business, as_json: AsJson = False) -> None:
    """List the numbers of a business."""
    from server.services import accounts, channels

    async def find(connection: "AsyncConnection") -> list[dict[str, Any]]:
        return await channels.listed(connection, await accounts.find_business(connection, business))

    with environment(needs_queue=False) as found:
        items = transact(found.database_url, find)
    answer_list(items, ("id", "phone_number_id", "waba_id", "rate_per_second"), as_json=as_json)


@templates.command("sync")
def sync_templates(business: Business, as_json: AsJson = False) -> None:
    """Bring the templates of a business up to date from the Cloud API."""
    with environment(needs_queue=False) as found:
        synced = asyncio.run(_sync(found.database_url, business))
    if as_json:
        answer_json(synced)
    else:
        say(f"{counted(synced['templates'], 'template')}, {synced['approved']:,} of them approved.")


async def _sync(database_url: str, business: str) -> dict[str, int]:
    from server.database import async_engine
    from server.services import accounts, channels, templates

    configuration = settings()
    async with async_engine(database_url) as engine, engine.begin() as connection:
        business_id = await accounts.find_business(connection, business)
        senders = await channels.senders(connection, vault(configuration), business_id)
        done = await templates.sync_all(connection, configuration, business_id, senders)
    return {"templates": done.templates_count, "approved": done.approved_count}


@templates.command("list")
def list_templates(business: Business, as_json: AsJson = False) -> None:
    """List the templates of a business as they were last synced."""
    from server.services import accounts, templates

    async def find(connection: "AsyncConnection") -> list[dict[str, Any]]:
        return await templates.listed(connection, await accounts.find_business(connection, business))

    with environment(needs_queue=False) as found:
        items = transact(found.database_url, find)
    answer_list(items, ("name", "language", "status", "category"), as_json=as_json)
