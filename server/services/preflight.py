"""Pre-flight: what can be known before a broadcast starts, asked of the database, of WhatsApp and of the media link.

It is done in two steps, so that no transaction waits for the network: a `Lookout` asks outside first, and `inspect`
puts its answers beside what the database says, in the transaction that starts the broadcast. A check is a function that
yields findings; `CHECKS` lists them, and a new one only has to be added there. What each finding says is in
`domain/preflight.py`.
"""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.config import Settings
from server.domain.audience import parse
from server.domain.errors import BadInput, NotFound, ProviderAway, ProviderRefuses
from server.domain.hour_findings import WHEN_IT_STARTS, of_local_times, of_quiet_hours
from server.domain.limits import throughput_of
from server.domain.local_time import LocalTime
from server.domain.media_findings import of_link, of_personal_link
from server.domain.messages import MEDIA, MessagePlan, Value, columns_of, plan_text
from server.domain.messaging_limit import limit_of
from server.domain.people_findings import LEFT_OUT, SHOWN_ROWS, Lack, of_audience, of_list, of_people, of_values
from server.domain.preflight import (
    Code,
    Finding,
    Level,
    NumberState,
    Report,
    of_absence,
    of_bad_input,
    of_frequency_cap,
    of_messaging_limit,
    of_number,
    of_pace,
    of_plan,
    of_refusal,
    of_template,
    of_webhook,
    report,
)
from server.domain.quiet_hours import timetable
from server.domain.sending_plan import in_words
from server.domain.sentences import said
from server.models import Channel, WhatsAppBroadcast
from server.providers import media_links, public_hosts
from server.providers.whatsapp import WhatsAppClient
from server.providers.wire import HealthStatus, PhoneNumberNode
from server.secrets import Vault
from server.services import (
    businesses,
    channels,
    costs,
    local_times,
    messaging_limits,
    put_offs,
    run_cap,
    snapshots,
    templates,
)
from server.services.channels import Sender
from server.services.snapshots import Look
from server.tenancy import Connects

# Whoever starts a broadcast waits for the answer; a provider that takes longer counts as away.
ASK_SECONDS: Final = 4.0
LONGEST_REASON: Final = 300
# So long after its time a schedule starts at the latest while a steward runs, many others of that minute among it.
STARTS_WITHIN: Final = timedelta(minutes=5)

_BROADCAST = text("""
    /* preflight.broadcast   From the row alone. */
    SELECT id, business_id, channel_id, message, rate_limit, skipped_count, rejected_count, spread_over_days,
           total_recipients - processed_count - unknown_count AS waiting_count,
           jsonb_path_query_array(rejected, '$[*].reason') AS kept_reasons,
           CASE WHEN status IN ('draft', 'scheduled') THEN audience END AS audience,
           scheduled_at, coalesce(scheduled_at > clock_timestamp(), false) AS starts_later,
           greatest(scheduled_at, clock_timestamp()) AS starts_at,
           status = 'scheduled' AS is_scheduled,
           CASE WHEN by_local_time AND status IN ('draft', 'scheduled') THEN local_time END AS local_time,
           (SELECT time_zone FROM businesses o WHERE o.id = business_id) AS time_zone
      FROM whatsapp_broadcasts WHERE id = :broadcast_id
""")

_OPTED_OUT = text("""
    /* preflight.opted_out
       Why:  an opt-out does not reach into drafts; the start of the run looks once more, and skips them.
       Cost: one index look-up for each suppression of the business, or each recipient, whichever are fewer. */
    SELECT count(*) FROM suppressions s
      JOIN whatsapp_broadcast_recipients r ON r.broadcast_id = :broadcast_id AND r.phone = s.phone
     WHERE s.business_id = :business_id AND r.status = 'queued'
""")

_LACKING = text(r"""
    /* preflight.lacking
       Why:  a list is checked when it comes in; the template may have changed since, and rows may be older than that.
       Cost: every waiting recipient of the broadcast once: for a million and two columns half a second. */
    SELECT needed.name, count(*) AS people_count
      FROM whatsapp_broadcast_recipients r CROSS JOIN unnest(CAST(:columns AS text[])) AS needed (name)
     WHERE r.broadcast_id = :broadcast_id AND r.status = 'queued'
       AND coalesce(r.variables ->> needed.name, '') !~ '\S'
     GROUP BY needed.name
""")

