"""Businesses, the people of a business, and the API keys of its programs."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import BadInput, Denied, NotFound
from server.domain.scopes import KeyScope
from server.domain.sentences import said
from server.models import ApiKey, Business, User
from server.secrets import hash_api_key, new_api_key

# A key's last use is written at most so often, so that a busy key does not mean a write for each call.
LAST_USED_EVERY = timedelta(minutes=1)

_KEY = text("""
    /* accounts.key   One look into an index; for every request. */
    SELECT id, business_id, scope, name, last_used_at FROM api_keys
     WHERE key_hash = :key_hash AND revoked_at IS NULL
""")


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


class KeyUsed(NamedTuple):
    """The key that a request came with: whose it is, and what it may do."""

    id: int
    business_id: int
    scope: KeyScope
    name: str


class NewKey(NamedTuple):
    """A key that was just made. key: to be shown once; only its hash is kept."""

    id: int
    key: str


async def make_api_key(connection: AsyncConnection, business_id: int, name: str, scope: KeyScope) -> NewKey:
    """Make a key. Raises `BadInput` where it has no name."""
    if not name.strip():
        raise BadInput("A key needs a name: what it is for.", pointer="/name")
    key = new_api_key()
    values = {"business_id": business_id, "name": name, "key_hash": hash_api_key(key), "scope": scope.value}
    key_id = await connection.scalar(insert(ApiKey).values(values).returning(ApiKey.id))
    return NewKey(int(key_id or 0), key)


async def create_api_key(
    connection: AsyncConnection, business_id: int, name: str, scope: KeyScope = KeyScope.ADMIN
) -> str:
    """The text of a new key. Raises `BadInput` where it has no name."""
    return (await make_api_key(connection, business_id, name, scope)).key


async def key_used(connection: AsyncConnection, key: str) -> KeyUsed:
    """Whose key it is, and what it may do. Raises `Denied` for a key that is unknown or revoked.

    It is looked up by its hash: how long that takes tells nothing about how much of a guess was right.
    """
    row = (await connection.execute(_KEY, {"key_hash": hash_api_key(key)})).one_or_none()
    if row is None:
        raise Denied("This API key is unknown or was revoked.")
    now = datetime.now(UTC)
    if row.last_used_at is None or now - row.last_used_at > LAST_USED_EVERY:
        await connection.execute(update(ApiKey).where(ApiKey.id == row.id).values(last_used_at=now))
    return KeyUsed(row.id, row.business_id, KeyScope(row.scope), row.name)


async def page_of_keys(
    connection: AsyncConnection, business_id: int, *, after_id: int = 0, limit: int | None = None
) -> list[dict[str, Any]]:
    """The keys of a business in the order in which they were made, without what is secret; not the revoked ones."""
    columns = (ApiKey.id, ApiKey.name, ApiKey.scope, ApiKey.created_at, ApiKey.last_used_at)
    statement = select(*columns).where(
        ApiKey.business_id == business_id, ApiKey.revoked_at.is_(None), ApiKey.id > after_id
    )
    rows = await connection.execute(statement.order_by(ApiKey.id).limit(limit))
    return [dict(row) for row in rows.mappings()]


async def revoke_api_key(connection: AsyncConnection, business_id: int, key_id: int) -> str:
    """Let a key open nothing any more, at once. Returns its name. Raises `NotFound` where there is no such key."""
    statement = update(ApiKey).where(
        ApiKey.business_id == business_id, ApiKey.id == key_id, ApiKey.revoked_at.is_(None)
    )
    revoked = await connection.execute(statement.values(revoked_at=func.clock_timestamp()).returning(ApiKey.name))
    name = revoked.scalar_one_or_none()
    if name is None:
        raise NotFound(said("There is no key %(number)s.", number=key_id))
    return str(name)


async def business_name(connection: AsyncConnection, business_id: int) -> str:
    """A business's name. Raises `NotFound`."""
    name = await connection.scalar(select(Business.name).where(Business.id == business_id))
    if name is None:
        raise NotFound(said("There is no business %(number)s.", number=business_id))
    return str(name)
