"""An audience becomes recipients: the right people, all of them, once, in the transaction of the start."""

import asyncio
import json
import random
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.audience import Audience, Person, matches, parse
from server.domain.errors import BadInput
from server.domain.preflight import Code, Level
from server.domain.states import Actor
from server.models import WhatsAppBroadcast
from server.services import drafts, preflight, segments, snapshots, steward, suppressions
from server.services.drafts import NewBroadcast
from server.services.preflight import Outside
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import Tenant, a_business

MESSAGE = {"text": {"body": "Hi {{first_name}}, {{name}} of {{city}}"}}
PLAIN = {"text": {"body": "Hi"}}
LATER = steward.Policy(unknown_grace_seconds=900, unknown_max_wait_seconds=21_600, max_attempts=5)

_ADD = text("""
    INSERT INTO contacts (business_id, phone, name, tags, attributes)
    SELECT :business_id, p.phone, p.name, p.tags, p.attributes
      FROM jsonb_to_recordset(CAST(:people AS jsonb)) AS p (phone text, name text, tags text[], attributes jsonb)
""")


async def add(engine: AsyncEngine, tenant: Tenant, *people: Person) -> None:
    """Contacts of the tenant."""
    rows = [
        {"phone": one.phone, "name": one.name, "tags": sorted(one.tags), "attributes": dict(one.attributes)}
        for one in people
    ]
    async with engine.begin() as connection:
        await connection.execute(_ADD, {"business_id": tenant.business_id, "people": json.dumps(rows)})


def person(number: int, *tags: str, name: str | None = None, **attributes: str) -> Person:
    """Somebody, by the last digits of the phone."""
    return Person(f"+97250{number:07d}", name, frozenset(tags), attributes)


async def a_draft(
    engine: AsyncEngine,
    tenant: Tenant,
    raw: dict[str, Any],
    message: dict[str, Any] | None = None,
    scheduled_at: datetime | None = None,
) -> int:
    """A draft to an audience."""
    new = NewBroadcast("To some", message or PLAIN, audience=parse(raw), scheduled_at=scheduled_at)
    async with engine.begin() as connection:
        return await drafts.create(connection, tenant.business_id, new)


async def start(engine: AsyncEngine, broadcast_id: int) -> None:
    """Start it, or put it on its schedule, as a person does."""
    async with engine.begin() as connection:
        await drafts.start(connection, broadcast_id, by=Actor.USER, starts_per_minute=100, outside=Outside())


async def people_of(engine: AsyncEngine, broadcast_id: int) -> dict[str, tuple[str, dict[str, str]]]:
    """Phone to status and variables."""
    async with engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT phone, status, variables FROM whatsapp_broadcast_recipients WHERE broadcast_id = :id"),
            {"id": broadcast_id},
        )
        return {row.phone: (row.status, row.variables) for row in rows}


async def is_due(engine: AsyncEngine, broadcast_id: int) -> None:
    """Let the schedule of a broadcast have come."""
    async with engine.begin() as connection:
        await connection.execute(
            update(WhatsAppBroadcast)
            .where(WhatsAppBroadcast.id == broadcast_id)
            .values(scheduled_at=func.now() - timedelta(seconds=1))
        )


async def a_scheduled(engine: AsyncEngine, tenant: Tenant, raw: dict[str, Any]) -> int:
    """A broadcast to an audience whose time has come, and that nobody has started yet."""
    broadcast_id = await a_draft(engine, tenant, raw, scheduled_at=datetime.now(UTC) + timedelta(hours=1))
    await start(engine, broadcast_id)
    await is_due(engine, broadcast_id)
    return broadcast_id


