"""An audience becomes recipients: looked up among the contacts, counted before the start and taken when it starts.

Every value is bound; what is put together here are our own words alone. An audience is taken as a list is: who opted
out comes in as `skipped`, and who has no value for something that the message needs is rejected, with the reason.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, TextClause, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.audience import Audience, Condition, Operator, describe, parse
from server.domain.contacts import NAME, PHONE
from server.domain.errors import BadInput
from server.domain.messages import columns_of
from server.domain.people_findings import of_audience
from server.domain.states import Actor, Move
from server.models import WhatsAppBroadcast
from server.services import broadcasts, put_offs, run_cap, segments
from server.services.audiences import KEPT_REJECTED
from server.services.countries import leading

_LARGEST_ID: Final = 2**63 - 1

_LOOK: Final = """
    /* snapshots.look
       Cost: every contact of the audience once; by tags, only those who have them. */
    SELECT count(*) AS contacts_count, count(u.phone) AS opted_out_count,
           count(*) FILTER (WHERE u.phone IS NULL AND {complete}) AS recipients,
           ARRAY[{lacks}] AS lacks
      FROM contacts c
      LEFT JOIN suppressions u ON u.business_id = c.business_id AND u.phone = c.phone
     WHERE {where}
"""

_BY_LEADING_DIGITS: Final = """
    /* snapshots.by_leading_digits
       Cost: as `look`. Free are those whose 24-hour window with the number is open now, where that is asked. */
    SELECT min(c.phone COLLATE "C") AS phone, count(*) AS people_count, count(w.phone) AS free_count
      FROM contacts c
      LEFT JOIN suppressions u ON u.business_id = c.business_id AND u.phone = c.phone
      LEFT JOIN (SELECT DISTINCT phone FROM inbound_messages
                  WHERE business_id = :business_id AND channel_id = :channel_id AND :in_windows
                    AND at > clock_timestamp() - interval '24 hours') AS w ON w.phone = c.phone
     WHERE {where} AND {complete} AND u.phone IS NULL
     GROUP BY {leading}
"""

_PERSON: Final = """
    /* snapshots.person   Cost: one index look-up. */
    SELECT {variables} AS variables FROM contacts c WHERE {where} AND c.phone = :of_phone
"""

_COUNTED: Final = """
    /* snapshots.counted   Cost: every contact of the audience once. */
    SELECT width_bucket({key}, CAST(:lows AS bigint[])) AS nth, count(*) AS people
      FROM contacts c
     WHERE {where} AND {complete}
       AND NOT EXISTS (SELECT FROM suppressions u WHERE u.business_id = c.business_id AND u.phone = c.phone)
     GROUP BY 1
"""

_HAD_ENOUGH: Final = """
    /* snapshots.had_enough   Cost: as `run_cap.over`, and every contact of the audience once. */
    SELECT count(*) FROM contacts c JOIN ({enough}) AS enough ON enough.phone = c.phone
     WHERE {where} AND {complete}
       AND NOT EXISTS (SELECT FROM suppressions u WHERE u.business_id = c.business_id AND u.phone = c.phone)
"""

_TAKE: Final = """
    /* snapshots.take
       Why:  in the transaction of the start, so that a broadcast has its people or has not started.
       Cost: a million in eight seconds on two cores: two index entries a row, as for a list.
       Lock: the broadcast, which the caller has locked, then its recipients. */
    WITH came AS (
        INSERT INTO whatsapp_broadcast_recipients (broadcast_id, business_id, phone, variables, status, error_message)
        SELECT :broadcast_id, c.business_id, c.phone, {variables},
               CASE WHEN u.phone IS NULL THEN 'queued' ELSE 'skipped' END,
               CASE WHEN u.phone IS NULL THEN NULL ELSE 'opted out' END
          FROM contacts c
          LEFT JOIN suppressions u ON u.business_id = c.business_id AND u.phone = c.phone
         WHERE {where} AND {complete}
         ORDER BY c.id
            ON CONFLICT (broadcast_id, phone) DO NOTHING
        RETURNING status
    ), counted AS (SELECT count(*) AS n, count(*) FILTER (WHERE status = 'skipped') AS skipped FROM came)
    UPDATE whatsapp_broadcasts b
       SET total_recipients = b.total_recipients + counted.n,
           skipped_count = b.skipped_count + counted.skipped, processed_count = b.processed_count + counted.skipped
      FROM counted WHERE b.id = :broadcast_id
    RETURNING counted.n - counted.skipped
"""

_REJECT: Final = """
    /* snapshots.reject   Who cannot get this message, by the number of the contact; the first thousand are kept. */
    WITH lacking AS (
        SELECT c.id, c.phone, CASE {reasons} END AS reason FROM contacts c WHERE {where} AND NOT ({complete})
    )
    UPDATE whatsapp_broadcasts b
       SET rejected_count = b.rejected_count + (SELECT count(*) FROM lacking),
           rejected = b.rejected || (
               SELECT coalesce(jsonb_agg(jsonb_build_object('row', id, 'phone', phone, 'reason', reason) ORDER BY id),
                               '[]')
                 FROM (SELECT * FROM lacking ORDER BY id LIMIT :kept) AS first)
     WHERE b.id = :broadcast_id
