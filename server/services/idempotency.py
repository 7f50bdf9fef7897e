"""A request that comes again gets the answer it got: same key and same body, same answer, for 24 hours.

The key is stored in the transaction that does what was asked. Of two identical requests at once the second waits on the
unique index until the first has committed, and finds its broadcast, or its answer. Where a request is done in several
transactions its key is committed before, and one that comes meanwhile is told so.
"""

import hashlib
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import BadInput, KeyReused, NotNow

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

_BEGIN = text("""
    /* idempotency.begin   Waits for another transaction with the same key. */
    INSERT INTO idempotency_keys (business_id, key, body_hash) VALUES (:business_id, :key, :body_hash)
        ON CONFLICT (business_id, key) DO NOTHING RETURNING key
""")

_ANSWER_OF = text("""
    /* idempotency.answer_of */
    SELECT body_hash, status, answer FROM idempotency_keys WHERE business_id = :business_id AND key = :key
""")

_KEEP_ANSWER = text("""
    /* idempotency.keep_answer */
    UPDATE idempotency_keys SET status = :status, answer = :answer WHERE business_id = :business_id AND key = :key
""")

_FORGET = text("""
    /* idempotency.forget */
    DELETE FROM idempotency_keys WHERE business_id = :business_id AND key = :key AND answer IS NULL
""")


class Answer(NamedTuple):
    """What a request was answered. body: JSON."""

    status: int
    body: str


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
        raise KeyReused(_ANOTHER_BODY)
    return int(row.broadcast_id)


async def keep(connection: AsyncConnection, business_id: int, key: str, hashed: str, broadcast_id: int) -> bool:
    """Keep which broadcast a request made. False: another request with the key was quicker; give up this one."""
    values = {"business_id": business_id, "key": key, "body_hash": hashed, "broadcast_id": broadcast_id}
    return await connection.scalar(_RESERVE, values) is not None


async def begin(connection: AsyncConnection, business_id: int, key: str, hashed: str) -> Answer | None:
    """Take a key for a request that is about to be done. None: do it, and `keep_answer`; else it was answered before.

    Raises `KeyReused` where it came with another body, `NotNow` where the answer is yet to come.
    """
    which = {"business_id": business_id, "key": key}
    while await connection.scalar(_BEGIN, {**which, "body_hash": hashed}) is None:
        row = (await connection.execute(_ANSWER_OF, which)).one_or_none()
        if row is None:
            continue  # given up, or forgotten, between the two looks
        if row.body_hash != hashed:
            raise KeyReused(_ANOTHER_BODY)
        if row.answer is None:
            raise NotNow(_UNDER_WAY)
        return Answer(int(row.status), str(row.answer))
    return None


async def keep_answer(connection: AsyncConnection, business_id: int, key: str, answer: Answer) -> None:
    """Keep what the request with this key is answered."""
    values = {"business_id": business_id, "key": key, "status": answer.status, "answer": answer.body}
    await connection.execute(_KEEP_ANSWER, values)


async def forget(connection: AsyncConnection, business_id: int, key: str) -> None:
    """Let go of the key of a request that came to nothing."""
    await connection.execute(_FORGET, {"business_id": business_id, "key": key})


_ANOTHER_BODY = "This Idempotency-Key came before with another body."
_UNDER_WAY = (
    "A request with this Idempotency-Key is being answered, or was cut off before its answer. Look what became of it "
    "before you ask with another key."
)


class Overtaken(Exception):
    """Another request with the key was quicker: give this one up, and find what the other made."""


async def keep_or_refuse(
    connection: AsyncConnection, business_id: int, key: str | None, hashed: str, broadcast_id: int
) -> None:
    """Keep which broadcast a request made, where it has a key. Raises `Overtaken`."""
    if key is not None and not await keep(connection, business_id, key, hashed, broadcast_id):
        raise Overtaken