async def test_the_database_finds_whom_the_audience_means(engine: AsyncEngine) -> None:
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    tenant, other = await a_business(engine), await a_business(engine, "Other")
    values = ["Haifa", "haifa", "Hai", "it's", "x' OR true --", "%", "a\\b", ":value_0", "צפון"]
    names = ["city", "lang", "it's", ":business_id", "name", "phone"]
    tags = ["vip", "staff", "north", "o'hara"]

    def somebody(number: int) -> Person:
        attributes = {key: chance.choice(values) for key in names[:4] if chance.random() < 0.5}
        name = chance.choice([None, *values])
        return Person(f"+97250{number:07d}", name, frozenset(chance.sample(tags, chance.randrange(4))), attributes)

    def a_condition() -> dict[str, Any]:
        operator = chance.choice(["is", "is_not", "contains", "exists"])
        value: Any = chance.random() < 0.5 if operator == "exists" else chance.choice(values)
        return {"attribute": chance.choice(names), operator: value}

    def some() -> Audience:
        wanted = chance.sample(tags, chance.randrange(3))
        one_of = chance.sample(tags, chance.randrange(3))
        ruled_out = [tag for tag in tags if tag not in (*wanted, *one_of) and chance.random() < 0.3]
        where = [a_condition() for _ in range(chance.randrange(3))]
        return parse({"tags": wanted, "any_tags": one_of, "not_tags": ruled_out, "where": where})

    people = [somebody(number) for number in range(300)]
    await add(engine, tenant, *people)
    await add(engine, other, *people[:50])
    for _ in range(150):
        audience = some()
        async with engine.connect() as connection:
            found = await snapshots.look(connection, tenant.business_id, audience)
        assert found.contacts_count == sum(matches(audience, one) for one in people), (seed, audience)


async def test_an_audience_is_taken_when_the_broadcast_starts(engine: AsyncEngine, database_url: str) -> None:
    tenant = await a_business(engine)
    await add(engine, tenant, person(1, "vip", name="Dana", first_name="D", city="Haifa", more="x"))
    await add(engine, tenant, person(2, "vip", "staff", name="Noa", first_name="N", city="Haifa"), person(3))
    broadcast_id = await a_draft(engine, tenant, {"tags": ["vip"], "not_tags": ["staff"]}, MESSAGE)
    await add(engine, tenant, person(4, "vip", name="Late", first_name="L", city="Acre"))
    assert await people_of(engine, broadcast_id) == {}
    await start(engine, broadcast_id)
    assert await people_of(engine, broadcast_id) == {
        "+972500000001": ("queued", {"first_name": "D", "name": "Dana", "city": "Haifa"}),
        "+972500000004": ("queued", {"first_name": "L", "name": "Late", "city": "Acre"}),
    }
    assert assert_counters_equal_rows(database_url, broadcast_id).row["status"] == "queued"


async def test_who_opted_out_is_skipped_and_who_lacks_a_value_is_left_out_with_the_reason(
    engine: AsyncEngine, database_url: str
) -> None:
    tenant = await a_business(engine)
    await add(engine, tenant, person(1, name="A", first_name="A", city="Haifa"))
    await add(engine, tenant, person(2, name="B", first_name="B", city="Haifa"), person(3, name="C", first_name="C"))
    async with engine.begin() as connection:
        await suppressions.suppress(connection, tenant.business_id, "+972500000002", "said STOP")
    broadcast_id = await a_draft(engine, tenant, {}, MESSAGE)
    async with engine.connect() as connection:
        found = await preflight.inspect(connection, broadcast_id, Outside())
    assert (found.recipients, found.errors) == (1, [])
    said = {(finding.level, finding.code): finding.detail for finding in found.findings}
    assert said[Level.INFO, Code.OPTED_OUT] == "1 person of the audience opted out and will get nothing."
    missing = said[Level.WARNING, Code.VALUE_MISSING]
    assert missing == '1 person has no value for "city". Whoever has none is left out.'
    await start(engine, broadcast_id)
    books = assert_counters_equal_rows(database_url, broadcast_id)
    assert books.statuses == {"queued": 1, "skipped": 1}
    assert books.row["rejected"] == [{"row": 3, "phone": "+972500000003", "reason": "no value for city"}]
    assert books.row["rejected_count"] == 1


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({"tags": ["nobody"]}, "Nobody is in this audience: everybody tagged nobody."),
        ({"where": [{"attribute": "no such", "is_not": "x"}]}, "Nobody is in this audience: everybody whose no such"),
        ({"tags": ["out"]}, "Everybody in this audience has opted out: everybody tagged out."),
        ({"tags": ["bare"]}, "2 things keep this broadcast from starting."),
    ],
)
async def test_an_audience_of_nobody_does_not_start(engine: AsyncEngine, raw: dict[str, Any], why: str) -> None:
    tenant = await a_business(engine)
    await add(engine, tenant, person(1, "out", first_name="x"), person(2, "bare"))
    async with engine.begin() as connection:
        await suppressions.suppress(connection, tenant.business_id, "+972500000001", "said STOP")
    broadcast_id = await a_draft(engine, tenant, raw, {"text": {"body": "Hi {{first_name}}"}})
    with pytest.raises(BadInput) as refused:
        await start(engine, broadcast_id)
    assert refused.value.detail.startswith(why)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT status FROM whatsapp_broadcasts")) == "draft"


