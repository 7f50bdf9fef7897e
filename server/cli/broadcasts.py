"""`clarion broadcasts …`: list, show, recipients, watch, preflight, pause, resume, cancel, retry."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.cli.environment import environment, say_data_folder, transact
from server.cli.output import HIGHEST_RATE, Exit, answer_json, answer_list, say, stdout
from server.config import settings
from server.domain.errors import BadInput
from server.domain.states import Actor, BroadcastStatus, Move, PauseReason, RecipientStatus

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

group = typer.Typer(help="Look at broadcasts, and steer them.", no_args_is_help=True)
Number = Annotated[str, typer.Argument(metavar="ID", help="The broadcast's number.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]

_COLUMNS = ("id", "name", "status", "sent_count", "failed_count", "unknown_count", "created_at")


@group.command("list")
def list_broadcasts(
    business: Annotated[str | None, typer.Option(help="Of this business alone.")] = None,
    status: Annotated[str | None, typer.Option(help="With this status alone.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: AsJson = False,
) -> None:
    """List broadcasts, the newest first."""
    from server.services import accounts, broadcast_json

    if status is not None and status not in set(BroadcastStatus):
        raise BadInput(f'--status is "{status}"; it should be one of {", ".join(BroadcastStatus)}.')

    async def find(connection: "AsyncConnection") -> list[dict[str, Any]]:
        business_id = None if business is None else await accounts.find_business(connection, business)
        return await broadcast_json.show_many(connection, business_id, status=status, before_id=None, limit=limit)

    with environment(needs_queue=False) as found:
        answer_list(transact(found.database_url, find), _COLUMNS, as_json=as_json)


@group.command()
def show(number: Number, as_json: AsJson = False) -> None:
    """Show one broadcast: how it stands, the counts, and why some did not get it."""
    from server.cli.standing import Reason, description
    from server.cli.watch import broadcast_number
    from server.services import broadcast_json, recipients

    broadcast_id = broadcast_number(number)

    async def find(connection: "AsyncConnection") -> tuple[dict[str, Any], list[Reason]]:
        shown = await broadcast_json.show(connection, None, broadcast_id)
        missed_count = shown["failed_count"] + shown["unknown_count"]
        reasons = await recipients.reasons(connection, broadcast_id) if missed_count and not as_json else []
        return shown, [Reason(**reason) for reason in reasons]

    with environment(needs_queue=False) as found:
        shown, reasons = transact(found.database_url, find)
    if as_json:
        answer_json(shown)
        return
    for line in description(shown, reasons, datetime.now(UTC)):
        stdout.print(line, markup=False, soft_wrap=True)


@group.command("recipients")
def list_recipients(
    number: Number,
    status: Annotated[str | None, typer.Option(help="With this status alone, such as failed.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="People at most.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List who got it, who did not, and why, in the order of the list."""
    from server.cli.watch import broadcast_number
    from server.services import broadcast_json, recipients

    broadcast_id = broadcast_number(number)
    if status is not None and status not in set(RecipientStatus):
        raise BadInput(f'--status is "{status}"; it should be one of {", ".join(RecipientStatus)}.')

    async def find(connection: "AsyncConnection") -> list[dict[str, Any]]:
        await broadcast_json.show(connection, None, broadcast_id)
        return await recipients.page(connection, broadcast_id, status=status, after_id=0, limit=limit + 1)

    with environment(needs_queue=False) as found:
        people = transact(found.database_url, find)
    shown = people[:limit] if as_json else [{**person, "reason": _reason(person)} for person in people[:limit]]
    answer_list(shown, ("phone", "status", "attempts", "reason"), as_json=as_json)
    if len(people) > limit:
        say("There are more; --limit N shows them.")


def _reason(person: dict[str, Any]) -> str:
    """Why somebody did not get it, with Meta's code where there is one."""
    code = f" ({person['error_code']})" if person["error_code"] is not None else ""
    return f"{person['error_message'] or ''}{code}".strip()


@group.command()
def watch(number: Number, as_json: AsJson = False) -> None:
    """Watch a broadcast until it ends; the exit code tells how."""
    from server.cli.watch import broadcast_number, exit_of
    from server.cli.watch import watch as look_on

    with environment(needs_queue=False) as found:
        shown = look_on(found.database_url, broadcast_number(number))
    if as_json:
        answer_json(shown)
    raise typer.Exit(exit_of(shown))


@group.command()
def preflight(number: Number, as_json: AsJson = False) -> None:
    """Look at what can be known before a broadcast starts. Exit code 2 where something stops it."""
    from server.cli.preflight import look, say_findings
    from server.cli.watch import broadcast_number

    broadcast_id = broadcast_number(number)
    with environment(needs_queue=False) as found:
        report = look(found.database_url, broadcast_id)
    if as_json:
        answer_json(report.as_json())
    else:
        say_findings(report.findings)
        say(f"{report.recipients:,} to send to. " + ("It may start." if not report.errors else "It cannot start."))
    if report.errors:
        raise typer.Exit(Exit.BAD_INPUT)


