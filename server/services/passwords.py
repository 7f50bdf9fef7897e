"""Passwords: hashed with Argon2id, and checked in a time that does not tell whether the person exists.

Hashing takes a tenth of a second of a processor on purpose, so it is done beside the event loop.
"""

import asyncio
import secrets
from functools import cache
from typing import NamedTuple

from pwdlib import PasswordHash
from sqlalchemy import func, select, update

from server.domain.errors import BadInput
from server.models import User
from server.tenancy import Connects

SHORTEST = 10


class SignedIn(NamedTuple):
    """Who gave the right password."""

    user_id: int
    business_id: int


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
        raise BadInput(f"A password has at least {SHORTEST} characters.", pointer=pointer)


async def sign_in(engine: Connects, email: str, password: str) -> SignedIn | None:
    """Who it is; None where the address or the password is wrong, and nobody learns which of them."""
    async with engine.connect() as connection:
        columns = (User.id, User.business_id, User.password_hash)
        row = (await connection.execute(select(*columns).where(func.lower(User.email) == email.lower()))).one_or_none()
    known = await asyncio.to_thread(_nobody) if row is None else str(row.password_hash)
    is_right, renewed = await asyncio.to_thread(hasher().verify_and_update, password, known)
    if row is None or not is_right:
        return None
    async with engine.begin() as connection:
        values = {"last_signed_in_at": func.clock_timestamp()} | ({"password_hash": renewed} if renewed else {})
        await connection.execute(update(User).where(User.id == row.id).values(values))
    return SignedIn(int(row.id), int(row.business_id))