async def test_a_schedule_takes_whoever_is_there_when_it_starts(engine: AsyncEngine, database_url: str) -> None:
    tenant = await a_business(engine)
    broadcast_id = await a_scheduled(engine, tenant, {"tags": ["vip"]})  # nobody yet: no reason to refuse a schedule
    await add(engine, tenant, person(1, "vip"), person(2, "vip"), person(3))
    rounds = await asyncio.gather(*(steward.go_round(engine, LATER) for _ in range(3)))
    assert sum(done.started_count for done in rounds) == 1
    books = assert_counters_equal_rows(database_url, broadcast_id)
    assert (books.row["status"], books.statuses) == ("queued", {"queued": 2})


@pytest.mark.parametrize("raw", [{"tags": ["vip"]}, {"tags": ["out"]}])
async def test_a_schedule_with_nobody_fails_and_says_so(
    engine: AsyncEngine, database_url: str, raw: dict[str, Any]
) -> None:
    tenant = await a_business(engine)
    await add(engine, tenant, person(1, "out"))
    broadcast_id = await a_scheduled(engine, tenant, raw)
    async with engine.begin() as connection:
        await suppressions.suppress(connection, tenant.business_id, "+972500000001", "said STOP")
    await steward.go_round(engine, LATER)
    books = assert_counters_equal_rows(database_url, broadcast_id)
    assert (books.row["status"], books.statuses.total()) == ("failed", 0)
    assert "this audience" in str(books.row["status_detail"])


async def test_a_saved_segment_is_what_it_is_when_the_broadcast_starts(engine: AsyncEngine, database_url: str) -> None:
    tenant, other = await a_business(engine), await a_business(engine, "Other")
    await add(engine, tenant, person(1, "vip"), person(2, "north"))
    async with engine.begin() as connection:
        segment_id = await segments.create(connection, tenant.business_id, "Some", {"tags": ["vip"]})
    with pytest.raises(BadInput, match=f"There is no segment {segment_id}"):
        await a_draft(engine, other, {"segment_id": segment_id})
    broadcast_id = await a_draft(engine, tenant, {"segment_id": segment_id})
    async with engine.begin() as connection:
        await segments.change(connection, tenant.business_id, segment_id, {"audience": {"tags": ["north"]}})
    await start(engine, broadcast_id)
    assert set(await people_of(engine, broadcast_id)) == {"+972500000002"}


