"""A request that comes again gets the answer it got: same key and same body, same broadcast, for 24 hours.

The key is stored in the transaction that makes the broadcast. Of two identical requests at once the second waits on the
unique index until the first has committed, and finds its broadcast.
"""

import hashlib

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import BadInput, KeyReused

LONGEST_KEY = 255

_RESERVE = text("""
    /* idempotency.reserve   Waits for another transaction with the same key. */
    INSERT INTO idempotency_keys (business_id, key, body_hash, broadcast_id)
    VALUES (:business_id, :key, :body_hash, :broadcast_id) ON CONFLICT (business_id, key) DO NOTHING
    RETURNING broadcast_id
""")

_FIND = text("""
    /* idempotency.find */
    SELECT broadcast_id, body_hash FROM idempotency_keys WHERE business_id = :business_id AND key = :key
""")


def body_hash(body: bytes) -> str:
    """What two bodies are held against each other by."""
    return hashlib.sha256(body).hexdigest()


def check_key(key: str) -> None:
    """Raises `BadInput` where a key cannot be one."""
    if not 1 <= len(key) <= LONGEST_KEY or not key.isprintable():
        raise BadInput(f"An Idempotency-Key has 1 to {LONGEST_KEY} printable characters.", pointer="header")


async def find(connection: AsyncConnection, business_id: int, key: str, hashed: str) -> int | None:
    """The broadcast that a request with this key made, or None. Raises `KeyReused` where its body was another."""
    row = (await connection.execute(_FIND, {"business_id": business_id, "key": key})).one_or_none()
    if row is None:
        return None
    if row.body_hash != hashed:
        raise KeyReused("This Idempotency-Key came before with another body.")
    return int(row.broadcast_id)


async def keep(connection: AsyncConnection, business_id: int, key: str, hashed: str, broadcast_id: int) -> bool:
    """Keep which broadcast a request made. False: another request with the key was quicker; give up this one."""
    values = {"business_id": business_id, "key": key, "body_hash": hashed, "broadcast_id": broadcast_id}
    return await connection.scalar(_RESERVE, values) is not None


class Overtaken(Exception):
    """Another request with the key was quicker: give this one up, and find what the other made."""


async def keep_or_refuse(
    connection: AsyncConnection, business_id: int, key: str | None, hashed: str, broadcast_id: int
) -> None:
    """Keep which broadcast a request made, where it has a key. Raises `Overtaken`."""
    if key is not None and not await keep(connection, business_id, key, hashed, broadcast_id):
        raise Overtaken
