"""Endpoints: where a business wants to be told of events. The secret that signs is shown once and stored encrypted."""

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Select, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.audit import AuditAct, Who
from server.domain.errors import BadInput, NotFound, NotNow
from server.domain.sentences import said
from server.domain.webhook_events import EventKind
from server.models import WebhookEndpoint
from server.providers.webhook_posts import may_be_asked
from server.secrets import Vault
from server.services import audit

MOST_ENDPOINTS: Final = 20
# For so long the old secret signs beside the new one.
OLD_SECRET_FOR: Final = timedelta(hours=24)
BY_A_PERSON: Final = said("A person disabled it.")
REMOVED: Final = said("A person removed it.")
_SECRET_BYTES: Final = 32
_CHANGEABLE: Final = frozenset(("url", "description", "events", "enabled"))
_E = WebhookEndpoint

_IN_TURN = text("SELECT pg_advisory_xact_lock(hashtextextended('endpoints of ' || CAST(:business_id AS text), 0))")


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """What is asked for. events: None for all there are. allow_private: what the operator lets be."""

    url: str
    events: Sequence[EventKind] | None
    description: str
    allow_private: bool


@dataclass(frozen=True, slots=True)
class Made:
    """An endpoint that was made, or whose secret is new. secret: `whsec_…`, to be shown once."""

    id: int
    secret: str


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


async def add(
    connection: AsyncConnection, vault: Vault, business_id: int, new: NewEndpoint, who: Who | None = None
) -> Made:
    """Make an endpoint. who: for the audit; None at the command line, which is not in it.

    Raises `BadInput` for a URL that cannot be used, `NotNow` where there are too many.
    """
    check_url(new.url, allow_private=new.allow_private)
    await connection.execute(_IN_TURN, {"business_id": business_id})
    count = select(func.count()).where(_E.business_id == business_id, _E.removed_at.is_(None))
    if int(await connection.scalar(count) or 0) >= MOST_ENDPOINTS:
        raise NotNow(
            said(
                "There are %(count)s endpoints, which is as many as a business may have. Remove one first.",
                count=MOST_ENDPOINTS,
            )
        )
    secret = _new_secret()
    values = {
        "business_id": business_id,
        "url": new.url,
        "events": _texts(list(EventKind) if new.events is None else new.events),
        "description": new.description,
        "secret_encrypted": vault.encrypt(secret),
    }
    endpoint_id = await connection.scalar(insert(_E).values(values).returning(_E.id))
    await _write_down(connection, business_id, who, AuditAct.WEBHOOK_ADDED, new.url)
    return Made(int(endpoint_id or 0), secret)


def check_url(url: str, *, allow_private: bool) -> None:
    """Raises `BadInput` for a URL that nothing can be sent to. Where its host leads is looked at when it is used."""
    refusal = may_be_asked(url, allow_private=allow_private)
    if refusal is not None:
        raise BadInput(refusal, pointer="/url")


async def page(connection: AsyncConnection, business_id: int, *, after_id: int, limit: int) -> list[dict[str, Any]]:
    """At most `limit` endpoints of a business with larger ids than `after_id`, without their secrets."""
    rows = await connection.execute(_shown(business_id).where(_E.id > after_id).order_by(_E.id).limit(limit))
    return [dict(row) for row in rows.mappings()]


async def show(connection: AsyncConnection, business_id: int, endpoint_id: int) -> dict[str, Any]:
    """One endpoint of a business, without its secret. Raises `NotFound`."""
    row = (await connection.execute(_shown(business_id).where(_E.id == endpoint_id))).mappings().one_or_none()
    if row is None:
        raise NotFound(said("There is no webhook %(number)s.", number=endpoint_id))
    return dict(row)


def _shown(business_id: int) -> Select[*tuple[Any, ...]]:
    columns = (
        *(_E.id, _E.url, _E.description, _E.events, _E.disabled_at.is_(None).label("enabled")),
        *(_E.disabled_at, _E.disabled_reason, _E.failing_since, _E.old_secret_until, _E.created_at),
    )
    return select(*columns).where(_E.business_id == business_id, _E.removed_at.is_(None))


async def change(
    connection: AsyncConnection,
    business_id: int,
    endpoint_id: int,
    changes: Mapping[str, Any],
    *,
    allow_private: bool,
    who: Who | None = None,
) -> None:
    """Change what is named of `url`, `events`, `description` and `enabled`.

    Enabled again, it is as if it had never failed; what waits for it is delivered. Raises `NotFound` or `BadInput`.
    """
    shown = await show(connection, business_id, endpoint_id)
    values: dict[str, Any] = {name: changes[name] for name in ("url", "description") if name in changes}
    if "url" in values:
        check_url(values["url"], allow_private=allow_private)
    if "events" in changes:
        values["events"] = _texts(changes["events"])
    if "enabled" in changes and changes["enabled"] != shown["enabled"]:
        is_enabled = changes["enabled"]
        values["disabled_at"] = None if is_enabled else func.clock_timestamp()
        values["disabled_reason"] = None if is_enabled else BY_A_PERSON
        values["failing_since"] = values["rest_until"] = None
    if values:
        await connection.execute(update(_E).where(_E.id == endpoint_id).values(values))
        what = ", ".join(sorted(name for name in changes if name in _CHANGEABLE))
        await _write_down(connection, business_id, who, AuditAct.WEBHOOK_CHANGED, shown["url"], what)


async def rotate_secret(
    connection: AsyncConnection, vault: Vault, business_id: int, endpoint_id: int, who: Who | None = None
) -> Made:
    """Give an endpoint a new secret; the old one signs too for 24 hours. Raises `NotFound`."""
    shown = await show(connection, business_id, endpoint_id)
    secret = _new_secret()
    values = {
        "old_secret_encrypted": _E.secret_encrypted,
        "old_secret_until": func.clock_timestamp() + OLD_SECRET_FOR,
        "secret_encrypted": vault.encrypt(secret),
    }
    await connection.execute(update(_E).where(_E.id == endpoint_id).values(values))
    await _write_down(connection, business_id, who, AuditAct.WEBHOOK_SECRET_CHANGED, shown["url"])
    return Made(endpoint_id, secret)


async def remove(connection: AsyncConnection, business_id: int, endpoint_id: int, who: Who | None = None) -> None:
    """Tell it no more, and forget its secret; its log goes with time. Raises `NotFound`."""
    shown = await show(connection, business_id, endpoint_id)
    values = {
        "removed_at": func.clock_timestamp(),
        "disabled_at": func.clock_timestamp(),
        "disabled_reason": REMOVED,
        "secret_encrypted": "",
        "old_secret_encrypted": None,
        "old_secret_until": None,
    }
    await connection.execute(update(_E).where(_E.id == endpoint_id).values(values))
    await _write_down(connection, business_id, who, AuditAct.WEBHOOK_REMOVED, shown["url"])


async def _write_down(
    connection: AsyncConnection, business_id: int, who: Who | None, act: AuditAct, url: str, what: str = ""
) -> None:
    if who is not None:
        await audit.add(connection, business_id, who, act, subject=url, detail=what)


def _texts(events: Sequence[EventKind]) -> list[str]:
    return list(dict.fromkeys(EventKind(event).value for event in events))
