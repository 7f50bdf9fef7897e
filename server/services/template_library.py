"""Templates as people look for them: by words, status, category and language; what was told of each, and its use.

A business has at most 6,000 templates (Meta), so a look at all of them is cheap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import NotFound
from server.domain.sentences import said
from server.domain.template_news import FIELDS, QUALITY, TemplateNews, read
from server.models import Template, WhatsAppBroadcast
from server.services import broadcast_json

MOST_NEWS: Final = 500
_SHOWN: Final = (
    Template.id,
    Template.waba_id,
    Template.name,
    Template.language,
    Template.status,
    Template.category,
    Template.parameter_format,
    Template.components,
    Template.synced_at,
)

_FACETS = text("""
    /* template_library.facets   Cost: the templates of the business once. */
    SELECT array_agg(DISTINCT status ORDER BY status) AS statuses,
           array_agg(DISTINCT category ORDER BY category) AS categories,
           array_agg(DISTINCT language ORDER BY language) AS languages
      FROM templates WHERE business_id = :business_id
""")

_NEWS = text("""
    /* template_library.news
       What Meta sent is text: a body that this database cannot read as JSON must not spoil the page.
       Cost: the account's news of templates once, of which there are few. */
    SELECT a.received_at, a.field, a.raw FROM account_updates a JOIN channels c ON c.id = a.channel_id
     WHERE c.business_id = :business_id AND a.field = ANY(:fields)
       AND (CAST(:waba_id AS text) IS NULL OR c.waba_id = :waba_id)
       AND (CAST(:name AS text) IS NULL OR strpos(a.raw, :name) > 0)
     ORDER BY a.id DESC LIMIT :most
""")


class _Change(msgspec.Struct):
    field: str
    value: dict[str, Any]


_read = msgspec.json.Decoder(_Change).decode


@dataclass(frozen=True, slots=True)
class Facets:
    """What there is to choose from."""

    statuses: Sequence[str]
    categories: Sequence[str]
    languages: Sequence[str]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for; all of it must hold. q: a part of the name or of the words."""

    q: str = ""
    status: str = ""
    category: str = ""
    language: str = ""


async def facets(connection: AsyncConnection, business_id: int) -> Facets:
    """The statuses, categories and languages that the business's templates have."""
    row = (await connection.execute(_FACETS, {"business_id": business_id})).one()
    return Facets(row.statuses or (), row.categories or (), row.languages or ())


async def page(
    connection: AsyncConnection, business_id: int, wanted: Wanted, *, after_id: int | None, limit: int
) -> list[dict[str, Any]]:
    """At most `limit` templates by name and language. after_id: the last one of the page before."""
    statement = select(*_SHOWN).where(Template.business_id == business_id)
    for column, value in (
        (Template.status, wanted.status),
        (Template.category, wanted.category),
        (Template.language, wanted.language),
    ):
        if value:
            statement = statement.where(column == value)
    if wanted.q.strip():
        words = wanted.q.strip()
        in_name = Template.name.icontains(words.replace(" ", "_"), autoescape=True)
        in_words = text("components::text ILIKE :words").bindparams(words=f"%{_escaped(words)}%")
        statement = statement.where(in_name | in_words)
    statement = statement.order_by(Template.name, Template.language, Template.id)
    if after_id is not None:
        last = select(Template.name, Template.language, Template.id).where(
            Template.business_id == business_id, Template.id == after_id
        )
        row = (await connection.execute(last)).one_or_none()
        if row is not None:
            place = text("(templates.name, templates.language, templates.id) > (:name, :language, :id)")
            statement = statement.where(place.bindparams(name=row.name, language=row.language, id=row.id))
    return [dict(row) for row in (await connection.execute(statement.limit(limit))).mappings()]


async def show(connection: AsyncConnection, business_id: int, template_id: int) -> dict[str, Any]:
    """One template. Raises `NotFound`, for another business's as well."""
    statement = select(*_SHOWN).where(Template.business_id == business_id, Template.id == template_id)
    row = (await connection.execute(statement)).mappings().one_or_none()
    if row is None:
        raise NotFound(said("There is no template %(number)s.", number=template_id))
    return dict(row)


async def uses(connection: AsyncConnection, template: dict[str, Any], business_id: int, most: int) -> list[Any]:
    """The newest broadcasts of a template, shaped as `broadcast_json` has them. Cost: the business's broadcasts."""
    broadcast = WhatsAppBroadcast
    statement = broadcast_json.rows().where(
        broadcast.business_id == business_id,
        broadcast.message[("template", "name")].astext == template["name"],
        broadcast.message[("template", "language")].astext == template["language"],
    )
    rows = await connection.execute(statement.order_by(broadcast.id.desc()).limit(most))
    return [broadcast_json.as_json(row) for row in rows]


async def news(connection: AsyncConnection, template: dict[str, Any], business_id: int) -> list[TemplateNews]:
    """What WhatsApp told of one template, the newest first."""
    found = await _news(connection, business_id, FIELDS, waba_id=template["waba_id"], name=template["name"])
    return [one for one in found if (one.name, one.language) == (template["name"], template["language"])]


async def qualities(connection: AsyncConnection, business_id: int) -> dict[tuple[str, str], str]:
    """The last score that was told of each template, by its name and language."""
    scores: dict[tuple[str, str], str] = {}
    for one in await _news(connection, business_id, [QUALITY]):
        scores.setdefault((one.name, one.language), one.said)
    return scores


async def _news(
    connection: AsyncConnection,
    business_id: int,
    fields: Sequence[str],
    *,
    waba_id: str | None = None,
    name: str | None = None,
) -> list[TemplateNews]:
    values = {"business_id": business_id, "fields": list(fields), "waba_id": waba_id, "name": name, "most": MOST_NEWS}
    found = []
    for row in await connection.execute(_NEWS, values):
        try:
            told = read(row.field, _read(row.raw).value, row.received_at)
        except msgspec.DecodeError:
            continue  # it is kept as it came, and says nothing that can be read
        if told is not None:
            found.append(told)
    return found


def _escaped(words: str) -> str:
    return words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
