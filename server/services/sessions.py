"""Who is signed in to the dashboard. A session is a row: it can be looked at, and ended from elsewhere.

The cookie holds 256 random bits; the row only their hash. Every sign-in makes a new session, so that nobody can be
given one beforehand. A session ends a week after it was last used, and thirty days after it began.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.roles import Permission, Role, may
from server.models import Session, User

IDLE: Final = timedelta(days=7)
LONGEST: Final = timedelta(days=30)
_LONGEST_TEXT: Final = 200

_VISITOR = text("""
    /* sessions.visitor   The last use is written at most once a minute. */
    WITH found AS (
        SELECT s.id, s.last_seen_at, u.id AS user_id, u.business_id, u.email, u.name, u.role, u.language,
               b.name AS business_name
          FROM sessions s JOIN users u ON u.id = s.user_id JOIN businesses b ON b.id = u.business_id
         WHERE s.token_hash = :token_hash AND s.last_seen_at > clock_timestamp() - :idle
           AND s.created_at > clock_timestamp() - :longest
    ), seen AS (
        UPDATE sessions SET last_seen_at = clock_timestamp()
         WHERE id = (SELECT id FROM found WHERE last_seen_at < clock_timestamp() - interval '1 minute')
    )
    SELECT * FROM found
""")

_FORGET = text("""
    /* sessions.forget */
    DELETE FROM sessions
     WHERE last_seen_at < clock_timestamp() - :idle OR created_at < clock_timestamp() - :longest
""")


class Visitor(NamedTuple):
    """A person who is signed in. name: what others call them; the address where they gave none."""

    session_id: int
    user_id: int
    business_id: int
    email: str
    name: str
    role: Role
    language: str | None
    business_name: str

    def may(self, needed: Permission) -> bool:
        """Whether their role allows it."""
        return may(self.role, needed)


async def begin(connection: AsyncConnection, user_id: int, business_id: int, *, address: str, browser: str) -> str:
    """A new session. Returns the token for the cookie, which is kept nowhere."""
    token = secrets.token_urlsafe(32)
    values = {"user_id": user_id, "business_id": business_id, "token_hash": _hash(token)}
    told = {"address": address[:_LONGEST_TEXT], "browser": browser[:_LONGEST_TEXT]}
    await connection.execute(insert(Session).values(values | told))
    signed_in = update(User).where(User.id == user_id).values(last_signed_in_at=func.clock_timestamp())
    await connection.execute(signed_in)
    return token


async def visitor(connection: AsyncConnection, token: str) -> Visitor | None:
    """Who comes with this token; None where the session is over, or never was."""
    values = {"token_hash": _hash(token), "idle": IDLE, "longest": LONGEST}
    row = (await connection.execute(_VISITOR, values)).one_or_none()
    if row is None:
        return None
    return Visitor(
        session_id=row.id,
        user_id=row.user_id,
        business_id=row.business_id,
        email=row.email,
        name=row.name or row.email,
        role=Role(row.role),
        language=row.language,
        business_name=row.business_name,
    )


async def end(connection: AsyncConnection, session_id: int) -> None:
    """Sign out."""
    await connection.execute(delete(Session).where(Session.id == session_id))


async def end_all(connection: AsyncConnection, user_id: int, *, but_session_id: int | None = None) -> int:
    """Sign a person out everywhere (but here). Returns how many sessions that ended."""
    statement = delete(Session).where(Session.user_id == user_id)
    if but_session_id is not None:
        statement = statement.where(Session.id != but_session_id)
    return len((await connection.execute(statement.returning(Session.id))).all())


async def end_one(connection: AsyncConnection, user_id: int, session_id: int) -> bool:
    """End one of a person's own sessions. False: there is no such one, or it is somebody else's."""
    statement = delete(Session).where(Session.user_id == user_id, Session.id == session_id)
    return await connection.scalar(statement.returning(Session.id)) is not None


async def listed(connection: AsyncConnection, user_id: int) -> list[dict[str, Any]]:
    """Where a person is signed in, the last used first."""
    columns = (Session.id, Session.address, Session.browser, Session.created_at, Session.last_seen_at)
    now = func.clock_timestamp()
    statement = select(*columns).where(
        Session.user_id == user_id, Session.last_seen_at > now - IDLE, Session.created_at > now - LONGEST
    )
    return [dict(row) for row in (await connection.execute(statement.order_by(Session.last_seen_at.desc()))).mappings()]


async def count(connection: AsyncConnection, user_id: int) -> int:
    """How many sessions a person has."""
    statement = select(func.count()).select_from(Session).where(Session.user_id == user_id)
    return int(await connection.scalar(statement) or 0)


async def forget(connection: AsyncConnection) -> None:
    """Delete the sessions that are over."""
    await connection.execute(_FORGET, {"idle": IDLE, "longest": LONGEST})


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