"""


_NEXT: Final = """
    /* snapshots.next   Cost: the contacts of the business from one on, until one fits. */
    SELECT c.id, c.phone, c.attributes || jsonb_strip_nulls(jsonb_build_object('name', c.name, 'phone', c.phone))
           AS variables
      FROM contacts c
     WHERE {where} AND NOT EXISTS (SELECT FROM suppressions u WHERE u.business_id = c.business_id AND u.phone = c.phone)
       AND (CAST(:phone AS text) IS NULL OR c.phone = CAST(:phone AS text))
       AND c.id > :after_id AND c.id < :before_id
     ORDER BY c.id {order} LIMIT 1
"""


class Person(NamedTuple):
    """Somebody whom a draft goes to. id: of the recipient, or of the contact. variables: what a message can name."""

    id: int
    phone: str
    variables: dict[str, str]


class Place(NamedTuple):
    """Where to look for somebody: by phone, in E.164, or beside somebody else by id; the first of all by default."""

    phone: str | None = None
    after_id: int = 0
    before_id: int = _LARGEST_ID

    @property
    def order(self) -> str:
        """From where: backward only from somebody."""
        return "ASC" if self.before_id == _LARGEST_ID else "DESC"


class Look(NamedTuple):
    """How many an audience is now.

    recipients: those who would be sent to. lacks: for each column, how many of those who may be sent to lack it.
    """

    who: str
    contacts_count: int
    opted_out_count: int
    recipients: int
    lacks: dict[str, int]

    @property
    def reachable_count(self) -> int:
        """Those who have not opted out."""
        return self.contacts_count - self.opted_out_count


async def look(connection: AsyncConnection, business_id: int, audience: Audience, columns: Sequence[str] = ()) -> Look:
    """Count an audience. columns: what a message needs. Raises `BadInput` where its segment is gone."""
    parts = _Parts(business_id, await segments.resolve(connection, business_id, audience), columns)
    row = (await connection.execute(parts.statement(_LOOK), parts.values)).one()
    counted = zip(columns, row.lacks, strict=True) if columns else ()
    lacks = {column: int(count) for column, count in counted if count}
    return Look(describe(parts.audience), row.contacts_count, row.opted_out_count, row.recipients, lacks)


async def by_leading_digits(
    connection: AsyncConnection, business_id: int, audience: Audience, columns: Sequence[str], values: dict[str, Any]
) -> Sequence[Row[Any]]:
    """Those of an audience who would be sent to now, in groups of one country each: any `phone` of a group,
    `people_count` and `free_count`. values: the `channel_id`, and whether it is asked who is `in_windows`.

    An audience whose segment is gone has nobody.
    """
    try:
        parts = _Parts(business_id, await segments.resolve(connection, business_id, audience), columns)
    except BadInput:
        return ()
    return (await connection.execute(parts.statement(_BY_LEADING_DIGITS), {**values, **parts.values})).all()


async def person(
    connection: AsyncConnection, business_id: int, audience: Audience, columns: Sequence[str], phone: str
) -> dict[str, str] | None:
    """What one person of an audience has for the columns of a message; None: they are not in it. phone: E.164.

    Raises `BadInput` where its segment is gone.
    """
    parts = _Parts(business_id, await segments.resolve(connection, business_id, audience), columns)
    row = (await connection.execute(parts.statement(_PERSON), {**parts.values, "of_phone": phone})).one_or_none()
    return None if row is None else {name: value for name, value in row.variables.items() if value is not None}


async def counted(
    connection: AsyncConnection, business_id: int, audience: Audience, columns: Sequence[str], lows: Sequence[int]
) -> dict[int, int]:
    """How many who would be sent to are in each range of numbers (`domain/zones.py`); the first range is 1."""
    parts = _Parts(business_id, await segments.resolve(connection, business_id, audience), columns)
    rows = await connection.execute(parts.statement(_COUNTED), {**parts.values, "lows": list(lows)})
    return {row.nth: row.people for row in rows}


async def had_enough(
    connection: AsyncConnection, business_id: int, audience: Audience, columns: Sequence[str], cap: Mapping[str, int]
) -> int:
    """How many who would be sent to have had enough marketing. cap: what `run_cap.had_enough` binds."""
    parts = _Parts(business_id, await segments.resolve(connection, business_id, audience), columns)
    return int(await connection.scalar(parts.statement(_HAD_ENOUGH), {**parts.values, **cap}) or 0)


async def neighbour(connection: AsyncConnection, business_id: int, audience: Audience, place: Place) -> Person | None:
    """Somebody of an audience who may be sent to, with all that a message can name of them. None: nobody is there.

    Raises `BadInput` where its segment is gone.
    """
    parts = _Parts(business_id, await segments.resolve(connection, business_id, audience), ())
    values = {**parts.values, "phone": place.phone, "after_id": place.after_id, "before_id": place.before_id}
    found = (await connection.execute(parts.statement(_NEXT, order=place.order), values)).one_or_none()
    return None if found is None else Person(found.id, found.phone, found.variables)


async def take(connection: AsyncConnection, broadcast_id: int) -> None:
    """Take the audience of a broadcast that has just been started, in the transaction that started it.

    A broadcast with a list has its people already. Raises `BadInput` where nobody is there to send to.
    """
    columns = (WhatsAppBroadcast.business_id, WhatsAppBroadcast.audience, WhatsAppBroadcast.message)
    row = (await connection.execute(select(*columns).where(WhatsAppBroadcast.id == broadcast_id))).one()
    if row.audience is None:
        return
    audience = await segments.resolve(connection, row.business_id, parse(row.audience))
    parts = _Parts(row.business_id, audience, columns_of(row.message))
    values = {**parts.values, "broadcast_id": broadcast_id}
    queued_count = await connection.scalar(parts.statement(_TAKE), values)
    if parts.columns:
        await connection.execute(parts.statement(_REJECT), {**values, "kept": KEPT_REJECTED})
    if not queued_count:
        found = await look(connection, row.business_id, audience, parts.columns)
        # Nobody, as it was taken: whoever has come between the two looks is too late.
        nobody = next(of_audience(found.who, found.contacts_count, found.opted_out_count, 0, starts_later=False))
        raise BadInput(nobody.detail, pointer=nobody.pointer)


async def take_or_fail(connection: AsyncConnection, broadcast_id: int) -> None:
    """Take the audience of a broadcast that its schedule has just started; where nobody is in it, it has failed."""
    try:
        async with connection.begin_nested():
            await take(connection, broadcast_id)
    except BadInput as error:
        why = broadcasts.Why(detail=error.detail)
        await broadcasts.make(connection, broadcast_id, Move.FAIL, by=Actor.STEWARD, why=why)


class _Parts:
    """The parts of a statement over the contacts of an audience, and the values that they bind."""

    def __init__(self, business_id: int, audience: Audience, columns: Sequence[str]) -> None:
        self.audience, self.columns = audience, columns
        self.values: dict[str, Any] = {"business_id": business_id}
        conditions = ["c.business_id = :business_id"]
        if audience.tags:
            self.values["tags"] = list(audience.tags)
            conditions.append("c.tags @> CAST(:tags AS text[])")
        if audience.any_tags:
            self.values["any_tags"] = list(audience.any_tags)
            conditions.append("c.tags && CAST(:any_tags AS text[])")
        if audience.not_tags:
            self.values["not_tags"] = list(audience.not_tags)
            conditions.append("NOT c.tags && CAST(:not_tags AS text[])")
        conditions += [self._condition(place, condition) for place, condition in enumerate(audience.where)]
        self._where = " AND ".join(conditions)
        self._needed = [self._value(f"column_{place}", column) for place, column in enumerate(columns)]

    def statement(self, pattern: str, order: str = "ASC") -> TextClause:
        """A statement with these parts. Only names that this class made stand in it. order: `ASC` or `DESC`."""
        complete = " AND ".join(f"{value} IS NOT NULL" for value in self._needed) or "true"
        lacks = [f"count(*) FILTER (WHERE u.phone IS NULL AND {value} IS NULL)" for value in self._needed]
        reasons = [
            f"WHEN {value} IS NULL THEN 'no value for ' || CAST(:column_{place} AS text)"
            for place, value in enumerate(self._needed)
        ]
        names = ", ".join(f"CAST(:column_{place} AS text)" for place in range(len(self.columns)))
        variables = f"jsonb_object(ARRAY[{names}], ARRAY[{', '.join(self._needed)}])" if names else "'{}'"
        return text(
            pattern.format(
                where=self._where,
                order=order,
                complete=complete,
                lacks=", ".join(lacks) or "0",
                reasons=" ".join(reasons),
                variables=variables,
                leading=leading("c.phone"),
                key=put_offs.key("c.phone"),
                enough=run_cap.had_enough(":{}"),
            )
        )

    def _value(self, bind: str, attribute: str) -> str:
        """What stands under a name: the name, the phone, or an attribute. Nothing of it is ever empty."""
        self.values[bind] = attribute
        if attribute == NAME:
            return "c.name"
        return "c.phone" if attribute == PHONE else f"(c.attributes ->> CAST(:{bind} AS text))"

    def _condition(self, place: int, condition: Condition) -> str:
        value = self._value(f"attribute_{place}", condition.attribute)
        if condition.operator is Operator.EXISTS:
            return f"{value} IS {'NOT ' if condition.value else ''}NULL"
        self.values[f"value_{place}"] = condition.value
        bound = f"CAST(:value_{place} AS text)"
        match condition.operator:
            case Operator.IS:
                return f"{value} = {bound}"
            case Operator.IS_NOT:
                return f"{value} <> {bound}"
            case Operator.CONTAINS:
                return f"strpos({value}, {bound}) > 0"