_FIRST_LACKING = text(r"""
    /* preflight.first_lacking   In the order of the list. */
    SELECT row_number FROM whatsapp_broadcast_recipients
     WHERE broadcast_id = :broadcast_id AND status = 'queued' AND row_number IS NOT NULL
       AND coalesce(variables ->> CAST(:name AS text), '') !~ '\S'
     ORDER BY id LIMIT :most
""")

_HAS_BEEN_HEARD = text("""
    /* preflight.has_been_heard */
    SELECT last_status_at IS NOT NULL FROM channels WHERE business_id = :business_id AND id = :channel_id
""")


@dataclass(frozen=True, slots=True)
class Outside:
    """What only the network could tell.

    messaging_limit: people a day, as `domain/messaging_limit.py` reads it. channel_id: the number that was asked about.
    throughput: messages a second that WhatsApp lets it send; None where it did not say.
    """

    findings: tuple[Finding, ...] = ()
    messaging_limit: int | None = None
    channel_id: int | None = None
    throughput: int | None = None


@dataclass(frozen=True, slots=True)
class Lookout:
    """Asks WhatsApp and the media link. Holds no connection of the database while it waits for them."""

    engine: Connects
    configuration: Settings
    vault: Vault

    async def of_broadcast(self, broadcast_id: int) -> Outside:
        """What stands around a broadcast. Raises `NotFound`."""
        columns = (WhatsAppBroadcast.business_id, WhatsAppBroadcast.channel_id, WhatsAppBroadcast.message)
        async with self.engine.connect() as connection:
            row = (await connection.execute(select(*columns).where(WhatsAppBroadcast.id == broadcast_id))).one_or_none()
        if row is None:
            raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
        return await self.of_message(row.business_id, row.channel_id, row.message)

    async def of_message(self, business_id: int, channel_id: int | None, message: Mapping[str, Any]) -> Outside:
        """What stands around a broadcast that is yet to be made. channel_id: None for the business's only one."""
        async with self.engine.connect() as connection:
            try:
                chosen = await channels.choose(connection, business_id, channel_id)
            except BadInput:
                return Outside()  # `inspect`, or making the broadcast, says so
            try:
                sender = await channels.sender(connection, self.vault, chosen)
            except BadInput as error:
                return Outside((Finding(Level.ERROR, Code.CREDENTIALS, str(error)),))
        return await self._ask(sender, message)

    async def _ask(self, sender: Sender, message: Mapping[str, Any]) -> Outside:
        async with WhatsAppClient(
            self.configuration.graph_api_url,
            self.configuration.graph_api_version,
            request_timeout_seconds=ASK_SECONDS,
        ) as client:
            # Where the Cloud API itself is on this machine, the media may be there too: somebody develops.
            may_ask = _anything if client.is_local else public_hosts.is_public
            number, link = await asyncio.gather(_ask_number(client, sender), _ask_link(message, may_ask))
        return dataclasses.replace(number, findings=(*number.findings, *link), channel_id=sender.channel_id)


async def _ask_number(client: WhatsAppClient, sender: Sender) -> Outside:
    try:
        node = await client.phone_number(sender.phone_number_id, sender.token)
    except ProviderRefuses as error:
        return Outside((of_refusal(error.refusal),))
    except ProviderAway as error:
        return Outside((of_absence(str(error)),))
    limit = limit_of(node.whatsapp_business_manager_messaging_limit)
    level = node.throughput.level if node.throughput is not None else None
    return Outside(tuple(of_number(state_of(node))), limit, throughput=throughput_of(level))


def state_of(node: PhoneNumberNode) -> NumberState:
    """A number as WhatsApp describes it."""
    health = node.health_status
    return NumberState(
        status=node.status or "",
        quality=node.quality_rating or "",
        can_send=health.can_send_message if health is not None else "",
        reasons=tuple(_reasons(health)) if health is not None else (),
    )


