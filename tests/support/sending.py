"""A run without a network: a test says how each claim of a broadcast's people ends."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from server.database import plain_connection
from server.domain.states import RecipientStatus
from server.services.ledger import Claimed, Ledger, Pace, Result, RunKey

# How a claim may end: accepted, refused for good, put off, put off without counting, without an answer, never sent.
ACCEPTED, REFUSED, PUT_OFF, BUSY, UNKNOWN, HANDED_BACK = (
    "accepted",
    "refused",
    "put off",
    "busy",
    "unknown",
    "handed back",
)


def result_of(one: Claimed, fate: str) -> Result:
    """What the worker would record."""
    match fate:
        case "accepted":
            return Result(one.id, one.claim_number, RecipientStatus.SENT, f"wamid.{one.id}.{one.claim_number}")
        case "refused":
            return Result(
                one.id, one.claim_number, RecipientStatus.FAILED, error_code=131026, error_message="not on WhatsApp"
            )
        case "put off" | "busy":
            unused = 1 if fate == BUSY else 0
            return Result(
                one.id, one.claim_number, RecipientStatus.QUEUED, error_code=131016, error_message="away", unused=unused
            )
        case "unknown":
            return Result(one.id, one.claim_number, RecipientStatus.UNKNOWN, error_message="no answer")
        case _:
            return Result(one.id, one.claim_number, RecipientStatus.QUEUED, unused=1)


async def go_through(database_url: str, run: RunKey, fates: Sequence[str]) -> list[Claimed]:
    """Claim so many people, whoever is next, and let their claims end so. Gives them in the order of their ids."""
    async with await plain_connection(database_url) as connection:
        ledger = Ledger(connection, run)
        claimed = await ledger.claim(len(fates))
        assert claimed is not None
        assert len(claimed) == len(fates)
        results = [result_of(one, fate) for one, fate in zip(claimed, fates, strict=True)]
        await ledger.record(results, Pace(1.0, "nothing"), claimed[-1].id)
        return claimed


async def set_status(engine: AsyncEngine, broadcast_id: int, status: str) -> None:
    """Let a broadcast stand so, without a move."""
    async with engine.begin() as connection:
        await connection.execute(
            text("UPDATE whatsapp_broadcasts SET status = :status WHERE id = :id"),
            {"id": broadcast_id, "status": status},
        )
