"""What a business has used so far, for whoever has to choose: tags, attributes, segments, a country."""

from typing import Any, Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.services import segments

_NEWEST: Final = 5_000
_MOST: Final = 200

_TAGS = text("""
    /* vocabulary.tags   Of the newest contacts: a page must not wait for a million of them. */
    SELECT DISTINCT unnest(tags) AS word
      FROM (SELECT tags FROM contacts WHERE business_id = :business_id ORDER BY id DESC LIMIT :newest) AS newest
     ORDER BY 1 LIMIT :most
""")

_ATTRIBUTES = text("""
    /* vocabulary.attributes */
    SELECT DISTINCT jsonb_object_keys(attributes) AS word
      FROM (SELECT attributes FROM contacts WHERE business_id = :business_id ORDER BY id DESC LIMIT :newest) AS newest
     ORDER BY 1 LIMIT :most
""")

_COUNTRY = text("""
    /* vocabulary.country   Where the numbers of the last list were from. */
    SELECT default_country FROM whatsapp_broadcasts
     WHERE business_id = :business_id AND default_country IS NOT NULL ORDER BY id DESC LIMIT 1
""")


class Vocabulary(NamedTuple):
    """segments: each with `id` and `name`. country: two letters, or None."""

    tags: list[str]
    attributes: list[str]
    segments: list[dict[str, Any]]
    country: str | None


async def of_business(connection: AsyncConnection, business_id: int) -> Vocabulary:
    """What a business has used so far, at most some hundreds of each."""
    values = {"business_id": business_id, "newest": _NEWEST, "most": _MOST}
    return Vocabulary(
        list((await connection.scalars(_TAGS, values)).all()),
        await attributes(connection, business_id),
        await segments.page(connection, business_id, after_id=0, limit=_MOST),
        await connection.scalar(_COUNTRY, {"business_id": business_id}),
    )


async def attributes(connection: AsyncConnection, business_id: int) -> list[str]:
    """The names of attributes that its newest contacts have."""
    values = {"business_id": business_id, "newest": _NEWEST, "most": _MOST}
    return list((await connection.scalars(_ATTRIBUTES, values)).all())