def _reasons(health: HealthStatus) -> Iterable[str]:
    """Meta's own sentences on what keeps the number from sending, each with its full stop."""
    for entity in health.entities:
        told = [part for error in entity.errors for part in (error.error_description, error.possible_solution) if part]
        for sentence in (*told, *entity.additional_info):
            yield f"{sentence[:LONGEST_REASON].rstrip('. ')}."


async def _ask_link(message: Mapping[str, Any], may_ask: Callable[[str], bool]) -> list[Finding]:
    header = (message.get("template") or {}).get("header") or {}
    for kind in MEDIA:
        link = (header.get(kind) or {}).get("link")
        if not link:
            continue
        value = Value.parse(str(link), is_url=True, is_free_text=True)
        if value.columns:
            return [of_personal_link(kind)]
        url = msgspec.json.decode(value.render({}), type=str)
        return list(of_link(kind, await media_links.ask(url, may_ask=may_ask)))
    return []


def _anything(_: str) -> bool:
    return True


# --- what the database says


@dataclass(frozen=True, slots=True)
class Subject:
    """What all checks look at, read once.

    channel_id: 0 where there is none to send from. plan: None where the message cannot be built. recipients: people who
    would be sent to; opted_out_count: those of the list who would not. rate_per_second: 0 for no limit.
    audience: how many it is now, where it is yet to be taken; about_audience: what stands in its way.
    """

    broadcast: Row[Any]
    channel_id: int
    rate_per_second: int
    plan: MessagePlan | None
    message_findings: tuple[Finding, ...]
    recipients: int
    opted_out_count: int
    audience: Look | None
    about_audience: tuple[Finding, ...]


async def inspect(connection: AsyncConnection, broadcast_id: int, outside: Outside) -> Report:
    """Everything that can be known of a broadcast before it starts. Raises `NotFound`."""
    subject = await _subject(connection, broadcast_id)
    findings = await _checked(connection, subject, outside)
    known = costs.NOTHING_TO_SAY
    if subject.channel_id and subject.recipients > 0:
        known = await costs.estimate(connection, subject.broadcast, subject.channel_id)
    return report([*findings, *known.findings], subject.recipients, subject.rate_per_second, known.cost)


async def inspect_for_start(connection: AsyncConnection, broadcast_id: int, outside: Outside) -> Report:
    """What may stand in the way of a start, and what a person would want to know; not what it costs, which is neither.

    Raises `NotFound`.
    """
    subject = await _subject(connection, broadcast_id)
    return report(await _checked(connection, subject, outside), subject.recipients, subject.rate_per_second)


async def _checked(connection: AsyncConnection, subject: Subject, outside: Outside) -> list[Finding]:
    findings = list(outside.findings)
    for check in CHECKS:
        findings += [finding async for finding in check(connection, subject)]
    return findings


async def _subject(connection: AsyncConnection, broadcast_id: int) -> Subject:
    broadcast = (await connection.execute(_BROADCAST, {"broadcast_id": broadcast_id})).one_or_none()
    if broadcast is None:
        raise NotFound(said("There is no broadcast %(number)s.", number=broadcast_id))
    who = {"broadcast_id": broadcast_id, "business_id": broadcast.business_id}
    opted_out_count = int(await connection.scalar(_OPTED_OUT, who) or 0)
    channel_id, rate_per_second, plan = 0, 0, None
    findings: list[Finding] = []
    try:
        channel_id = await channels.choose(connection, broadcast.business_id, broadcast.channel_id)
    except BadInput as error:
        findings += of_bad_input(Code.CHANNEL, error)
    else:
        channel = (
            await connection.execute(select(Channel.waba_id, Channel.rate_per_second).where(Channel.id == channel_id))
        ).one()
        rate_per_second = min((rate for rate in (broadcast.rate_limit, channel.rate_per_second) if rate), default=0)
        plan, about_message = await _plan(connection, broadcast, channel.waba_id)
        findings += about_message
    recipients, opted_out_count = broadcast.waiting_count - opted_out_count, broadcast.skipped_count + opted_out_count
    audience, about_audience = await _audience(connection, broadcast)
    if audience is not None:
        recipients, opted_out_count = audience.recipients, audience.opted_out_count
    return Subject(
        broadcast=broadcast,
        channel_id=channel_id,
        rate_per_second=rate_per_second,
        plan=plan,
        message_findings=tuple(findings),
        recipients=recipients,
        opted_out_count=opted_out_count,
        audience=audience,
        about_audience=about_audience,
    )


