"""Set-up, so that a test names only what matters to it."""

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.models import WhatsAppBroadcast
from server.secrets import Vault
from server.services import accounts, channels, leases
from server.services.channels import NewChannel
from server.services.ledger import RunKey

VAULT = Vault(["a key of the tests"])
LEASE_SECONDS = 10.0
PHONE_NUMBER_ID = "106540352242922"
WABA_ID = "102290129340398"

_ADD_RECIPIENTS = text("""
    INSERT INTO whatsapp_broadcast_recipients (broadcast_id, business_id, row_number, phone, variables)
    SELECT :broadcast_id, :business_id, n, '+97250' || lpad(n::text, 7, '0'),
           jsonb_build_object('first_name', 'Name ' || n, 'order_id', 'A-' || n)
      FROM generate_series(1, :count) AS n
""")


@dataclass(frozen=True, slots=True)
class Tenant:
    """A business with one number."""

    business_id: int
    channel_id: int


@dataclass(frozen=True, slots=True)
class Made:
    """A broadcast that a test made."""

    id: int
    business_id: int
    message: dict[str, Any] = field(default_factory=dict)


async def a_business(engine: AsyncEngine, name: str = "Acme", *, rate: int = 0) -> Tenant:
    """A business with one number. rate: messages per second of the number, 0 for no limit of ours."""
    async with engine.begin() as connection:
        business_id = await accounts.create_business(connection, name, f"owner@{name.lower()}.example", "a password")
        new = NewChannel(f"{PHONE_NUMBER_ID}{business_id}", WABA_ID, "token", "secret", "verify", rate)
        return Tenant(business_id, await channels.add(connection, VAULT, business_id, new))


async def a_broadcast(
    engine: AsyncEngine, recipients: int, *, status: str = "queued", tenant: Tenant | None = None, **columns: Any
) -> Made:
    """A broadcast to so many people, as a start would leave it. columns: what else its row shall say."""
    tenant = tenant or await a_business(engine)
    message = {"text": {"body": "Hi {{first_name}}"}}
    values = {
        "business_id": tenant.business_id,
        "channel_id": tenant.channel_id,
        "name": "A broadcast",
        "message": message,
        "status": status,
        "total_recipients": recipients,
        **columns,
    }
    async with engine.begin() as connection:
        broadcast_id = await connection.scalar(insert(WhatsAppBroadcast).values(values).returning(WhatsAppBroadcast.id))
        assert broadcast_id is not None
        await connection.execute(
            _ADD_RECIPIENTS,
            {"broadcast_id": broadcast_id, "business_id": tenant.business_id, "count": recipients},
        )
    return Made(int(broadcast_id), tenant.business_id, message)


async def a_run(engine: AsyncEngine, broadcast: Made, *, seconds: float = LEASE_SECONDS) -> RunKey:
    """The lease on a broadcast, taken by this process."""
    async with engine.begin() as connection:
        lease = await leases.take(connection, broadcast.id, seconds)
    assert lease is not None
    return RunKey(broadcast.id, broadcast.business_id, lease.epoch)


async def run_out_of_lease(connection: AsyncConnection, broadcast_id: int) -> None:
    """Let the lease of a broadcast be over, as if its holder had been dead for long."""
    await connection.execute(
        text("UPDATE whatsapp_broadcasts SET lease_expires_at = now() - interval '1 second' WHERE id = :id"),
        {"id": broadcast_id},
    )
