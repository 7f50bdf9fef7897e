"""Businesses, the people of a business, and the API keys of its programs."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import BadInput, Denied, NotFound
from server.models import ApiKey, Business, User
from server.secrets import hash_api_key, new_api_key

# A key's last use is written at most so often, so that a busy key does not mean a write for each call.
LAST_USED_EVERY = timedelta(minutes=1)


async def create_business(connection: AsyncConnection, name: str, email: str, password: str) -> int:
    """A business and its owner. Returns its id. Raises `BadInput` where the name or the address is taken."""
    from pwdlib import PasswordHash  # noqa: PLC0415 - argon2 is not needed by a start that creates nobody

    if not name.strip():
        raise BadInput("A business needs a name.", pointer="/business")
    if "@" not in email:
        raise BadInput(f'"{email}" is not an e-mail address.', pointer="/email")
    try:
        async with connection.begin_nested():
            business_id = await connection.scalar(insert(Business).values(name=name).returning(Business.id))
            password_hash = PasswordHash.recommended().hash(password)
            await connection.execute(
                insert(User).values(business_id=business_id, email=email, password_hash=password_hash)
            )
    except IntegrityError as error:
        taken = "address" if "users_email" in str(error.orig) else "name"
        value = email if taken == "address" else name
        raise BadInput(f'The {taken} "{value}" is taken.', pointer=f"/{taken}") from error
    return int(business_id or 0)


async def find_business(connection: AsyncConnection, name: str) -> int:
    """The id of a business by its name, whatever its case. Raises `BadInput` naming those there are."""
    business_id = await connection.scalar(select(Business.id).where(func.lower(Business.name) == name.lower()))
    if business_id is not None:
        return int(business_id)
    known = list(await connection.scalars(select(Business.name).order_by(Business.name).limit(10)))
    there_is = f"There is: {', '.join(known)}." if known else "`clarion init` makes the first one."
    raise BadInput(f'There is no business "{name}". {there_is}', pointer="/business")


async def create_api_key(connection: AsyncConnection, business_id: int, name: str) -> str:
    """A new key, to be shown once: only its hash is kept. Raises `BadInput` where it has no name."""
    if not name.strip():
        raise BadInput("A key needs a name: what it is for.", pointer="/name")
    key = new_api_key()
    await connection.execute(insert(ApiKey).values(business_id=business_id, name=name, key_hash=hash_api_key(key)))
    return key


async def business_of_key(connection: AsyncConnection, key: str) -> int:
    """Whose key it is. Raises `Denied` for a key that is unknown or revoked."""
    row = (
        await connection.execute(
            select(ApiKey.id, ApiKey.business_id, ApiKey.last_used_at).where(
                ApiKey.key_hash == hash_api_key(key), ApiKey.revoked_at.is_(None)
            )
        )
    ).one_or_none()
    if row is None:
        raise Denied("This API key is unknown or was revoked.")
    now = datetime.now(UTC)
    if row.last_used_at is None or now - row.last_used_at > LAST_USED_EVERY:
        await connection.execute(update(ApiKey).where(ApiKey.id == row.id).values(last_used_at=now))
    return int(row.business_id)


async def business_name(connection: AsyncConnection, business_id: int) -> str:
    """A business's name. Raises `NotFound`."""
    name = await connection.scalar(select(Business.name).where(Business.id == business_id))
    if name is None:
        raise NotFound(f"There is no business {business_id}.")
    return str(name)
