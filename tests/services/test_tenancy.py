"""Row-level security stands behind the application's own scoping, for every table there is."""

from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.ext.asyncio import AsyncEngine

from server.domain.errors import BadInput
from server.domain.messages import plan_text
from server.migrations import downgrade, upgrade
from server.migrations.row_security import protect, tables_of_businesses
from server.services.audiences import load_recipients
from server.services.csv_lists import Row
from server.tenancy import ROLE, BusinessEngine, trouble
from tests.support.builders import a_broadcast, a_business


async def test_every_table_of_a_business_is_guarded(engine: AsyncEngine) -> None:
    assert await trouble(engine) is None
    async with engine.connect() as connection:
        tables = await connection.run_sync(tables_of_businesses)
        assert {"whatsapp_broadcasts", "whatsapp_broadcast_recipients", "api_keys", "idempotency_keys"} <= set(tables)
        rows = await connection.execute(
            text("SELECT relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid WHERE c.relrowsecurity")
        )
        assert {row.relname for row in rows} >= {*tables, "businesses", "message_statuses"}


async def test_a_table_that_a_migration_forgot_is_found_and_one_line_guards_it(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE forgotten (id BIGINT, business_id BIGINT)"))
    found = await trouble(engine)
    assert found is not None
    assert found.what == "no policy guards forgotten"
    async with engine.begin() as connection:
        await connection.run_sync(lambda plain: protect(plain, "forgotten"))
    assert await trouble(engine) is None


async def test_a_business_sees_its_own_rows_and_no_others(engine: AsyncEngine) -> None:
    ours, theirs = await a_broadcast(engine, 2), await a_broadcast(engine, 3, tenant=await a_business(engine, "Other"))
    look = text("SELECT broadcast_id, count(*) FROM whatsapp_broadcast_recipients GROUP BY 1 ORDER BY 1")
    for made, count in ((ours, 2), (theirs, 3)):
        async with BusinessEngine(engine, made.business_id).begin() as connection:
            assert (await connection.execute(look)).all() == [(made.id, count)]
            assert list(await connection.scalars(text("SELECT id FROM businesses"))) == [made.business_id]
    async with engine.connect() as connection:
        assert len((await connection.execute(look)).all()) == 2  # a connection takes nothing along


async def test_every_transaction_of_a_connection_is_the_business_own(engine: AsyncEngine) -> None:
    ours = await a_broadcast(engine, 1)
    await a_broadcast(engine, 1, tenant=await a_business(engine, "Other"))
    look = text("SELECT id FROM whatsapp_broadcasts")
    async with BusinessEngine(engine, ours.business_id).connect() as connection:
        for end in (connection.rollback, connection.commit, connection.rollback):
            assert list(await connection.scalars(look)) == [ours.id]
            await end()


async def test_rows_of_another_business_cannot_be_changed(engine: AsyncEngine) -> None:
    ours = await a_broadcast(engine, 1)
    theirs = await a_broadcast(engine, 1, tenant=await a_business(engine, "Other"))
    mine = BusinessEngine(engine, ours.business_id)
    async with mine.begin() as connection:
        for statement in ("UPDATE whatsapp_broadcasts SET name = 'x'", "DELETE FROM whatsapp_broadcast_recipients"):
            done = await connection.execute(text(f"{statement} WHERE business_id = {theirs.business_id}"))
            assert done.rowcount == 0


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO suppressions (business_id, phone, reason) VALUES (0, '+972500000001', 'stop')",
        "UPDATE whatsapp_broadcasts SET business_id = 0",
        "INSERT INTO businesses (name) VALUES ('New')",
        "DELETE FROM businesses",
        "SELECT body FROM webhook_inbox",
        "DROP TABLE whatsapp_broadcasts",
    ],
)
async def test_what_a_business_may_not_do_is_refused(engine: AsyncEngine, statement: str) -> None:
    ours = await a_broadcast(engine, 1)
    async with BusinessEngine(engine, ours.business_id).connect() as connection:
        with pytest.raises(ProgrammingError, match=r"row-level security|permission denied|must be owner"):
            await connection.execute(text(statement))


async def test_a_list_comes_in_by_copy_under_the_guard(engine: AsyncEngine) -> None:
    draft = await a_broadcast(engine, 0, status="draft")
    async with BusinessEngine(engine, draft.business_id).begin() as connection:
        loaded = await load_recipients(
            connection,
            broadcast_id=draft.id,
            business_id=draft.business_id,
            rows=[Row(1, "+972501234567", {"first_name": "Dana"})],
            plan=plan_text({"text": {"body": "Hi {{first_name}}"}}),
            default_country=None,
        )
    assert loaded.accepted_count == 1


async def test_a_role_that_the_policies_bind_is_found(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TABLE whatsapp_broadcasts FORCE ROW LEVEL SECURITY"))
    found = await trouble(engine)
    assert found is not None
    assert found.what == "the role of DATABASE_URL is not the owner of the tables"


def test_a_role_that_may_not_make_the_other_is_told_what_to_run(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("CREATE ROLE plain_owner LOGIN PASSWORD 'secret'")
        connection.execute("GRANT ALL ON SCHEMA public TO plain_owner")
    parts = urlsplit(empty_database_url)
    url = urlunsplit(parts._replace(netloc=f"plain_owner:secret@{parts.netloc.rpartition('@')[2]}"))
    with pytest.raises(BadInput, match=f"CREATE ROLE {ROLE} NOLOGIN; GRANT {ROLE} TO plain_owner;"):
        upgrade(url)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(f"GRANT {ROLE} TO plain_owner")
    assert upgrade(url)
    downgrade(url)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(f"REVOKE {ROLE} FROM plain_owner")
        connection.execute("GRANT plain_owner TO current_user")
        connection.execute("DROP OWNED BY plain_owner")
        connection.execute("DROP ROLE plain_owner")
