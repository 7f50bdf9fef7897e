"""`clarion send`: the main job. A file becomes delivered messages, watched to the end."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.cli.crew import Crew, crew
from server.cli.environment import environment, say_data_folder, transact
from server.cli.lists import clean_tags, country_code, reading_progress, say_rejected
from server.cli.output import HIGHEST_ID, HIGHEST_RATE, Exit, answer_json, counted, is_terminal, say
from server.config import settings
from server.database import async_engine, database_errors
from server.domain.errors import BadInput, ClarionError, StateDoesNotAllow
from server.domain.states import Actor

if TYPE_CHECKING:
    from server.domain.audience import Audience
    from server.domain.preflight import Report
    from server.services.audiences import Loaded
    from server.services.csv_lists import CsvList
    from server.services.drafts import NewBroadcast
    from server.services.preflight import Outside


def send(
    business: Annotated[str, typer.Option(help="Name of the business.")],
    template: Annotated[str, typer.Option(help="Name of the template.")],
    language: Annotated[str, typer.Option(metavar="CODE", help="Its language, such as en_US.")],
    file: Annotated[str | None, typer.Argument(metavar="FILE.csv", help="The list; - reads standard input.")] = None,
    tag: Annotated[
        list[str] | None, typer.Option(help="To contacts with this tag, in place of a file; may be given twice.")
    ] = None,
    not_tag: Annotated[list[str] | None, typer.Option(help="But not to those with this one.")] = None,
    var: Annotated[
        list[str] | None,
        typer.Option(metavar="N=COLUMN", help="Which column fills a variable; or a text with {{column}}."),
    ] = None,
    header: Annotated[
        str | None, typer.Option(metavar="KIND=VALUE", help="The header: image=https://…, or text={{column}}.")
    ] = None,
    button: Annotated[
        list[str] | None, typer.Option(metavar="N=VALUE", help="The value of a button, counted from 0.")
    ] = None,
    country: Annotated[str | None, typer.Option(help="Country of numbers without a country code, such as IL.")] = None,
    rate: Annotated[int | None, typer.Option(min=1, max=HIGHEST_RATE, help="Messages a second, at most.")] = None,
    name: Annotated[str | None, typer.Option(help="What to call the broadcast; by default the file's name.")] = None,
    channel: Annotated[
        int | None, typer.Option(min=1, max=HIGHEST_ID, help="The channel to send from, where there are several.")
    ] = None,
    phone_column: Annotated[str | None, typer.Option(help="The column that holds the numbers.")] = None,
    canary: Annotated[
        bool, typer.Option("--canary", help="Send to the first 1 % and see how they take it, then to everybody else.")
    ] = False,
    spread_over_days: Annotated[
        bool, typer.Option("--spread-over-days", help="The list is meant to take several days of the messaging limit.")
    ] = False,
    no_watch: Annotated[bool, typer.Option("--no-watch", help="Start it, and leave.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask. Off a terminal nobody is asked.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The broadcast as JSON, on the last line of stdout.")] = False,
) -> None:
    """Send a template to everybody in a CSV file, or to contacts by their tags, to nobody twice, and watch it go.

    Each call is a broadcast of its own: sending the same file again reaches the same people again.
    """
    from server.domain.canary import Bounds
    from server.services.csv_lists import open_csv
    from server.services.drafts import NewBroadcast

    audience = _audience(file, tag or [], not_tag or [])
    new = NewBroadcast(
        name=name or _name(file, audience),
        message={"template": _template(template, language, var or [], header, button or [])},
        channel_id=channel,
        default_country=country_code(country),
        rate_limit=rate,
        canary=Bounds() if canary else None,
        spread_over_days=spread_over_days,
        audience=audience,
    )
    people = None if file is None else open_csv(file, phone_column)
    configuration = settings()  # before the environment of this command hides whose servers it uses
    with ExitStack() as stack:
        found = stack.enter_context(environment())
        if not as_json:
            say_data_folder(configuration)
        hired = None
        if not no_watch:
            business_id = _business_id(found.database_url, business)
            hired = stack.enter_context(crew(configuration.data_dir, found.redis_url, business_id))
        shown = _send(found.database_url, found.redis_url, business, new, people, ask=not yes and file != "-")
        if shown is None:
            say("Nothing was sent.")
            return
        if hired is None:
            _say_where_to_look(shown["id"], found.redis_url)
        else:
            shown = _watch(found.database_url, shown, hired)
        if as_json:
            answer_json(shown)
    if not no_watch:
        from server.cli.watch import exit_of

        raise typer.Exit(exit_of(shown))


def _business_id(database_url: str, business: str) -> int:
    from server.services import accounts

    return transact(database_url, lambda connection: accounts.find_business(connection, business))


def _send(
    database_url: str, redis_url: str, business: str, new: "NewBroadcast", people: "CsvList | None", *, ask: bool
) -> dict[str, Any] | None:
    """Read the list, say what will happen, ask, start. None: the person said no, and the draft is gone."""
    from server.cli.preflight import say_or_refuse

    with database_errors():
        shown, loaded, outside, found = asyncio.run(_load(database_url, business, new, people))
        people_count = found.recipients if loaded is None else loaded.accepted_count
        _say_what_will_happen(loaded, people_count, new)
        with _forgotten_unless_started(database_url, shown["id"]):
            say_or_refuse(found)
            if ask and not _is_wanted(people_count):
                asyncio.run(_forget(database_url, shown["id"]))
                return None
            shown = asyncio.run(_start(database_url, shown["id"], outside))
    hint(redis_url, shown["id"])
    return shown


def _is_wanted(people_count: int) -> bool:
    """Ask the person at the terminal. A script has nobody to ask and means what it says: it goes on."""
    if not is_terminal():
        say("Not at a terminal: it starts without asking.")
        return True
    return typer.confirm(f"Send to {counted(people_count, 'person', 'people')}?", err=True)


async def _load(
    database_url: str, business: str, new: "NewBroadcast", people: "CsvList | None"
) -> "tuple[dict[str, Any], Loaded | None, Outside, Report]":
    """The draft, what became of the list (of an audience there is none yet), and its pre-flight: one transaction."""
    from server.cli.preflight import asking
    from server.services import accounts, broadcast_json, drafts, preflight

    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(async_engine(database_url))
        connection = await stack.enter_async_context(engine.begin())
        business_id = await accounts.find_business(connection, business)
        # WhatsApp answers while the list is read.
        answer = await stack.enter_async_context(asking(engine, business_id, new))
        broadcast_id = await drafts.create(connection, business_id, new)
        loaded = None
        if people is not None:
            loaded = await drafts.add_recipients(connection, broadcast_id, people, reading_progress())
        if loaded is not None and not loaded.accepted_count:
            say_rejected(loaded)
            raise BadInput("Nobody in this list can be sent to.")
        shown = await broadcast_json.show(connection, business_id, broadcast_id)
        outside = await answer
        return shown, loaded, outside, await preflight.inspect(connection, broadcast_id, outside)


@contextmanager
def _forgotten_unless_started(database_url: str, broadcast_id: int) -> Iterator[None]:
    """Leave no draft behind where the person leaves at the question, or the start is refused."""
    try:
        yield
    except (ClarionError, typer.Abort, KeyboardInterrupt, SystemExit):
        with suppress(StateDoesNotAllow):  # it had started when Ctrl-C came
            asyncio.run(_forget(database_url, broadcast_id))
        raise


async def _forget(database_url: str, broadcast_id: int) -> None:
    from server.services import drafts

    async with async_engine(database_url) as engine, engine.begin() as connection:
        await drafts.forget(connection, broadcast_id)


async def _start(database_url: str, broadcast_id: int, outside: "Outside") -> dict[str, Any]:
    """Start the draft. Returns the broadcast as it stands then."""
    from server.services import broadcast_json, drafts

    async with async_engine(database_url) as engine, engine.begin() as connection:
        starts_per_minute = settings().bulk_starts_per_minute
        await drafts.start(
            connection, broadcast_id, by=Actor.USER, starts_per_minute=starts_per_minute, outside=outside
        )
        return await broadcast_json.show(connection, None, broadcast_id)


def hint(redis_url: str, broadcast_id: int) -> None:
    """Ask a worker to look at a broadcast."""
    from server.jobs.hints import Due, enqueue_broadcast
    from server.jobs.queues import broadcasts_queue, connect

    enqueue_broadcast(broadcasts_queue(connect(redis_url)), Due(broadcast_id))


def _watch(database_url: str, shown: dict[str, Any], hired: Crew) -> dict[str, Any]:
    from server.cli.watch import watch

    try:
        return watch(database_url, shown["id"], hired.look)
    except KeyboardInterrupt:
        where = "is handed back; it goes on with `clarion up`" if hired.runs_itself else "goes on"
        say(f"\nStopped watching. Broadcast {shown['id']} {where}. `clarion broadcasts watch {shown['id']}` shows it.")
        if hired.runs_itself:
            say("Do not send the file again: that would be another broadcast, to the same people.")
        raise SystemExit(Exit.INTERRUPTED) from None  # all is said


# --- what is asked for


def _audience(file: str | None, tags: list[str], not_tags: list[str]) -> "Audience | None":
    """Whom of the contacts, where no file is given. Raises `BadInput` for both, or neither."""
    from server.domain.audience import parse

    if file is not None:
        if tags or not_tags:
            raise BadInput("Give either a file or --tag, not both.", pointer="--tag")
        return None
    if not tags:
        raise BadInput("To whom? Give a CSV file, or --tag for contacts with that tag.", pointer="FILE.csv")
    return parse({"tags": clean_tags(tags, "--tag"), "not_tags": clean_tags(not_tags, "--not-tag")})


def _name(file: str | None, audience: "Audience | None") -> str:
    """What a broadcast is called that nobody gave a name."""
    from server.domain.audience import describe

    if file is None:
        return describe(audience).capitalize()[:200] if audience is not None else ""
    return "Standard input" if file == "-" else Path(file).stem


def _template(name: str, language: str, variables: list[str], header: str | None, buttons: list[str]) -> dict[str, Any]:
    template: dict[str, Any] = {
        "name": name,
        "language": language,
        "variables": {key: _value(value) for key, value in (_pair(text, "--var") for text in variables)},
    }
    if header is not None:
        kind, value = _pair(header, "--header")
        template["header"] = {kind: value if kind == "text" else {"link": value}}
    if buttons:
        template["buttons"] = dict(_pair(text, "--button") for text in buttons)
    return template


def _pair(text: str, option: str) -> tuple[str, str]:
    key, is_pair, value = text.partition("=")
    if not is_pair or not key.strip() or not value.strip():
        raise BadInput(f'{option} is "{text}"; it should be like 1=first_name.', pointer=option)
    return key.strip(), value.strip()


def _value(text: str) -> str:
    """A column's name stands for its value; a text with placeholders for itself."""
    return text if "{{" in text else f"{{{{{text}}}}}"


# --- what is said


def _say_what_will_happen(loaded: "Loaded | None", people_count: int, new: "NewBroadcast") -> None:
    say(f"{new.name}: {counted(people_count, 'person', 'people')}, template {new.message['template']['name']}.")
    if loaded is not None:
        say_rejected(loaded)


def _say_where_to_look(broadcast_id: int, redis_url: str) -> None:
    say(f"Broadcast {broadcast_id} is started; `clarion broadcasts watch {broadcast_id}` shows it.")
    say_unless_somebody_works(redis_url)


def say_unless_somebody_works(redis_url: str) -> None:
    """A broadcast that was started, resumed or retried waits for a worker: say so where there is none."""
    from server.jobs.queues import BROADCASTS, connect
    from server.jobs.worker import is_anybody_working

    if not is_anybody_working(connect(redis_url), BROADCASTS):
        say("No worker is running: it goes on once one is, for example with `clarion up`.")
