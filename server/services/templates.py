"""Templates as the Cloud API describes them: brought in by a sync, read by whoever builds a message."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import chain
from typing import Any, Final

from sqlalchemy import Row, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from server.config import Settings
from server.domain.errors import BadInput
from server.domain.messages import MessagePlan, plan_template, plan_text
from server.domain.preflight import APPROVED, of_template
from server.domain.sentences import said
from server.models import Channel, Template
from server.providers.whatsapp import WhatsAppClient
from server.services.channels import Sender


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync brought. came, changed, went: of whom it is said, as `spring_sale (he)`."""

    templates_count: int
    approved_count: int
    came: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    went: tuple[str, ...] = ()


async def sync(connection: AsyncConnection, client: WhatsAppClient, business_id: int, sender: Sender) -> Synced:
    """Bring the templates of a number's account up to date; those that WhatsApp no longer lists go.

    Raises `ProviderAway` where WhatsApp does not answer or refuses.
    """
    found = await client.list_templates(sender.waba_id, sender.token)
    rows = [
        {
            "business_id": business_id,
            "waba_id": sender.waba_id,
            "provider_id": template.id,
            "name": template.name,
            "language": template.language,
            "status": template.status.upper(),
            "category": template.category or "",
            "parameter_format": template.parameter_format or "POSITIONAL",
            "components": template.components,
            "synced_at": func.now(),
        }
        for template in found
    ]
    before = await _known(connection, business_id, sender.waba_id)
    if rows:
        statement = insert(Template).values(rows)
        key = ("business_id", "waba_id", "name", "language")
        changed = {column: statement.excluded[column] for column in rows[0] if column not in key}
        await connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed))
    gone = delete(Template).where(
        Template.business_id == business_id,
        Template.waba_id == sender.waba_id,
        Template.provider_id.not_in([template.id for template in found]),
    )
    await connection.execute(gone)
    after = await _known(connection, business_id, sender.waba_id)
    return Synced(
        len(rows),
        sum(row["status"] == APPROVED for row in rows),
        came=tuple(sorted(after.keys() - before.keys())),
        changed=tuple(sorted(name for name in after.keys() & before.keys() if after[name] != before[name])),
        went=tuple(sorted(before.keys() - after.keys())),
    )


async def _known(connection: AsyncConnection, business_id: int, waba_id: str) -> dict[str, Row[Any]]:
    """What is known of the templates of an account, by name and language."""
    columns = (Template.status, Template.category, Template.parameter_format, Template.components)
    rows = await connection.execute(
        select(Template.name, Template.language, *columns).where(
            Template.business_id == business_id, Template.waba_id == waba_id
        )
    )
    return {f"{row.name} ({row.language})": row for row in rows}


async def sync_all(
    connection: AsyncConnection, configuration: Settings, business_id: int, senders: Sequence[Sender]
) -> Synced:
    """Sync the account of each of these numbers. Raises `ProviderAway`."""
    async with WhatsAppClient(configuration.graph_api_url, configuration.graph_api_version) as client:
        all_done = [await sync(connection, client, business_id, sender) for sender in senders]
    return Synced(
        sum(done.templates_count for done in all_done),
        sum(done.approved_count for done in all_done),
        *(tuple(chain.from_iterable(getattr(done, kind) for done in all_done)) for kind in ("came", "changed", "went")),
    )


MARKETING: Final = "MARKETING"
_SHOWN: Final = (Template.name, Template.language, Template.status, Template.category, Template.components)


async def listed(connection: AsyncConnection, business_id: int) -> list[dict[str, Any]]:
    """All templates of a business, by name and language."""
    rows = await connection.execute(
        select(*_SHOWN).where(Template.business_id == business_id).order_by(Template.name, Template.language)
    )
    return [dict(row) for row in rows.mappings()]