async def _audience(connection: AsyncConnection, broadcast: Row[Any]) -> tuple[Look | None, tuple[Finding, ...]]:
    """How many an audience is that is yet to be taken. None: the people are on the broadcast already, or are gone."""
    if broadcast.audience is None:
        return None, ()
    columns = columns_of(broadcast.message)
    try:
        return await snapshots.look(connection, broadcast.business_id, parse(broadcast.audience), columns), ()
    except BadInput as error:
        return None, tuple(of_bad_input(Code.NOBODY, error))


async def _plan(
    connection: AsyncConnection, broadcast: Row[Any], waba_id: str
) -> tuple[MessagePlan | None, list[Finding]]:
    """How the message is built, and what keeps it from being so. A template that is not approved is still looked at."""
    findings: list[Finding] = []
    try:
        if "text" in broadcast.message:
            return plan_text(broadcast.message), findings
        template = await templates.find(connection, broadcast.business_id, waba_id, broadcast.message)
    except BadInput as error:
        return None, list(of_bad_input(Code.TEMPLATE_UNKNOWN, error))
    findings += of_template(template.name, template.language, template.status, template.category)
    try:
        return templates.plan_of(template, broadcast.message), findings
    except BadInput as error:
        return None, [*findings, *of_bad_input(Code.TEMPLATE_MISMATCH, error)]


async def _check_people(_: AsyncConnection, subject: Subject) -> AsyncIterator[Finding]:
    if subject.broadcast.audience is None:
        findings = of_people(subject.recipients, subject.opted_out_count)
    elif subject.audience is None:
        findings = iter(subject.about_audience)
    else:
        look = subject.audience
        counts = (look.contacts_count, look.opted_out_count, look.recipients)
        findings = of_audience(look.who, *counts, starts_later=subject.broadcast.starts_later)
    for finding in findings:
        yield finding


async def _check_message(_: AsyncConnection, subject: Subject) -> AsyncIterator[Finding]:
    for finding in subject.message_findings:
        yield finding


async def _check_values(connection: AsyncConnection, subject: Subject) -> AsyncIterator[Finding]:
    if subject.audience is not None:
        lacks = [Lack(column, count, ()) for column, count in subject.audience.lacks.items()]
        for finding in of_values(lacks, subject.audience.reachable_count, LEFT_OUT):
            yield finding
    if subject.plan is None or not subject.plan.columns or subject.broadcast.audience is not None:
        return
    counted = await lacking(connection, subject.broadcast.id, subject.plan.columns)
    lacks = [
        Lack(name, counted[name], await _first_rows(connection, subject.broadcast.id, name))
        for name in subject.plan.columns
        if name in counted
    ]
    for finding in of_values(lacks, subject.recipients):
        yield finding


async def lacking(connection: AsyncConnection, broadcast_id: int, columns: Sequence[str]) -> dict[str, int]:
    """How many of those who wait on a list have no value for a column, by column."""
    values = {"broadcast_id": broadcast_id, "columns": list(columns)}
    return {row.name: int(row.people_count) for row in await connection.execute(_LACKING, values)}


async def _first_rows(connection: AsyncConnection, broadcast_id: int, name: str) -> tuple[int, ...]:
    values = {"broadcast_id": broadcast_id, "name": name, "most": SHOWN_ROWS}
    return tuple((await connection.scalars(_FIRST_LACKING, values)).all())


async def _check_list(_: AsyncConnection, subject: Subject) -> AsyncIterator[Finding]:
    for finding in of_list(subject.broadcast.rejected_count, subject.broadcast.kept_reasons):
        yield finding


