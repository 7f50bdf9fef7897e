"""Row-level security: the second wall between businesses, behind the application's own scoping.

A web request works as the role `clarion_app`, which owns no table, and sees the rows of one business: the one named by
the setting `clarion.business_id` of its transaction. Both are set for the transaction alone, so that a connection that
goes back to the pool takes nothing along, also behind a pooler. Workers, the steward and the commands are the owner of
the tables and see everything. The policies are made by `migrations/row_security.py`.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

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

_OTHERS_SEEN = text("/* tenancy.others_seen */ SELECT count(*) FROM businesses WHERE id <> :business_id")
_NOBODY: Final = 0
# What a connection carries until it is closed; the next one out of the pool begins without.
_OPTION: Final = "clarion_business_id"

MEND: Final = f"CREATE ROLE {ROLE} NOLOGIN; GRANT {ROLE} TO the role of DATABASE_URL; then clarion migrate"


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


async def trouble(engine: AsyncEngine) -> str | None:
    """Why the wall between businesses does not stand, in words; None where it does."""
    async with engine.connect() as connection:
        if not await connection.scalar(_MAY_ACT):
            return f"the role of DATABASE_URL may not act as {ROLE}"
        if open_tables := list(await connection.scalars(_OPEN_TABLES)):
            return f"no policy guards {', '.join(open_tables)}"
    try:
        async with BusinessEngine(engine, _NOBODY).connect() as connection:
            seen = await connection.scalar(_OTHERS_SEEN, {"business_id": _NOBODY})
    except DBAPIError as error:
        return f"{ROLE} cannot read: {str(error.orig).partition(chr(10))[0]}"
    return f"{ROLE} sees every business" if seen else None