@group.command()
def pause(number: Number, as_json: AsJson = False) -> None:
    """Pause a broadcast: nothing leaves later than a quarter of a second from now."""
    from server.cli.watch import broadcast_number
    from server.services import broadcasts, stops

    broadcast_id = broadcast_number(number)
    why = broadcasts.Why(PauseReason.USER)

    async def stop(connection: "AsyncConnection") -> int:
        await broadcasts.make_or_refuse(connection, broadcast_id, Move.PAUSE, by=Actor.USER, why=why)
        return await stops.in_flight_count(connection, broadcast_id)

    with environment(needs_queue=False) as found:
        count = transact(found.database_url, stop)
        _answer(found.database_url, number, as_json=as_json, in_flight_count=count)


@group.command()
def resume(number: Number, as_json: AsJson = False) -> None:
    """Resume a paused broadcast."""
    from server.cli.send import hint, say_unless_somebody_works
    from server.cli.watch import broadcast_number
    from server.services import broadcasts

    broadcast_id = broadcast_number(number)

    async def go_on(connection: "AsyncConnection") -> None:
        await broadcasts.make_or_refuse(connection, broadcast_id, Move.RESUME, by=Actor.USER)

    with environment() as found:
        transact(found.database_url, go_on)
        hint(found.redis_url, broadcast_id)
        say_unless_somebody_works(found.redis_url)
        _answer(found.database_url, number, as_json=as_json)


@group.command()
def cancel(number: Number, as_json: AsJson = False) -> None:
    """Cancel a broadcast for good: whoever has not got it does not get it."""
    from server.cli.watch import broadcast_number
    from server.services import broadcasts, stops

    broadcast_id = broadcast_number(number)

    async def ask(connection: "AsyncConnection") -> int:
        await broadcasts.request_cancel(connection, broadcast_id, by=Actor.USER)
        return await stops.in_flight_count(connection, broadcast_id)

    async def finish(connection: "AsyncConnection") -> bool:
        return await broadcasts.finish_cancel(connection, broadcast_id)

    with environment(needs_queue=False) as found:
        count = transact(found.database_url, ask)  # committed by itself: from here on nothing more leaves
        transact(found.database_url, finish)  # unless a runner lives, who does it
        _answer(found.database_url, number, as_json=as_json, in_flight_count=count)


@group.command()
def rate(
    number: Number,
    messages: Annotated[
        int, typer.Argument(min=0, max=HIGHEST_RATE, help="Messages a second at most; 0: as fast as its number may.")
    ],
    as_json: AsJson = False,
) -> None:
    """Change how fast a broadcast may send; one that runs follows at once."""
    from server.cli.watch import broadcast_number
    from server.services import rates

    broadcast_id = broadcast_number(number)

    async def change(connection: "AsyncConnection") -> None:
        await rates.limit(connection, broadcast_id, messages or None, by=Actor.USER)

    with environment(needs_queue=False) as found:
        transact(found.database_url, change)
        _answer(found.database_url, number, as_json=as_json)


@group.command()
def retry(
    number: Number,
    include: Annotated[list[str] | None, typer.Option(help="failed, unknown; may be given twice.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make a new broadcast to those who failed, and start it."""
    from server.cli.preflight import ask_outside
    from server.cli.send import hint, say_unless_somebody_works
    from server.cli.watch import broadcast_number
    from server.services import drafts, retries

    configuration = settings()
    with environment() as found:
        # The message and the number are those of the broadcast that is retried.
        outside = ask_outside(found.database_url, broadcast_number(number))

        async def make(connection: "AsyncConnection") -> int:
            broadcast_id = await retries.create(connection, broadcast_number(number), include or ["failed"])
            await drafts.start(
                connection,
                broadcast_id,
                by=Actor.USER,
                starts_per_minute=settings().bulk_starts_per_minute,
                outside=outside,
            )
            return broadcast_id

        broadcast_id = transact(found.database_url, make)
        if not as_json:
            say_data_folder(configuration)
        hint(found.redis_url, broadcast_id)
        say_unless_somebody_works(found.redis_url)
        _answer(found.database_url, str(broadcast_id), as_json=as_json)


def _shown(database_url: str, number: str) -> dict[str, Any]:
    from server.cli.watch import broadcast_number
    from server.services import broadcast_json

    broadcast_id = broadcast_number(number)

    async def find(connection: "AsyncConnection") -> dict[str, Any]:
        return await broadcast_json.show(connection, None, broadcast_id)

    return transact(database_url, find)


def _answer(database_url: str, number: str, *, as_json: bool, in_flight_count: int | None = None) -> None:
    """How it stands now. in_flight_count: of a stop, how many were under way at its commit."""
    from server.cli.standing import in_flight, summary

    shown = _shown(database_url, number)
    if as_json:
        answer_json(shown if in_flight_count is None else {**shown, "in_flight_count": in_flight_count})
        return
    say(summary(shown))
    if in_flight_count is not None:
        say(in_flight(in_flight_count))
