"""Tags and attributes that a business uses, to choose from while one types. Whatever else there is can be typed.

Looked up among the newest contacts alone, so that it costs the same however many there are.
"""

from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.services import segments

_MOST_SEGMENTS = 200

_TAGS = text("""
    /* vocabulary.tags   Cost: one index range of 10,000 contacts. */
    SELECT tag FROM (SELECT tags FROM contacts WHERE business_id = :business_id ORDER BY id DESC LIMIT 10000) AS newest,
           unnest(newest.tags) AS tag
     GROUP BY tag ORDER BY count(*) DESC, tag LIMIT 200
""")

_ATTRIBUTES = text("""
    /* vocabulary.attributes   Cost: one index range of 1,000 contacts. */
    SELECT name FROM (SELECT attributes FROM contacts WHERE business_id = :business_id
                       ORDER BY id DESC LIMIT 1000) AS newest,
           jsonb_object_keys(newest.attributes) AS name
     GROUP BY name ORDER BY count(*) DESC, name LIMIT 200
""")

_COUNTRY = text("""
    /* vocabulary.country   Where the numbers of the last list were from. */
    SELECT default_country FROM whatsapp_broadcasts
     WHERE business_id = :business_id AND default_country IS NOT NULL ORDER BY id DESC LIMIT 1
""")

_EVERY_ATTRIBUTE = text("""
    /* vocabulary.every_attribute   Cost: every contact once. For an export, which reads them all anyway. */
    SELECT DISTINCT held.attribute FROM contacts c, jsonb_object_keys(c.attributes) AS held (attribute)
     WHERE c.business_id = :business_id ORDER BY held.attribute
""")


class Vocabulary(NamedTuple):
    """segments: each with `id` and `name`. country: two letters, or None."""

    tags: list[str]
    attributes: list[str]
    segments: list[dict[str, Any]]
    country: str | None


async def of_business(connection: AsyncConnection, business_id: int) -> Vocabulary:
    """What a business has used so far, at most some hundreds of each."""
    return Vocabulary(
        await tags(connection, business_id),
        await attributes(connection, business_id),
        await segments.page(connection, business_id, after_id=0, limit=_MOST_SEGMENTS),
        await connection.scalar(_COUNTRY, {"business_id": business_id}),
    )


async def tags(connection: AsyncConnection, business_id: int) -> list[str]:
    """The most used tags of late."""
    return list(await connection.scalars(_TAGS, {"business_id": business_id}))


async def attributes(connection: AsyncConnection, business_id: int) -> list[str]:
    """The most used attributes of late."""
    return list(await connection.scalars(_ATTRIBUTES, {"business_id": business_id}))


async def every_attribute(connection: AsyncConnection, business_id: int) -> list[str]:
    """Every attribute that any contact has, in the order of the alphabet."""
    return list(await connection.scalars(_EVERY_ATTRIBUTE, {"business_id": business_id}))
