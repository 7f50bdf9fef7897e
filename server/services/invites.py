"""How somebody joins: by a link that opens once, within a week. Nobody is written to; the owner hands the link on.

The link holds 256 random bits, the row their hash. Whether an address signs in elsewhere already is told to whoever
holds the link, not to whoever makes it.
"""

import asyncio
import hashlib
import secrets
from datetime import timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.audit import AuditAct, Who
from server.domain.errors import BadInput, NotFound
from server.domain.roles import Role
from server.domain.sentences import said
from server.models import Business, Invite, User
from server.services import audit, passwords, team
from server.tenancy import Connects

OPENS: Final = timedelta(days=7)
_LONGEST_EMAIL: Final = 254

_USE = text("""
    /* invites.use   Of two who use it at once, one deletes it. */
    DELETE FROM invites WHERE token_hash = :token_hash AND expires_at > clock_timestamp()
    RETURNING business_id, email, role
""")


class Invited(NamedTuple):
    """What a link opens."""

    business_name: str
    email: str
    role: Role
    invited_by: str


class Joined(NamedTuple):
    """Somebody who joined."""

    user_id: int
    business_id: int
    name: str


async def make(connection: AsyncConnection, business_id: int, email: str, role: Role, *, by: str) -> str:
    """A new invite; an older one to the same address opens nothing any more. Returns what the link holds, only now.

    Raises `BadInput` where that is no address, or somebody of the business has it already.
    """
    address = check_email(email)
    taken = select(User.id).where(User.business_id == business_id, func.lower(User.email) == address.lower())
    if await connection.scalar(taken) is not None:
        raise BadInput("Somebody of your team has this address already.", pointer="/email")
    older = delete(Invite).where(Invite.business_id == business_id, func.lower(Invite.email) == address.lower())
    await connection.execute(older)
    token = secrets.token_urlsafe(32)
    values = {
        "business_id": business_id,
        "token_hash": _hash(token),
        "email": address,
        "role": role.value,
        "invited_by": by,
        "expires_at": func.clock_timestamp() + OPENS,
    }
    await connection.execute(insert(Invite).values(values))
    return token


def check_email(email: str) -> str:
    """An address as it is kept. Raises `BadInput`."""
    address = email.strip()
    name, at, domain = address.rpartition("@")
    is_one_word = address.isprintable() and " " not in address
    if not (name and at and domain) or not is_one_word or len(address) > _LONGEST_EMAIL:
        raise BadInput("This is not an e-mail address.", pointer="/email")
    return address


async def listed(connection: AsyncConnection, business_id: int) -> list[dict[str, Any]]:
    """The invites that still open, the newest first."""
    columns = (Invite.id, Invite.email, Invite.role, Invite.invited_by, Invite.expires_at)
    statement = select(*columns).where(Invite.business_id == business_id, Invite.expires_at > func.clock_timestamp())
    return [dict(row) for row in (await connection.execute(statement.order_by(Invite.id.desc()))).mappings()]


async def withdraw(connection: AsyncConnection, business_id: int, invite_id: int) -> str:
    """Let an invite open nothing any more. Returns whose it was. Raises `NotFound`."""
    statement = delete(Invite).where(Invite.business_id == business_id, Invite.id == invite_id)
    email = await connection.scalar(statement.returning(Invite.email))
    if email is None:
        raise NotFound(said("There is no invite %(number)s.", number=invite_id))
    return str(email)


async def look(connection: AsyncConnection, token: str) -> Invited | None:
    """What a link opens; None where it opens nothing, or no longer."""
    columns = select(Business.name, Invite.email, Invite.role, Invite.invited_by).join(
        Business, Business.id == Invite.business_id
    )
    statement = columns.where(Invite.token_hash == _hash(token), Invite.expires_at > func.clock_timestamp())
    row = (await connection.execute(statement)).one_or_none()
    return None if row is None else Invited(row.name, row.email, Role(row.role), row.invited_by)


async def accept(engine: Connects, token: str, name: str, password: str, *, address: str) -> Joined | None:
    """Join with a password. None where the link opens nothing, or no longer.

    Raises `BadInput` for a password that is too short, and where the address signs in elsewhere: the link then stays.
    """
    passwords.check_new(password)
    kept = team.check_name(name)
    hashed = await asyncio.to_thread(passwords.hasher().hash, password)
    try:
        async with engine.begin() as connection:
            row = (await connection.execute(_USE, {"token_hash": _hash(token)})).one_or_none()
            if row is None:
                return None
            values = {"business_id": row.business_id, "email": row.email, "role": row.role}
            statement = insert(User).values(values | {"name": kept, "password_hash": hashed})
            user_id = int(await connection.scalar(statement.returning(User.id)) or 0)
            who = Who(kept or row.email, user_id=user_id, address=address)
            await audit.add(
                connection, row.business_id, who, AuditAct.PERSON_JOINED, subject=row.email, detail=row.role
            )
    except IntegrityError as error:
        raise BadInput("This address signs in to another business here. Ask for an invite to another one.") from error
    return Joined(user_id, row.business_id, who.name)


async def forget(connection: AsyncConnection) -> None:
    """Delete the invites that nobody used in time."""
    await connection.execute(delete(Invite).where(Invite.expires_at < func.clock_timestamp()))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
