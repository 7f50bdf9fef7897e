"""Passwords: hashed with Argon2id, and checked in a time that does not tell whether the person exists.

Hashing takes a tenth of a second of a processor on purpose, so it is done beside the event loop.
"""

import asyncio
import secrets
from functools import cache
from typing import NamedTuple

from pwdlib import PasswordHash
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import BadInput
from server.domain.sentences import said
from server.models import User
from server.tenancy import Connects

SHORTEST = 10


class SignedIn(NamedTuple):
    """Who gave the right password."""

    user_id: int
    business_id: int
    name: str


class Tried(NamedTuple):
    """A sign-in that was tried at the address of somebody: whose, and whether the password was right."""

    person: SignedIn
    is_right: bool


@cache
def hasher() -> PasswordHash:
    """The one way in which passwords are hashed."""
    return PasswordHash.recommended()


@cache
def _nobody() -> str:
    return hasher().hash(secrets.token_urlsafe(16))


def check_new(password: str, *, pointer: str = "/password") -> None:
    """Raises `BadInput` for a password that is too short to be one."""
    if len(password) < SHORTEST:
        raise BadInput(said("A password has at least %(least)s characters.", least=SHORTEST), pointer=pointer)


async def try_sign_in(engine: Connects, email: str, password: str) -> Tried | None:
    """Whose address it is, and whether the password is right; None where it is nobody's.

    Both take the same time, and whoever tries is to be told the same.
    """
    email = email.replace("\x00", "")  # which PostgreSQL takes for no text at all
    async with engine.connect() as connection:
        columns = (User.id, User.business_id, User.name, User.email, User.password_hash)
        row = (await connection.execute(select(*columns).where(func.lower(User.email) == email.lower()))).one_or_none()
    known = await asyncio.to_thread(_nobody) if row is None else str(row.password_hash)
    is_right, renewed = await asyncio.to_thread(hasher().verify_and_update, password, known)
    if row is None:
        return None
    if is_right and renewed:
        async with engine.begin() as connection:
            await connection.execute(update(User).where(User.id == row.id).values(password_hash=renewed))
    return Tried(SignedIn(int(row.id), int(row.business_id), row.name or row.email), is_right)


async def is_right(engine: Connects, user_id: int, password: str) -> bool:
    """Whether it is somebody's password."""
    async with engine.connect() as connection:
        known = await connection.scalar(select(User.password_hash).where(User.id == user_id))
    return known is not None and await asyncio.to_thread(hasher().verify, password, known)


async def change(connection: AsyncConnection, user_id: int, password: str) -> None:
    """Give somebody a new password. Raises `BadInput` where it is too short."""
    check_new(password)
    hashed = await asyncio.to_thread(hasher().hash, password)
    await connection.execute(update(User).where(User.id == user_id).values(password_hash=hashed))
