"""`clarion webhooks …`: where a business is told of events, and the log of what it was told."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from server.cli.environment import environment, say_data_folder, transact
from server.cli.output import answer_json, answer_list, say
from server.config import settings
from server.domain.errors import BadInput
from server.domain.webhook_events import EventKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sqlalchemy.ext.asyncio import AsyncConnection

    from server.services.webhook_endpoints import Made

T = TypeVar("T")

group = typer.Typer(help="Your own servers, told of what happens.", no_args_is_help=True)
Business = Annotated[str, typer.Option(help="Name of the business.")]
Number = Annotated[int, typer.Argument(metavar="ID", min=1, help="Of `clarion webhooks list`.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]

_COLUMNS = ("id", "url", "events", "enabled", "disabled_reason")
_DELIVERY_COLUMNS = ("id", "event", "status", "attempt_count", "created_at", "next_attempt_at")
_STATUSES = ("pending", "delivered", "failed")


@group.command("list")
def list_webhooks(business: Business, as_json: AsJson = False) -> None:
    """List where the business is told of events; where one is disabled, why."""
    from server.services import webhook_endpoints

    async def find(connection: "AsyncConnection", business_id: int) -> list[dict[str, Any]]:
        return await webhook_endpoints.page(connection, business_id, after_id=0, limit=webhook_endpoints.MOST_ENDPOINTS)

    shown = _of_business(business, find)
    if not as_json:
        shown = [{**one, "events": _events(one["events"]), "enabled": "yes" if one["enabled"] else ""} for one in shown]
    answer_list(shown, _COLUMNS, as_json=as_json)


@group.command("add")
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="Such as https://example.com/clarion.")],
    business: Business,
    event: Annotated[
        list[EventKind] | None, typer.Option(help="An event to be told of; may be given more than once. Without: all.")
    ] = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    as_json: AsJson = False,
) -> None:
    """Tell a server of yours what happens, from now on. Prints the secret that signs it, once."""
    from server.addresses import vault
    from server.services import webhook_endpoints
    from server.services.webhook_endpoints import NewEndpoint

    configuration = settings()
    new = NewEndpoint(url, event or None, description[:200], configuration.webhooks_allow_private)

    async def make(connection: "AsyncConnection", business_id: int) -> "Made":
        return await webhook_endpoints.add(connection, vault(settings()), business_id, new)

    made = _of_business(business, make)
    if as_json:
        answer_json({"id": made.id, "url": url, "secret": made.secret})
        return
    say_data_folder(configuration)
    say(f"{url} is webhook {made.id}.")
    print(f"Secret: {made.secret}")
    say("Keep it: it is shown only now. docs/webhooks-out.md says how to check a signature with it.")


@group.command("remove")
def remove(number: Number, business: Business, as_json: AsJson = False) -> None:
    """Tell a server no more. What was to be delivered to it is not."""
    from server.services import webhook_endpoints

    async def take_away(connection: "AsyncConnection", business_id: int) -> None:
        await webhook_endpoints.remove(connection, business_id, number)

    _of_business(business, take_away)
    if as_json:
        answer_json({"id": number, "removed": True})
    else:
        say(f"Webhook {number} is told no more.")


@group.command("deliveries")
def list_deliveries(
    number: Number,
    business: Business,
    status: Annotated[str | None, typer.Option(help="pending, delivered or failed.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Deliveries at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what a server was told in the last seven days, the newest first."""
    from server.services import deliveries, webhook_endpoints

    if status is not None and status not in _STATUSES:
        raise BadInput(f'--status is "{status}"; it should be pending, delivered or failed.', pointer="--status")

    async def find(connection: "AsyncConnection", business_id: int) -> list[dict[str, Any]]:
        await webhook_endpoints.show(connection, business_id, number)
        return await deliveries.page(connection, number, status=status, before_id=None, limit=limit + 1)

    found = _of_business(business, find)
    shown = found[:limit]
    if not as_json:
        shown = [{name: _plain(value) for name, value in one.items()} for one in shown]
    answer_list(shown, _DELIVERY_COLUMNS, as_json=as_json)
    if len(found) > limit:
        say("There are more; --limit N shows them.")


@group.command("redeliver")
def redeliver(
    number: Number,
    delivery: Annotated[int, typer.Argument(metavar="DELIVERY", min=1, help="Of `clarion webhooks deliveries`.")],
    business: Business,
    as_json: AsJson = False,
) -> None:
    """Deliver an event once more, under the same id. The steward does it within seconds."""
    from server.services import deliveries

    async def again(connection: "AsyncConnection", business_id: int) -> None:
        await deliveries.redeliver(connection, business_id, number, delivery)

    _of_business(business, again)
    if as_json:
        answer_json({"id": delivery, "status": "pending"})
    else:
        say(f"Delivery {delivery} is delivered again, as soon as a steward runs.")


def _of_business(name: str, work: "Callable[[AsyncConnection, int], Awaitable[T]]") -> T:
    """What some work gives that is done for a business, in one transaction."""
    from server.services import accounts

    async def of_its_own(connection: "AsyncConnection") -> T:
        return await work(connection, await accounts.find_business(connection, name))

    with environment(needs_queue=False) as found:
        return transact(found.database_url, of_its_own)


def _plain(value: Any) -> Any:
    """An instant as the lists take it."""
    from server.services.deliveries import instant

    return instant(value) if isinstance(value, datetime) else value


def _events(events: list[str]) -> str:
    """For people: all of them is one word."""
    return "all" if len(events) == len(EventKind) else " ".join(events)
