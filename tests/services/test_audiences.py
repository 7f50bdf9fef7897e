"""From a list to recipients, in one transaction and in flat memory."""

from collections.abc import Iterable, Iterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import BadInput, StateDoesNotAllow
from server.domain.states import Actor
from server.services import drafts, suppressions
from server.services.audiences import CHUNK_ROWS, Loaded
from server.services.csv_lists import CsvList, Row
from server.services.drafts import NewBroadcast
from server.services.preflight import Outside
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import Tenant, a_business

MESSAGE = {"text": {"body": "Hi {{first_name}}"}}


def a_row(number: int, phone: str, first_name: str = "Dana") -> Row:
    """One person of a list."""
    return Row(number, phone, {"first_name": first_name, "not_needed": "x"})


async def load(
    engine: AsyncEngine, tenant: Tenant, rows: CsvList | Iterable[Row], broadcast_id: int | None = None
) -> tuple[int, Loaded]:
    """A draft of the tenant with these people."""
    async with engine.begin() as connection:
        if broadcast_id is None:
            new = NewBroadcast("A list", MESSAGE, default_country="IL")
            broadcast_id = await drafts.create(connection, tenant.business_id, new)
        return broadcast_id, await drafts.add_recipients(connection, broadcast_id, rows)


async def test_people_come_in_in_the_order_of_the_list(engine: AsyncEngine, database_url: str) -> None:
    rows = [a_row(n, f"+97250{n * 7919 % 10_000_000:07d}") for n in range(1, 500)]
    broadcast_id, loaded = await load(engine, await a_business(engine), rows)
    assert (loaded.accepted_count, loaded.rejected_count) == (499, 0)
    assert_counters_equal_rows(database_url, broadcast_id)
    async with engine.connect() as connection:
        found = await connection.execute(
            text("SELECT row_number, phone, variables FROM whatsapp_broadcast_recipients ORDER BY id")
        )
        assert [tuple(row) for row in found] == [
            (row.number, row.phone, {"first_name": "Dana"}) for row in rows
        ]  # only what the message needs is kept


async def test_the_second_of_the_same_phone_is_a_duplicate_wherever_it_comes(
    engine: AsyncEngine, database_url: str
) -> None:
    tenant = await a_business(engine)
    rows = [a_row(number, f"+97250{number:07d}") for number in range(1, CHUNK_ROWS + 1)]
    rows[1] = a_row(2, "050-0000001")  # in the same chunk
    rows.append(a_row(CHUNK_ROWS + 1, "0500000003"))  # in the next one
    broadcast_id, loaded = await load(engine, tenant, rows)
    assert [(item["row"], item["reason"]) for item in loaded.rejected] == [
        (2, "duplicate"),
        (CHUNK_ROWS + 1, "duplicate"),
    ]
    more = [a_row(1, "+972500000004"), a_row(2, "+972529999999")]
    _, again = await load(engine, tenant, more, broadcast_id)
    assert [(item["row"], item["reason"]) for item in again.rejected] == [(1, "duplicate")]
    books = assert_counters_equal_rows(database_url, broadcast_id)
    assert books.row["total_recipients"] == CHUNK_ROWS
    assert books.row["rejected_count"] == 3


async def test_who_opted_out_before_is_skipped(engine: AsyncEngine, database_url: str) -> None:
    tenant = await a_business(engine)
    async with engine.begin() as connection:
        await suppressions.suppress(connection, tenant.business_id, "+972501111111", "said STOP")
    broadcast_id, loaded = await load(engine, tenant, [a_row(1, "+972501111111"), a_row(2, "+972502222222")])
    assert loaded.accepted_count == 2
    assert assert_counters_equal_rows(database_url, broadcast_id).statuses == {"skipped": 1, "queued": 1}


async def test_a_list_that_breaks_half_way_leaves_nothing(engine: AsyncEngine) -> None:
    def breaks() -> Iterator[Row]:
        yield a_row(1, "+972501111111")
        raise BadInput("The file broke off.")

    with pytest.raises(BadInput, match="broke off"):
        await load(engine, await a_business(engine), breaks())
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM whatsapp_broadcasts")) == 0
        assert await connection.scalar(text("SELECT count(*) FROM whatsapp_broadcast_recipients")) == 0


async def test_nobody_joins_a_broadcast_that_has_started(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    broadcast_id, _ = await load(engine, tenant, [a_row(1, "+972501111111")])
    async with engine.begin() as connection:
        await drafts.start(connection, broadcast_id, by=Actor.USER, starts_per_minute=10, outside=Outside())
    with pytest.raises(StateDoesNotAllow, match="queued cannot take more recipients"):
        await load(engine, tenant, [a_row(2, "+972502222222")], broadcast_id)


async def test_only_the_first_thousand_rejected_rows_are_kept(engine: AsyncEngine, database_url: str) -> None:
    rows = [a_row(1, "+972501111111"), *(a_row(n, "12") for n in range(2, 2_000))]
    broadcast_id, loaded = await load(engine, await a_business(engine), rows)
    assert (loaded.rejected_count, len(loaded.rejected)) == (1_998, 1_000)
    rejected = assert_counters_equal_rows(database_url, broadcast_id).row["rejected"]
    assert isinstance(rejected, list)
    assert len(rejected) == 1_000
