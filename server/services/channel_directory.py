"""Whose webhook is it? The numbers with their app secrets, decrypted once and kept for a few seconds."""

import asyncio
import hmac
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.domain.errors import BadInput, DatabaseAway
from server.models import Channel
from server.secrets import Vault

KEPT_SECONDS: Final = 10.0
# Whoever knocks with wrong signatures must not have the table read for every knock.
NOT_AGAIN_SECONDS: Final = 0.5
# How long whoever asks waits for a database that hangs.
READ_SECONDS: Final = 5.0

_VERIFIED = text("""
    /* channel_directory.verified   Whoever knows the token may ask often, and is written down once a minute. */
    UPDATE channels SET webhook_verified_at = clock_timestamp()
     WHERE id = ANY(:ids) AND coalesce(webhook_verified_at, '-infinity') < clock_timestamp() - interval '1 minute'
""")


@dataclass(frozen=True, slots=True)
class Known:
    """A number, as far as webhooks have to do with it."""

    channel_id: int
    business_id: int
    phone_number_id: str
    waba_id: str
    app_secret: str
    verify_token: str


async def load(connection: AsyncConnection, vault: Vault) -> list[Known]:
    """Every number whose secrets can be read; one whose key is gone is left out, and can prove nothing."""
    columns = (
        Channel.id,
        Channel.business_id,
        Channel.phone_number_id,
        Channel.waba_id,
        Channel.app_secret_encrypted,
        Channel.verify_token_encrypted,
    )
    known = []
    for row in await connection.execute(select(*columns).order_by(Channel.id)):
        try:
            secrets = (vault.decrypt(row.app_secret_encrypted), vault.decrypt(row.verify_token_encrypted))
        except BadInput:
            continue
        known.append(Known(row.id, row.business_id, row.phone_number_id, row.waba_id, *secrets))
    return known


class ChannelDirectory:
    """The numbers of every business. One for each process."""

    def __init__(self, engine: AsyncEngine, vault: Vault, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._vault = vault
        self._clock = clock
        self._channels: dict[int, Known] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def signer(self, ids: Iterable[str], proves: Callable[[str], bool]) -> Known | None:
        """The first number that one of these ids names and whose app secret proves the body; None where none does."""
        wanted = set(ids)
        if found := _first(await self._within(KEPT_SECONDS), wanted, proves):
            return found
        return _first(await self._within(NOT_AGAIN_SECONDS), wanted, proves)

    async def of_verify_token(self, token: str) -> list[int]:
        """The numbers that were set up with this verify token."""
        channels = await self._within(NOT_AGAIN_SECONDS)
        return [
            known.channel_id for known in channels if hmac.compare_digest(known.verify_token.encode(), token.encode())
        ]

    async def note_verified(self, channel_ids: list[int]) -> None:
        """Meta asked with the verify token of these numbers, and is answered: their set-up says so."""
        async with self._engine.begin() as connection:
            await connection.execute(_VERIFIED, {"ids": channel_ids})

    async def peers(self, channel_id: int) -> list[Known]:
        """The numbers whose webhooks the same app secret signs, this one included."""
        channels = await self._within(KEPT_SECONDS)
        if channel_id not in self._channels:
            channels = await self._within(NOT_AGAIN_SECONDS)
        known = self._channels.get(channel_id)
        return [other for other in channels if known is not None and other.app_secret == known.app_secret]

    async def read_again(self) -> None:
        """Read the numbers as they stand from now on: one was added since. Raises `DatabaseAway`."""
        if self._reading is not None and not self._reading.done():
            await asyncio.wait({self._reading}, timeout=READ_SECONDS)  # it may have begun before
        await self._within(float("-inf"))

    async def _within(self, seconds: float) -> Collection[Known]:
        """The numbers as they stood at most so many seconds ago. Raises `DatabaseAway` where the database hangs."""
        if self._clock() - self._read_at > seconds:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read())
                self._reading.add_done_callback(_has_ended)
            # One reads for all who ask, and goes on when those have given up: it is the first to know when the
            # database is back.
            reading = self._reading
            done, _ = await asyncio.wait({reading}, timeout=READ_SECONDS)
            if not done:
                raise DatabaseAway("The database does not answer: it took too long to tell whose webhook it is.")
            reading.result()
        return self._channels.values()

    async def _read(self) -> None:
        async with self._engine.connect() as connection:
            self._channels = {known.channel_id: known for known in await load(connection, self._vault)}
        self._read_at = self._clock()


def _has_ended(reading: "asyncio.Task[None]") -> None:
    """Look at its error, so that asyncio does not complain where nobody waits for it any more."""
    if not reading.cancelled():
        reading.exception()


def _first(channels: Iterable[Known], wanted: set[str], proves: Callable[[str], bool]) -> Known | None:
    tried: dict[str, bool] = {}
    for known in channels:
        if known.phone_number_id in wanted or known.waba_id in wanted:
            if known.app_secret not in tried:
                tried[known.app_secret] = proves(known.app_secret)
            if tried[known.app_secret]:
                return known
    return None