async def of_channel(connection: AsyncConnection, business_id: int, channel_id: int) -> list[dict[str, Any]]:
    """The templates that a number may send, by name and language: with `id`, and `parameter_format` to fill them by."""
    statement = (
        select(Template.id, Template.parameter_format, *_SHOWN)
        .join(Channel, (Channel.waba_id == Template.waba_id) & (Channel.business_id == Template.business_id))
        .where(Template.business_id == business_id, Channel.id == channel_id)
        .order_by(Template.name, Template.language)
    )
    return [dict(row) for row in (await connection.execute(statement)).mappings()]


async def page(connection: AsyncConnection, business_id: int, *, after_id: int, limit: int) -> list[dict[str, Any]]:
    """At most `limit` templates with larger ids than `after_id`, each with its id; a sync in between moves none."""
    statement = select(Template.id, *_SHOWN).where(Template.business_id == business_id, Template.id > after_id)
    rows = await connection.execute(statement.order_by(Template.id).limit(limit))
    return [dict(row) for row in rows.mappings()]


async def plan_message(
    connection: AsyncConnection, business_id: int, waba_id: str, message: dict[str, Any]
) -> MessagePlan:
    """How the message of a broadcast is built for each person.

    message: `{"template": {...}}` or `{"text": {...}}` as POST /broadcasts takes it.
    Raises `BadInput` where the template is unknown, not approved, or does not fit the variables.
    """
    if "text" in message:
        return plan_text(message)
    template = await find_usable(connection, business_id, waba_id, message)
    return plan_of(template, message)


async def find_usable(connection: AsyncConnection, business_id: int, waba_id: str, message: dict[str, Any]) -> Row[Any]:
    """As `find`. Raises `BadInput` where there is none, or it is not approved."""
    template = await find(connection, business_id, waba_id, message)
    if template.status != APPROVED:
        unusable = next(of_template(template.name, template.language, template.status, template.category))
        raise BadInput(unusable.detail, pointer=unusable.pointer)
    return template


def plan_of(template: Row[Any], message: dict[str, Any]) -> MessagePlan:
    """How a message is built by a template that was found. Raises `BadInput` where it does not fit."""
    plan = plan_template(message, template.components, template.parameter_format)
    return replace(plan, is_marketing=template.category.upper() == MARKETING)


async def find(connection: AsyncConnection, business_id: int, waba_id: str, message: dict[str, Any]) -> Row[Any]:
    """The template that a message names: `name`, `language`, `status`, `category`, `components`, `parameter_format`.

    Raises `BadInput` where there is none in that language.
    """
    wanted = message.get("template") or {}
    name, language = str(wanted.get("name", "")), str(wanted.get("language", ""))
    columns = ("name", "language", "status", "category", "components", "parameter_format")
    of_account = (Template.business_id == business_id, Template.waba_id == waba_id)
    known = (
        await connection.execute(
            select(*(getattr(Template, column) for column in columns)).where(*of_account, Template.name == name)
        )
    ).all()
    template = next((row for row in known if row.language == language), None)
    if template is None and known:
        raise _no_such_language(name, language, [row.language for row in known])
    if template is None:
        names = await connection.scalars(select(Template.name).where(*of_account).distinct())
        raise _no_such_template(name, list(names))
    return template


def _no_such_language(name: str, language: str, languages: list[str]) -> BadInput:
    detail = said(
        'The template "%(name)s" has no language "%(language)s"; it has %(languages)s.',
        name=name,
        language=language,
        languages=", ".join(sorted(languages)),
    )
    return BadInput(detail, pointer="/template/language")


def _no_such_template(name: str, names: list[str]) -> BadInput:
    sentences = [said('There is no template "%(name)s".', name=name)]
    if close := get_close_matches(name, names, n=1):
        sentences.append(said('Is "%(name)s" meant?', name=close[0]))
    sentences.append(said("`clarion templates sync` brings in what WhatsApp has."))
    return BadInput(" ".join(sentences), pointer="/template/name")
