"""Tags and attributes that a business uses, to choose from while one types. Whatever else there is can be typed.

Looked up among the newest contacts alone, so that it costs the same however many there are.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

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

_EVERY_ATTRIBUTE = text("""
    /* vocabulary.every_attribute   Cost: every contact once. For an export, which reads them all anyway. */
    SELECT DISTINCT held.attribute FROM contacts c, jsonb_object_keys(c.attributes) AS held (attribute)
     WHERE c.business_id = :business_id ORDER BY held.attribute
""")


async def tags(connection: AsyncConnection, business_id: int) -> list[str]:
    """The most used tags of late."""
    return list(await connection.scalars(_TAGS, {"business_id": business_id}))


async def attributes(connection: AsyncConnection, business_id: int) -> list[str]:
    """The most used attributes of late."""
    return list(await connection.scalars(_ATTRIBUTES, {"business_id": business_id}))


async def every_attribute(connection: AsyncConnection, business_id: int) -> list[str]:
    """Every attribute that any contact has, in the order of the alphabet."""
    return list(await connection.scalars(_EVERY_ATTRIBUTE, {"business_id": business_id}))
