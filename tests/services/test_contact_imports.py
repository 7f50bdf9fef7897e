"""A list of any size becomes contacts, a chunk at a time, in flat memory, each person once."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import BadInput
from server.domain.wishes import Wish
from server.services import consents
from server.services.consents import WishTold
from server.services.contact_imports import CHUNK_ROWS, Imported, import_contacts
from server.services.contact_lists import ContactRow, OptIn
from tests.support.builders import a_broadcast, a_business

YESTERDAY = datetime(2026, 11, 24, tzinfo=UTC)


def rows(numbers: range, **fields: list[str]) -> Iterator[ContactRow]:
    """People by their numbers."""
    for number in numbers:
        yield ContactRow(number + 1, f"+97250{number:07d}", **fields)  # type: ignore[arg-type]


async def count(engine: AsyncEngine, where: str = "true") -> int:
    """How many contacts there are."""
    async with engine.connect() as connection:
        return int(await connection.scalar(text(f"SELECT count(*) FROM contacts WHERE {where}")) or 0)  # noqa: S608


async def test_each_person_is_kept_once_however_often_and_wherever_the_list_names_them(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)

    def a_list() -> Iterator[ContactRow]:
        yield from rows(range(CHUNK_ROWS + 5), tags=["a"])
        yield ContactRow(0, "+972500000000", name="Dana", tags=["b"], attributes={"city": "Haifa"})
        yield ContactRow(0, "+972500000000", name="Dina", tags=["c"])

    done = await import_contacts(engine, tenant.business_id, a_list())
    assert (done.created_count, done.updated_count, done.accepted_count) == (CHUNK_ROWS + 5, 1, CHUNK_ROWS + 7)
    assert await count(engine) == CHUNK_ROWS + 5
    same = "phone = '+972500000000' AND name = 'Dina' AND tags = '{a,b,c}' AND attributes = '{\"city\": \"Haifa\"}'"
    assert await count(engine, same) == 1


async def test_lists_that_name_the_same_people_in_any_order_may_come_at_once(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    there, back = range(CHUNK_ROWS), range(CHUNK_ROWS - 1, -1, -1)
    lists = [rows(order, tags=[tag]) for order, tag in ((there, "a"), (back, "b"), (there, "c"), (back, "d"))]
    done: list[Imported] = await asyncio.gather(
        *(import_contacts(engine, tenant.business_id, people) for people in lists)
    )
    assert sum(one.created_count for one in done) == CHUNK_ROWS
    assert await count(engine, "tags = '{a,b,c,d}'") == CHUNK_ROWS


async def test_what_came_in_before_a_list_broke_off_stays_and_the_error_says_so(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)

    def breaks() -> Iterator[ContactRow]:
        yield from rows(range(CHUNK_ROWS))
        yield ContactRow(CHUNK_ROWS + 1, "+972509999999")
        raise BadInput("The list cannot be read on.")

    with pytest.raises(BadInput, match=r"cannot be read on\. 10,000 rows before it were taken in\."):
        await import_contacts(engine, tenant.business_id, breaks())
    assert await count(engine) == CHUNK_ROWS


async def test_a_list_that_says_in_and_out_at_once_means_out(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    when = OptIn(YESTERDAY, "shop", None)
    people = [ContactRow(1, "+972500000001", opt_in=when), ContactRow(2, "+972500000001", opt_out=True)]
    done = await import_contacts(engine, tenant.business_id, iter(people))
    assert (done.opted_out_count, done.still_opted_out_count) == (1, 0)


async def test_a_stop_that_is_heard_late_is_not_hidden_by_a_list(engine: AsyncEngine) -> None:
    """The list knows of an opt-in of January; a STOP of yesterday comes by webhook only after the list."""
    tenant = await a_business(engine)
    january = OptIn(datetime(2026, 1, 1, tzinfo=UTC), "shop", None)
    await import_contacts(engine, tenant.business_id, iter([ContactRow(1, "+972500000001", opt_in=january)]))
    async with engine.begin() as connection:
        await consents.tell(
            connection, WishTold(tenant.business_id, "+972500000001", Wish.STOP, "wrote STOP", YESTERDAY)
        )
        assert await connection.scalar(text("SELECT count(*) FROM suppressions")) == 1


async def test_the_opt_outs_of_a_list_reach_every_broadcast_that_can_still_send(engine: AsyncEngine) -> None:
    tenant = await a_business(engine)
    queued = await a_broadcast(engine, 10, tenant=tenant)
    paused = await a_broadcast(engine, 5, tenant=tenant, status="paused")
    ended = await a_broadcast(engine, 5, tenant=tenant, status="completed")
    elsewhere = await a_broadcast(engine, 5, tenant=await a_business(engine, "Other"))
    people = [ContactRow(n, f"+97250{n:07d}", opt_out=True) for n in range(3, 9)]
    await import_contacts(engine, tenant.business_id, iter(people))
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT id, skipped_count, processed_count FROM whatsapp_broadcasts"))
        assert {tuple(row) for row in found} == {
            (queued.id, 6, 6), (paused.id, 3, 3), (ended.id, 0, 0), (elsewhere.id, 0, 0),
        }  # fmt: skip