async def test_a_segment_that_is_gone_at_the_start_fails_the_broadcast(engine: AsyncEngine, database_url: str) -> None:
    tenant = await a_business(engine)
    await add(engine, tenant, person(1, "vip"))
    async with engine.begin() as connection:
        segment_id = await segments.create(connection, tenant.business_id, "Some", {"tags": ["vip"]})
    broadcast_id = await a_scheduled(engine, tenant, {"segment_id": segment_id})
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM segments"))
    await steward.go_round(engine, LATER)
    books = assert_counters_equal_rows(database_url, broadcast_id)
    assert (books.row["status"], books.row["status_detail"]) == ("failed", f"There is no segment {segment_id}.")


async def test_a_broadcast_with_an_audience_takes_no_list(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    broadcast_id = await a_draft(engine, tenant, {"tags": ["vip"]})
    with pytest.raises(BadInput, match="has no list"):
        async with engine.begin() as connection:
            await drafts.add_recipients(connection, broadcast_id, [])


async def test_a_start_that_is_taken_back_leaves_nobody(engine: AsyncEngine, database_url: str) -> None:
    tenant = await a_business(engine)
    await add(engine, tenant, person(1, "vip"))
    broadcast_id = await a_draft(engine, tenant, {"tags": ["vip"]})
    async with engine.connect() as connection:
        await drafts.start(connection, broadcast_id, by=Actor.USER, starts_per_minute=100, outside=Outside())
        await connection.rollback()
    books = assert_counters_equal_rows(database_url, broadcast_id)
    assert (books.row["status"], books.statuses.total()) == ("draft", 0)
    await start(engine, broadcast_id)
    assert assert_counters_equal_rows(database_url, broadcast_id).statuses == {"queued": 1}


async def test_two_hundred_thousand_people_are_taken_to_the_last(engine: AsyncEngine, database_url: str) -> None:
    tenant = await a_business(engine)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """INSERT INTO contacts (business_id, phone, name, tags, attributes)
               SELECT %s, '+97250' || lpad(n::text, 7, '0'), 'Name ' || n,
                      CASE WHEN n %% 2 = 0 THEN ARRAY['vip'] ELSE ARRAY['vip', 'staff'] END,
                      CASE WHEN n %% 10 = 0 THEN '{}' ELSE jsonb_build_object('city', 'City ' || n) END
                 FROM generate_series(1, 400000) AS n""",
            (tenant.business_id,),
        )
        connection.execute(
            """INSERT INTO suppressions (business_id, phone, reason)
               SELECT %s, '+97250' || lpad(n::text, 7, '0'), 'said STOP' FROM generate_series(2, 400000, 8) AS n""",
            (tenant.business_id,),
        )
    raw = {"tags": ["vip"], "not_tags": ["staff"]}
    broadcast_id = await a_draft(engine, tenant, raw, {"text": {"body": "Hi {{name}} of {{city}}"}})
    await start(engine, broadcast_id)
    books = assert_counters_equal_rows(database_url, broadcast_id)
    # 200,000 are even; 40,000 of them have no city; 50,000 opted out, 10,000 of whom have no city either.
    assert books.statuses == {"queued": 120_000, "skipped": 40_000}
    assert books.row["rejected_count"] == 40_000
    assert isinstance(books.row["rejected"], list)
    assert len(books.row["rejected"]) == 1_000


async def test_counting_by_a_tag_does_not_read_the_others(engine: AsyncEngine, database_url: str) -> None:
    tenant = await a_business(engine)
    await add(engine, tenant, *(person(n, "rare" if n % 1000 == 0 else "common") for n in range(20_000)))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE contacts")
        rows = connection.execute(
            "EXPLAIN (ANALYZE, TIMING off, COSTS off) SELECT count(*) FROM contacts c"
            " WHERE c.business_id = %s AND c.tags @> ARRAY['rare']",
            (tenant.business_id,),
        ).fetchall()
    plan = "\n".join(row[0] for row in rows)
    assert "contacts_by_tag" in plan, plan
    touched = [int(float(found)) for found in re.findall(r"rows=([\d.]+)", plan)]
    assert max(touched) <= 100, plan
