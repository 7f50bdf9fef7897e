"""`clarion business show` and `set`: what a business has chosen for all its broadcasts."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.cli.environment import environment, transact
from server.cli.output import answer_json, say
from server.database import database_errors
from server.domain.errors import BadInput, Problem

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

group = typer.Typer(help="What a business has chosen for all its broadcasts.", no_args_is_help=True)
Business = Annotated[str, typer.Option("--business", help="Name of the business.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
OFF = "off"
_LONGEST_NUMBER = 20
_OPTIONS = {
    "name": "--name",
    "unknown_policy": "--unknown-policy",
    "stop_words": "--stop-word",
    "start_words": "--start-word",
    "time_zone": "--time-zone",
    "quiet_hours": "--quiet-hours",
    "quiet_hours/days_off": "--day-off",
    "frequency_cap": "--frequency-cap",
    "opt_out_reply": "--opt-out-reply",
    "opt_in_reply": "--opt-in-reply",
    "approval_over": "--approval-over",
}


@group.command("show")
def show_business(business: Business, as_json: AsJson = False) -> None:
    """Show the settings of a business."""
    from server.services import accounts, businesses

    async def find(connection: "AsyncConnection") -> dict[str, Any]:
        return await businesses.show(connection, await accounts.find_business(connection, business))

    with environment(needs_queue=False) as found:
        _answer(transact(found.database_url, find), as_json=as_json)


@group.command("set")
def set_business(
    business: Business,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    unknown_policy: Annotated[
        str | None, typer.Option(help="What becomes of unknowns: evidence, assume_failed or resend.")
    ] = None,
    stop_word: Annotated[
        list[str] | None, typer.Option(help='A word that opts out; may be given more than once; "off": none.')
    ] = None,
    start_word: Annotated[
        list[str] | None, typer.Option(help='A word that opts in; may be given more than once; "off": none.')
    ] = None,
    time_zone: Annotated[
        str | None, typer.Option(help="Of people whose number says nothing of a place, such as Europe/Berlin.")
    ] = None,
    quiet_hours: Annotated[
        str | None, typer.Option(help='No marketing in these hours of the person who gets it: 21:00-08:00, or "off".')
    ] = None,
    day_off: Annotated[
        list[str] | None, typer.Option(help="A weekday without marketing; may be given more than once.")
    ] = None,
    frequency_cap: Annotated[
        str | None, typer.Option(help='Marketing messages for one person in so many days: 2/7, or "off".')
    ] = None,
    opt_out_reply: Annotated[
        str | None, typer.Option(help='Written back, once, to whoever stops by a message; "off": nothing.')
    ] = None,
    opt_in_reply: Annotated[str | None, typer.Option(help='The same for whoever starts again; "off": nothing.')] = None,
    approval_over: Annotated[
        str | None, typer.Option(help='Larger broadcasts need a second person: a number of people, or "off".')
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change settings; what is not named stays. Broadcasts that run obey at once."""
    changes: dict[str, Any] = {
        "name": name,
        "unknown_policy": unknown_policy,
        "stop_words": _words(stop_word),
        "start_words": _words(start_word),
        "time_zone": time_zone,
    }
    changes = {setting: value for setting, value in changes.items() if value is not None}
    if quiet_hours is not None:
        changes["quiet_hours"] = None if quiet_hours == OFF else _hours(quiet_hours, day_off or [])
    elif day_off:
        raise BadInput("--day-off goes with --quiet-hours, such as --quiet-hours 21:00-08:00.", pointer="--day-off")
    if frequency_cap is not None:
        changes["frequency_cap"] = None if frequency_cap == OFF else _cap(frequency_cap)
    for setting, reply in (("opt_out_reply", opt_out_reply), ("opt_in_reply", opt_in_reply)):
        if reply is not None:
            changes[setting] = None if reply == OFF else reply
    if approval_over is not None:
        changes["approval_over"] = None if approval_over == OFF else _number(approval_over)
    if not changes:
        raise BadInput("Say what is to be changed, such as --quiet-hours 21:00-08:00.")
    with environment(needs_queue=False) as found, database_errors():
        _answer(asyncio.run(_change(found.database_url, business, changes)), as_json=as_json)


async def _change(database_url: str, business: str, changes: dict[str, Any]) -> dict[str, Any]:
    from server.database import async_engine
    from server.services import accounts, businesses

    async with async_engine(database_url) as engine:
        async with engine.connect() as connection:
            business_id = await accounts.find_business(connection, business)
        try:
            return await businesses.change(engine, business_id, changes)
        except BadInput as error:
            raise _in_options(error) from error


def _in_options(error: BadInput) -> BadInput:
    """What is wrong, by the names that the terminal has."""
    problems = [Problem(_option_of(problem.pointer), problem.detail) for problem in error.problems]
    first = problems[0]
    return BadInput(f"{first.pointer}: {first.detail}", problems=problems)


def _option_of(pointer: str) -> str:
    """The option of a field, the longest part of the pointer that has one."""
    field = pointer.strip("/")
    while field not in _OPTIONS and "/" in field:
        field = field.rpartition("/")[0]
    return _OPTIONS.get(field, field)


def _words(words: list[str] | None) -> list[str] | None:
    return [] if words == [OFF] else words


def _hours(text: str, days_off: list[str]) -> dict[str, Any]:
    begins_at, _, ends_at = text.partition("-")
    return {"from": begins_at.strip(), "to": ends_at.strip(), "days_off": [day.lower() for day in days_off]}


def _cap(text: str) -> dict[str, Any]:
    messages, parted, days = text.partition("/")
    if not parted:
        detail = f'--frequency-cap is "{text}"; it should be messages and days, such as 2/7, or {OFF}.'
        raise BadInput(detail, pointer="--frequency-cap")
    return {"messages": _number(messages), "days": _number(days)}


def _number(text: str) -> int | str:
    """A whole number, or what stands in its place: the service says what is wrong with it."""
    digits = text.strip()
    is_number = digits.isascii() and digits.isdecimal() and len(digits) < _LONGEST_NUMBER
    return int(digits) if is_number else text


def _answer(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        answer_json(found)
        return
    say(f"{found['name']} is business {found['id']}.")
    for label, value in _lines(found):
        print(f"{label}: {value}")


def _lines(found: dict[str, Any]) -> list[tuple[str, str]]:
    from server.domain import frequency_cap
    from server.domain.quiet_hours import parse

    hours, cap, over = found["quiet_hours"], found["frequency_cap"], found["approval_over"]
    return [
        ("Unknown recipients", found["unknown_policy"]),
        ("Stop words of its own", ", ".join(found["stop_words"]) or "none"),
        ("Start words of its own", ", ".join(found["start_words"]) or "none"),
        ("Time zone", found["time_zone"]),
        ("Quiet hours", str(parse(hours)) if hours else OFF),
        ("Frequency cap", str(frequency_cap.parse(cap)) if cap else OFF),
        ("Reply to an opt-out", found["opt_out_reply"] or OFF),
        ("Reply to an opt-in", found["opt_in_reply"] or OFF),
        ("A second person", OFF if over is None else f"for broadcasts to more than {over:,} people"),
    ]
