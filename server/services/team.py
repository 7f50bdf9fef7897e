"""The people of a business: who they are, what they may do, and how one is taken away.

A business always has an owner: whoever would be the last one stays one. Two who act at once are put in order by locking
the owners.
"""

from typing import Any

from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import BadInput, NotFound, NotNow
from server.domain.roles import MAY, Permission, Role
from server.domain.sentences import said
from server.models import User

LONGEST_NAME = 100

_OWNERS = text("""
    /* team.owners   Locked in the order of their ids; whoever waited here counts those that are left. */
    SELECT id FROM users WHERE business_id = :business_id AND role = 'owner' ORDER BY id FOR UPDATE
""")


async def listed(connection: AsyncConnection, business_id: int) -> list[dict[str, Any]]:
    """Everybody, in the order in which they came. has_second_step: whether their sign-in asks for a code."""
    columns = (
        User.id,
        User.email,
        User.name,
        User.role,
        User.last_signed_in_at,
        User.totp_confirmed_at.is_not(None).label("has_second_step"),
    )
    rows = await connection.execute(select(*columns).where(User.business_id == business_id).order_by(User.id))
    return [dict(row) for row in rows.mappings()]


async def find(connection: AsyncConnection, business_id: int, user_id: int) -> dict[str, Any]:
    """One person. Raises `NotFound`, for another business's as well."""
    for person in await listed(connection, business_id):
        if person["id"] == user_id:
            return person
    raise NotFound(said("There is no person %(number)s.", number=user_id))


async def count_approvers(connection: AsyncConnection, business_id: int) -> int:
    """How many may approve a broadcast."""
    roles = [role for role, allowed in MAY.items() if Permission.APPROVE in allowed]
    found = await connection.scalars(select(User.id).where(User.business_id == business_id, User.role.in_(roles)))
    return len(found.all())


async def change_role(connection: AsyncConnection, business_id: int, user_id: int, role: Role) -> Role:
    """Let somebody do more, or less, from their next request on. Returns what they were.

    Raises `NotFound`, or `NotNow` for the last owner.
    """
    await _refuse_last_owner(connection, business_id, user_id, becomes=role)
    person = await find(connection, business_id, user_id)
    await connection.execute(update(User).where(User.id == user_id).values(role=role.value))
    return Role(person["role"])


async def remove(connection: AsyncConnection, business_id: int, user_id: int) -> dict[str, Any]:
    """Take somebody away; their sessions end at once. Returns who it was.

    Raises `NotFound`, or `NotNow` for the last owner.
    """
    await _refuse_last_owner(connection, business_id, user_id, becomes=None)
    person = await find(connection, business_id, user_id)
    await connection.execute(delete(User).where(User.id == user_id))
    return person


async def _refuse_last_owner(
    connection: AsyncConnection, business_id: int, user_id: int, *, becomes: Role | None
) -> None:
    owners = list(await connection.scalars(_OWNERS, {"business_id": business_id}))
    if becomes is not Role.OWNER and owners == [user_id]:
        raise NotNow("A business needs an owner. Make somebody else an owner first.")


async def change_profile(connection: AsyncConnection, user_id: int, name: str, language: str | None) -> None:
    """What somebody is called, and their language; None for their browser's. Raises `BadInput`."""
    values = {"name": check_name(name), "language": language}
    await connection.execute(update(User).where(User.id == user_id).values(values))


def check_name(name: str, *, pointer: str = "/name") -> str:
    """A person's name as it is kept. Raises `BadInput`."""
    kept = " ".join(name.split())
    if len(kept) > LONGEST_NAME or "\x00" in kept:
        raise BadInput(said("A name has at most %(most)s characters.", most=LONGEST_NAME), pointer=pointer)
    return kept
