"""The second step of a sign-in: a code from an app on the phone (TOTP, RFC 6238), or one of ten codes kept on paper.

Whoever gave the right password gets a row of `sign_in_steps`, which is no session: nothing opens by it but the page
that asks for the code, for ten minutes. A code is taken once: the step of time that it belongs to is written down, and
only a later one is taken after it. The secret is encrypted, recovery codes are hashed (80 random bits need no slow
hash).
"""

import base64
import hashlib
import hmac
import secrets
import time
from datetime import timedelta
from typing import Final, NamedTuple

import pyotp
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import BadInput
from server.models import RecoveryCode, SignInStep, User
from server.secrets import Vault

WAITS: Final = timedelta(minutes=10)
RECOVERY_CODES: Final = 10
_RECOVERY_BYTES: Final = 10
_STEP_SECONDS: Final = 30
# A phone's clock may be half a minute off.
_STEPS_AROUND: Final = (0, -1, 1)

_TAKE = text("""
    /* second_steps.take   Of two that come with the same code at once, one finds the step not yet written. */
    UPDATE users SET totp_last_step = :step
     WHERE id = :user_id AND coalesce(totp_last_step, -1) < :step RETURNING id
""")


class Owed(NamedTuple):
    """Somebody who gave the right password and owes the code."""

    user_id: int
    business_id: int
    name: str


async def is_on(connection: AsyncConnection, user_id: int) -> bool:
    """Whether somebody's sign-in asks for a code."""
    return await connection.scalar(select(User.totp_confirmed_at).where(User.id == user_id)) is not None


# --- half-way through the sign-in


async def begin(connection: AsyncConnection, user_id: int, business_id: int) -> str:
    """Remember that the password was right. Returns what the cookie holds, which is kept nowhere."""
    token = secrets.token_urlsafe(32)
    values = {"user_id": user_id, "business_id": business_id, "token_hash": _hash(token)}
    await connection.execute(insert(SignInStep).values(values))
    return token


async def owed(connection: AsyncConnection, token: str) -> Owed | None:
    """Whose code is owed; None where it took too long, or nobody's is."""
    fresh = SignInStep.created_at > func.clock_timestamp() - WAITS
    columns = select(User.id, User.business_id, User.name, User.email).join(SignInStep, SignInStep.user_id == User.id)
    row = (await connection.execute(columns.where(SignInStep.token_hash == _hash(token), fresh))).one_or_none()
    return None if row is None else Owed(row.id, row.business_id, row.name or row.email)


async def end(connection: AsyncConnection, token: str) -> bool:
    """The code came: the half-way state is over. False where it was over already: only one session comes of it."""
    statement = delete(SignInStep).where(SignInStep.token_hash == _hash(token))
    return await connection.scalar(statement.returning(SignInStep.id)) is not None


async def forget(connection: AsyncConnection) -> None:
    """Delete the half-way states of whoever never gave a code."""
    await connection.execute(delete(SignInStep).where(SignInStep.created_at < func.clock_timestamp() - WAITS))


# --- codes


async def take_code(connection: AsyncConnection, vault: Vault, user_id: int, code: str) -> bool:
    """Whether it is the code of this moment, which then is not taken again."""
    stored = await connection.scalar(select(User.totp_secret_encrypted).where(User.id == user_id))
    step = None if stored is None else _step_of(vault.decrypt(stored), code)
    if step is None:
        return False
    return await connection.scalar(_TAKE, {"user_id": user_id, "step": step}) is not None


async def take_recovery_code(connection: AsyncConnection, user_id: int, code: str) -> bool:
    """Whether it is one of the codes on paper, which then opens nothing any more."""
    hashed = _hash(_plain(code))
    statement = delete(RecoveryCode).where(RecoveryCode.user_id == user_id, RecoveryCode.code_hash == hashed)
    return await connection.scalar(statement.returning(RecoveryCode.id)) is not None


def _step_of(secret: str, code: str) -> int | None:
    """The step of time that a code belongs to; None where it is of none that counts now."""
    given = "".join(code.split()).encode()
    now = int(time.time()) // _STEP_SECONDS
    totp = pyotp.TOTP(secret)
    found = None
    for step in (now + apart for apart in _STEPS_AROUND):
        if hmac.compare_digest(totp.at(step * _STEP_SECONDS).encode(), given):
            found = step
    return found


# --- switching it on and off


async def begin_setup(connection: AsyncConnection, vault: Vault, user_id: int) -> str:
    """A secret that is not asked for yet; a page that is loaded again shows the same one. Returns it in base 32.

    Raises `BadInput` where it is on already.
    """
    columns = select(User.totp_secret_encrypted, User.totp_confirmed_at).where(User.id == user_id).with_for_update()
    row = (await connection.execute(columns)).one()
    if row.totp_confirmed_at is not None:
        raise BadInput("The second step is on already.")
    if row.totp_secret_encrypted is not None:
        return vault.decrypt(row.totp_secret_encrypted)
    secret = pyotp.random_base32()
    values = {"totp_secret_encrypted": vault.encrypt(secret), "totp_last_step": None}
    await connection.execute(update(User).where(User.id == user_id).values(values))
    return secret


async def confirm(connection: AsyncConnection, vault: Vault, user_id: int, business_id: int, code: str) -> list[str]:
    """Switch it on, with a first code. Returns the recovery codes, which are shown once. Raises `BadInput`."""
    if await is_on(connection, user_id):
        raise BadInput("The second step is on already.")
    if not await take_code(connection, vault, user_id, code):
        raise BadInput("This is not the code that the app shows now.", pointer="/code")
    await connection.execute(update(User).where(User.id == user_id).values(totp_confirmed_at=func.clock_timestamp()))
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    hashed = [{"user_id": user_id, "business_id": business_id, "code_hash": _hash(_plain(code))} for code in codes]
    await connection.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
    await connection.execute(insert(RecoveryCode), hashed)
    return codes


async def switch_off(connection: AsyncConnection, user_id: int) -> None:
    """Ask for no code any more, and forget the secret."""
    values = {"totp_secret_encrypted": None, "totp_confirmed_at": None, "totp_last_step": None}
    await connection.execute(update(User).where(User.id == user_id).values(values))
    await connection.execute(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))


async def count_recovery_codes(connection: AsyncConnection, user_id: int) -> int:
    """How many of the codes on paper are left."""
    found = select(func.count()).select_from(RecoveryCode).where(RecoveryCode.user_id == user_id)
    return int(await connection.scalar(found) or 0)


def address_of(secret: str, email: str, business_name: str) -> str:
    """What the QR code holds (`otpauth://`), for the app to read."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=f"Clarion {business_name}".replace(":", " "))


def _new_recovery_code() -> str:
    letters = base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower()
    return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))


def _plain(code: str) -> str:
    return "".join(char for char in code.lower() if char.isalnum())


def _hash(text_: str) -> str:
    return hashlib.sha256(text_.encode()).hexdigest()