async def _check_webhook(connection: AsyncConnection, subject: Subject) -> AsyncIterator[Finding]:
    which = {"business_id": subject.broadcast.business_id, "channel_id": subject.channel_id}
    for finding in of_webhook(has_been_heard=bool(await connection.scalar(_HAS_BEEN_HEARD, which))):
        yield finding


async def _check_messaging_limit(connection: AsyncConnection, subject: Subject) -> AsyncIterator[Finding]:
    business_id = subject.broadcast.business_id
    room = await messaging_limits.room(connection, business_id)
    if room is None or subject.recipients <= room.left:
        return
    if subject.broadcast.spread_over_days:
        _, plan = await messaging_limits.plan(connection, business_id, subject.recipients)
        yield of_plan(room.limit, in_words(plan, datetime.now(UTC).date()))
    else:
        for finding in of_messaging_limit(subject.recipients, room.limit, room.left):
            yield finding


async def _check_quiet_hours(connection: AsyncConnection, subject: Subject) -> AsyncIterator[Finding]:
    if subject.plan is None or not subject.plan.is_marketing:
        return
    broadcast = subject.broadcast
    hours = await businesses.hours_of(connection, broadcast.business_id)
    if hours is None:
        return
    local = _local_time(subject)

    def until(zones: tuple[str, ...]) -> datetime | None:
        now = datetime.now(UTC)
        return hours.until(zones, broadcast.starts_at if local is None else max(local.comes_at(zones), now))

    table = timetable(until)
    if subject.audience is None:
        people = await put_offs.counted(connection, broadcast.id, table.lows)
    else:
        audience, columns = parse(broadcast.audience), columns_of(broadcast.message)
        people = await snapshots.counted(connection, broadcast.business_id, audience, columns, table.lows)
    when = WHEN_IT_STARTS if local is None else said("at that time of theirs")
    for finding in of_quiet_hours(str(hours.quiet), table.people_until(people), subject.recipients, when):
        yield finding


async def _check_local_times(connection: AsyncConnection, subject: Subject) -> AsyncIterator[Finding]:
    local = _local_time(subject)
    if local is None or subject.recipients <= 0:
        return
    people_at = await local_times.of_people(connection, subject.broadcast, local)
    # On its schedule it starts when it has just become that time for the first: for them it has not passed.
    late = STARTS_WITHIN if subject.broadcast.is_scheduled else timedelta()
    for finding in of_local_times(local.wall, people_at, datetime.now(UTC) - late):
        yield finding


def _local_time(subject: Subject) -> LocalTime | None:
    row = subject.broadcast
    return None if row.local_time is None else LocalTime(row.local_time, row.time_zone)


async def _check_frequency_cap(connection: AsyncConnection, subject: Subject) -> AsyncIterator[Finding]:
    broadcast = subject.broadcast
    cap = await businesses.cap_of(connection, broadcast.business_id)
    if cap is None or subject.plan is None or not subject.plan.is_marketing:
        return
    if subject.audience is None:
        people_count = await run_cap.counted(connection, broadcast.business_id, broadcast.id, cap)
    else:
        audience, columns = parse(broadcast.audience), columns_of(broadcast.message)
        values = {"broadcast_id": broadcast.id, **cap.as_json()}
        people_count = await snapshots.had_enough(connection, broadcast.business_id, audience, columns, values)
    for finding in of_frequency_cap(str(cap), people_count, subject.recipients):
        yield finding


async def _check_pace(_: AsyncConnection, subject: Subject) -> AsyncIterator[Finding]:
    for finding in of_pace(subject.recipients, subject.rate_per_second):
        yield finding


Check = Callable[[AsyncConnection, Subject], AsyncIterator[Finding]]
# What else may stand in the way of a start comes in here, as one more function.
CHECKS: Final[tuple[Check, ...]] = (
    _check_people,
    _check_message,
    _check_values,
    _check_list,
    _check_webhook,
    _check_messaging_limit,
    _check_local_times,
    _check_quiet_hours,
    _check_frequency_cap,
    _check_pace,
)
