"""Row-level security: the second wall between businesses, behind the application's own scoping.

A web request works as the role `clarion_app`, which owns no table, and sees the rows of one business: the one named by
the setting `clarion.business_id` of its transaction. Both are set for the transaction alone, so that a connection that
goes back to the pool takes nothing along, also behind a pooler. Workers, the steward and the commands are the owner of
the tables and see everything. The policies are made by `migrations/row_security.py`.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

ROLE: Final = "clarion_app"
SETTING: Final = "clarion.business_id"

# One round trip; both end with the transaction.
_ACT_FOR: Final = f"/* tenancy.act_for */ SELECT set_config('role', '{ROLE}', true), set_config('{SETTING}', %s, true)"

# Since PostgreSQL 16 whoever made a role is a member of it, and still may not act as it.
MAY_ACT: Final = f"""
    coalesce(pg_has_role(to_regrole('{ROLE}'),
                         CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END),
             false)
"""
_MAY_ACT = text(f"""
    /* tenancy.may_act */ SELECT {MAY_ACT}
""")

_OPEN_TABLES = text("""
    /* tenancy.open_tables   Tables of a business whose rows no policy guards. */
    SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
     WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
       AND a.attname = 'business_id' AND NOT a.attisdropped
       AND NOT (c.relrowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))
     ORDER BY c.relname
""")

_IS_BOUND = text("""
    /* tenancy.is_bound   Workers that the policies bind would find nothing to do, and say nothing. */
    SELECT row_security_active('whatsapp_broadcasts')
""")

_OTHERS_SEEN = text("/* tenancy.others_seen */ SELECT count(*) FROM businesses WHERE id <> :business_id")
_NOBODY: Final = 0
# What a connection carries until it is closed; the next one out of the pool begins without.
_OPTION: Final = "clarion_business_id"

_MAKE_ROLE: Final = f"let an administrator run: CREATE ROLE {ROLE} NOLOGIN; GRANT {ROLE} TO the role of DATABASE_URL"
_RESTORE: Final = "restore the backup again, now that the role is there"


class Trouble(NamedTuple):
    """What is wrong with the wall between businesses, and the mend."""

    what: str
    mend: str


class Connects(Protocol):
    """What gives connections: a whole engine, or one that sees a single business."""

    def connect(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection; what is not committed is rolled back at the end."""

    def begin(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A transaction, committed at the end unless something was raised."""


def _act(connection: Connection) -> None:
    """Begin a transaction of a business: every one, also one that follows a rollback."""
    business_id = connection.get_execution_options().get(_OPTION)
    if business_id is not None:
        connection.exec_driver_sql(_ACT_FOR, (str(business_id),))


@dataclass(frozen=True, slots=True)
class BusinessEngine:
    """Gives connections whose every transaction sees the rows of one business and no others."""

    engine: AsyncEngine
    business_id: int

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """A connection; what is not committed is rolled back at the end."""
        # Once an engine: a listener for each connection would cost more than what it does.
        if not event.contains(self.engine.sync_engine, "begin", _act):
            event.listen(self.engine.sync_engine, "begin", _act)
        async with self.engine.connect() as connection:
            await connection.execution_options(**{_OPTION: self.business_id})
            yield connection

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, committed at the end unless something was raised."""
        async with self.connect() as connection, connection.begin():
            yield connection


async def may_act(connection: AsyncConnection) -> bool:
    """Whether web requests can be answered: the role of DATABASE_URL may act as the one of businesses."""
    return bool(await connection.scalar(_MAY_ACT))


async def trouble(engine: AsyncEngine) -> Trouble | None:
    """Why the wall between businesses does not stand, or stands in the way of the workers; None where all is well."""
    async with engine.connect() as connection:
        if not await may_act(connection):
            return Trouble(f"the role of DATABASE_URL may not act as {ROLE}", _MAKE_ROLE)
        if await connection.scalar(_IS_BOUND):
            return Trouble(
                "the role of DATABASE_URL is not the owner of the tables", "give every process the owner's URL"
            )
        if tables := list(await connection.scalars(_OPEN_TABLES)):
            mend = "".join(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY; " for table in tables)
            return Trouble(f"no policy guards {', '.join(tables)}", f"{mend}or, where it has none, {_RESTORE}")
    try:
        async with BusinessEngine(engine, _NOBODY).connect() as connection:
            seen = await connection.scalar(_OTHERS_SEEN, {"business_id": _NOBODY})
    except DBAPIError as error:
        return Trouble(f"{ROLE} cannot read: {str(error.orig).partition(chr(10))[0]}", _RESTORE)
    return Trouble(f"{ROLE} sees every business", _RESTORE) if seen else None
