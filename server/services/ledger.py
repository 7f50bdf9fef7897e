"""The SQL of the hot path: the statements that the engine lives on, each with its reason and its cost.

Rules of this room:
- Every statement of a run carries the run's epoch; no row in answer means that the run is lost (`RunLost`).
- Locks are taken in one order: the broadcast, then its recipients.
- Counters change in the statement that changes the rows they count, by what really changed, never by what was meant.
- Plain psycopg with binary, prepared statements, each its own transaction: SQLAlchemy would cost 7 % of the rate.

The name stays in each statement: pg_stat_activity and slow-query logs show it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct, structs
from psycopg import AsyncConnection as PlainConnection
from sqlalchemy.ext.asyncio import AsyncConnection

from server.domain.errors import RunLost
from server.domain.sentences import said
from server.domain.states import RecipientStatus
from server.services.outbox_sql import opt_outs_told, recipients_told

_OWNER: Final = "(SELECT business_id FROM whatsapp_broadcasts WHERE id = %(broadcast_id)s)"

# Why somebody whom a retry has not sent to is skipped there.
GOT_IT: Final = said("They have got it by the broadcast that this one tries again, as WhatsApp reported since.")

CLAIM: Final = """
    /* ledger.claim
       Why:  the row says `sending` before a request can leave, so that a crash can lose track of nobody.
       Cost: one index range behind the cursor; the last batch of ten million costs what the first did. Those who wait
             for another attempt come first, from the partial index: by the time of the statement, which an index can
             go by, or each claim would look at everybody who is put off. Once claimed they carry the year 1970:
             what a dead run left of them is found by it, however many others wait.
       Lock: the broadcast, then the recipients.
       Form: one JSON text, which is decoded in a tenth of the time that rows take. */
    WITH run AS (
        SELECT id, last_processed_recipient_id AS cursor FROM whatsapp_broadcasts
         WHERE id = %(broadcast_id)s AND run_epoch = %(epoch)s AND status = 'running' AND NOT cancel_requested
           FOR UPDATE
    ), waiting AS (
        SELECT r.id FROM whatsapp_broadcast_recipients r
         WHERE r.broadcast_id = %(broadcast_id)s AND r.next_attempt_at <= statement_timestamp() AND r.status = 'queued'
         ORDER BY r.next_attempt_at LIMIT %(wanted)s
    ), fresh AS (
        SELECT r.id FROM whatsapp_broadcast_recipients r
         WHERE r.broadcast_id = %(broadcast_id)s AND r.id > (SELECT cursor FROM run)
           AND r.status = 'queued' AND r.next_attempt_at IS NULL
         ORDER BY r.id LIMIT %(wanted)s - (SELECT count(*) FROM waiting)
    ), claimed AS (
        UPDATE whatsapp_broadcast_recipients r
           SET status = 'sending', attempts = r.attempts + 1, claim_number = r.claim_number + 1,
               claimed_at = clock_timestamp(), heard_at = NULL,  -- of this claim's message, nothing yet
               next_attempt_at = CASE WHEN r.next_attempt_at IS NOT NULL THEN to_timestamp(0) END
          FROM run
         WHERE r.broadcast_id = run.id AND r.id IN (SELECT id FROM waiting UNION ALL SELECT id FROM fresh)
           AND r.status = 'queued'      -- asked twice: an opt-out may commit between the look and the write
        RETURNING r.id, r.phone, r.variables, r.attempts, r.claim_number, r.next_attempt_at IS NOT NULL AS waited
    ), moved AS (
        UPDATE whatsapp_broadcasts b
           SET last_processed_recipient_id = greatest(b.last_processed_recipient_id, (SELECT max(id) FROM fresh))
          FROM run WHERE b.id = run.id AND EXISTS (SELECT FROM fresh)
    )
    SELECT (SELECT json_agg(json_build_array(c.id, c.phone, c.variables, c.attempts, c.claim_number, c.waited)
                            ORDER BY c.id)
              FROM claimed c)::text
      FROM run
"""

SPARE_DUE: Final = """
    /* ledger.spare_due
       Why:  somebody whom a retry was sending to when the broadcast that it tries again turned out to have reached them
             could not be called back; if they were put off after all, they are taken out before they are claimed again.
       Cost: only in retries: those who are due, by the small partial index, and one look-up each in the few broadcasts
             before. Before the claim and not within it: the claim's look would be as old as its wait for the row.
       Lock: the broadcast, then the recipients. */
    WITH RECURSIVE earlier AS (
        SELECT retry_of AS id FROM whatsapp_broadcasts WHERE id = %(broadcast_id)s AND retry_of IS NOT NULL
         UNION
        SELECT b.retry_of FROM earlier JOIN whatsapp_broadcasts b ON b.id = earlier.id WHERE b.retry_of IS NOT NULL
    ), run AS (
        SELECT id FROM whatsapp_broadcasts WHERE id = %(broadcast_id)s AND run_epoch = %(epoch)s FOR UPDATE
    ), spared AS (
        UPDATE whatsapp_broadcast_recipients r
           SET status = 'skipped', next_attempt_at = NULL, error_message = %(why)s
          FROM run
         WHERE r.broadcast_id = run.id AND r.status = 'queued' AND r.next_attempt_at <= clock_timestamp()
           AND EXISTS (SELECT FROM earlier JOIN whatsapp_broadcast_recipients before
                           ON before.broadcast_id = earlier.id AND before.phone = r.phone
                        WHERE before.status IN ('sent', 'delivered', 'read') OR before.delivered_at IS NOT NULL)
        RETURNING 1
    )
    UPDATE whatsapp_broadcasts b
       SET skipped_count = b.skipped_count + (SELECT count(*) FROM spared),
           processed_count = b.processed_count + (SELECT count(*) FROM spared)
      FROM run WHERE b.id = run.id AND EXISTS (SELECT FROM spared)
    RETURNING b.id
"""

RECORD: Final = f"""
    /* ledger.record
       Why:  outcomes of hundreds of requests and the counters they change become true in one commit.
       Cost: one index look-up a recipient, all changes HOT (no index names what changes, but for a retry).
       Lock: the broadcast, then the recipients.
       A row that is no longer `sending` (a webhook was quicker) is left alone and not counted again; so is one that
       was claimed once more since: the answer to a record may get lost, and the record come a second time.
       What became of the attempt is kept beside the row where it was not plainly accepted: the row knows only the last.
       Who opted out while they were claimed does not go back into the queue.
       Told: who failed and who opted out, where an endpoint of the business wants to know; else one look-up. */
    WITH run AS (
        SELECT id FROM whatsapp_broadcasts WHERE id = %(broadcast_id)s AND run_epoch = %(epoch)s FOR UPDATE
    ), outcomes AS MATERIALIZED (
        SELECT * FROM json_to_recordset(%(results)s::json)
            AS o (id bigint, claim_number int, status text, message_id text, error_code int, error_message text,
                  unused smallint, delay_seconds float8, suppressed_phone text)
    ), recorded AS (
        UPDATE whatsapp_broadcast_recipients r
           SET status = CASE WHEN o.status = 'queued' AND EXISTS (
                                  SELECT FROM suppressions s
                                   WHERE s.business_id = %(business_id)s AND s.phone = r.phone)
                             THEN 'skipped' ELSE o.status END,
               message_id = coalesce(o.message_id, r.message_id),
               error_code = o.error_code, error_message = o.error_message,
               attempts = r.attempts - coalesce(o.unused, 0),
               next_attempt_at = CASE WHEN o.status = 'queued'
                   THEN clock_timestamp() + coalesce(o.delay_seconds, 0) * interval '1 second' END,
               unknown_at = CASE WHEN o.status = 'unknown' THEN clock_timestamp() END,
               sent_at = CASE WHEN o.status = 'sent' THEN clock_timestamp() ELSE r.sent_at END,
               failed_at = CASE WHEN o.status = 'failed' THEN clock_timestamp() ELSE r.failed_at END
          FROM run, outcomes o
         WHERE r.broadcast_id = run.id AND r.id = o.id AND r.status = 'sending' AND r.claim_number = o.claim_number
        RETURNING r.status, r.next_attempt_at, r.id, o.claim_number, r.claimed_at, o.status AS became, o.unused,
                  o.error_code, o.error_message, r.phone, r.message_id
    ), {recipients_told("recorded", "%(broadcast_id)s::bigint", "%(business_id)s")}, tried AS (
        -- Handed back unsent, opted out or left alone before the request left, are no attempts.
        INSERT INTO send_attempts (broadcast_id, recipient_id, claim_number, business_id, claimed_at, outcome,
                                   is_counted, error_code, error_message)
        SELECT %(broadcast_id)s, id, claim_number, %(business_id)s, claimed_at,
               CASE became WHEN 'queued' THEN 'put_off' ELSE became END, coalesce(unused, 0) = 0, error_code,
               error_message
          FROM recorded
         WHERE became IN ('failed', 'unknown')
            OR became = 'queued' AND (error_code IS NOT NULL OR error_message IS NOT NULL)
               AND coalesce(error_message, '') NOT IN ('quiet hours', 'local time')
            ON CONFLICT DO NOTHING
    ), suppressed AS (
        INSERT INTO suppressions (business_id, phone, reason)
        SELECT %(business_id)s, o.suppressed_phone, 'stopped marketing messages in WhatsApp'
          FROM run, outcomes o WHERE o.suppressed_phone IS NOT NULL
            ON CONFLICT DO NOTHING RETURNING phone, reason
    ), {opt_outs_told("suppressed", "%(business_id)s")}, told AS (
        INSERT INTO consent_changes (business_id, phone, wish, source, at)
        SELECT %(business_id)s, o.suppressed_phone, 'stop', 'stopped marketing messages in WhatsApp', clock_timestamp()
          FROM run, outcomes o WHERE o.suppressed_phone IS NOT NULL
    ), tally AS (
        SELECT count(*) FILTER (WHERE status = 'sent') AS sent, count(*) FILTER (WHERE status = 'failed') AS failed,
               count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
               count(*) FILTER (WHERE status = 'skipped') AS skipped,
               count(*) FILTER (WHERE status = 'unknown') AS unknown, max(next_attempt_at) AS waits_until
          FROM recorded
    )
    UPDATE whatsapp_broadcasts b
       SET sent_count = b.sent_count + t.sent, failed_count = b.failed_count + t.failed,
           cancelled_count = b.cancelled_count + t.cancelled, skipped_count = b.skipped_count + t.skipped,
           unknown_count = b.unknown_count + t.unknown,
           processed_count = b.processed_count + t.sent + t.failed + t.cancelled + t.skipped,
           settled_through_id = greatest(b.settled_through_id, %(settled_through_id)s),
           waits_until = greatest(b.waits_until, t.waits_until),
           current_rate = %(rate)s, limited_by = %(limited_by)s
      FROM run, tally t
     WHERE b.id = run.id
    RETURNING b.processed_count, b.status <> 'running' OR b.cancel_requested AS was_stopped
"""  # noqa: S608 - names of our own statements

NOTE_PACE: Final = """
    /* ledger.note_pace   While nothing ends there is nothing to record, and the row must say what is waited for. */
    UPDATE whatsapp_broadcasts SET current_rate = %(rate)s, limited_by = %(limited_by)s
     WHERE id = %(broadcast_id)s AND run_epoch = %(epoch)s RETURNING id
"""

IN_FLIGHT: Final = """
    /* ledger.in_flight
       Why:  whoever stops a broadcast is told what was under way at that commit: what a run has claimed, of which some
             has left already and the rest goes back.
       Cost: as take_over: what is in flight, not the audience.
       Lock: the caller holds the broadcast, so that nothing is claimed or recorded meanwhile. */
    SELECT count(*) AS in_flight_count FROM whatsapp_broadcast_recipients r
     WHERE r.broadcast_id = %(broadcast_id)s AND r.status = 'sending'
       AND r.id IN (SELECT i.id FROM whatsapp_broadcast_recipients i
                     WHERE i.broadcast_id = %(broadcast_id)s
                       AND i.id > (SELECT settled_through_id FROM whatsapp_broadcasts WHERE id = %(broadcast_id)s)
                       AND i.id <= (SELECT last_processed_recipient_id FROM whatsapp_broadcasts
                                     WHERE id = %(broadcast_id)s)
                    UNION ALL
                    SELECT w.id FROM whatsapp_broadcast_recipients w
                     WHERE w.broadcast_id = %(broadcast_id)s AND w.next_attempt_at = to_timestamp(0))
"""

TAKE_OVER: Final = """
    /* ledger.take_over
       Why:  what a dead run left `sending` may have left the house; nobody may guess. It becomes `unknown`.
       Cost: what was in flight, not the audience: the range between settled_through_id and the cursor, and those who
             waited for this attempt.
       Lock: the broadcast (held by the caller's transaction), then the recipients. */
    WITH run AS (
        SELECT id, settled_through_id, last_processed_recipient_id AS cursor FROM whatsapp_broadcasts
         WHERE id = %(broadcast_id)s AND run_epoch = %(epoch)s FOR UPDATE
    ), strays AS (
        UPDATE whatsapp_broadcast_recipients r
           SET status = 'unknown', unknown_at = clock_timestamp(), next_attempt_at = NULL, error_message = %(why)s
          FROM run
         WHERE r.broadcast_id = run.id AND r.status = 'sending'
           AND r.id IN (SELECT i.id FROM whatsapp_broadcast_recipients i
                         WHERE i.broadcast_id = %(broadcast_id)s
                           AND i.id > (SELECT settled_through_id FROM run) AND i.id <= (SELECT cursor FROM run)
                        UNION ALL
                        SELECT w.id FROM whatsapp_broadcast_recipients w
                         WHERE w.broadcast_id = %(broadcast_id)s AND w.next_attempt_at = to_timestamp(0))
        RETURNING r.id, r.claim_number, r.business_id, r.claimed_at
    ), tried AS (
        INSERT INTO send_attempts (broadcast_id, recipient_id, claim_number, business_id, claimed_at, outcome,
                                   is_counted, error_message)
        SELECT %(broadcast_id)s, id, claim_number, business_id, claimed_at, 'unknown', true, %(why)s FROM strays
            ON CONFLICT DO NOTHING
    )
    UPDATE whatsapp_broadcasts b
       SET unknown_count = b.unknown_count + (SELECT count(*) FROM strays),
           settled_through_id = b.last_processed_recipient_id
      FROM run WHERE b.id = run.id
    RETURNING (SELECT count(*) FROM strays) AS unknown_count
"""

LOCK_RUN: Final = """
    /* ledger.lock_run
       Why:  a claim whose client is gone may still wait for this row. Whoever looks for what it left must look after it
             is through, with a snapshot of its own. */
    SELECT id FROM whatsapp_broadcasts WHERE id = %(broadcast_id)s AND run_epoch = %(epoch)s FOR UPDATE
"""

HAND_BACK_STRAYS: Final = """
    /* ledger.hand_back_strays
       Why:  a claim whose answer got lost (the database went away) left rows `sending` that this run never saw and so
             never sent. They go back; those it does hold are named and stay.
       Cost: as take_over. */
    WITH run AS (
        SELECT id, settled_through_id, last_processed_recipient_id AS cursor FROM whatsapp_broadcasts
         WHERE id = %(broadcast_id)s AND run_epoch = %(epoch)s FOR UPDATE
    ), strays AS (
        UPDATE whatsapp_broadcast_recipients r
           SET status = 'queued', attempts = r.attempts - 1, next_attempt_at = clock_timestamp()
          FROM run
         WHERE r.broadcast_id = run.id AND r.status = 'sending' AND NOT r.id = ANY(%(held)s::bigint[])
           AND r.id IN (SELECT i.id FROM whatsapp_broadcast_recipients i
                         WHERE i.broadcast_id = %(broadcast_id)s
                           AND i.id > (SELECT settled_through_id FROM run) AND i.id <= (SELECT cursor FROM run)
                        UNION ALL
                        SELECT w.id FROM whatsapp_broadcast_recipients w
                         WHERE w.broadcast_id = %(broadcast_id)s AND w.next_attempt_at = to_timestamp(0))
        RETURNING r.id
    )
    SELECT (SELECT count(*) FROM strays) AS handed_back FROM run
"""

CANCEL_REST: Final = """
    /* ledger.cancel_rest
       Why:  a person stopped the broadcast: everybody who is still queued is accounted for at once, set-based.
       Cost: one HOT update a remaining recipient, a million in a few seconds. */
    WITH run AS (
        SELECT id FROM whatsapp_broadcasts WHERE id = %(broadcast_id)s AND cancel_requested FOR UPDATE
    ), cancelled AS (
        UPDATE whatsapp_broadcast_recipients r
           SET status = 'cancelled', next_attempt_at = NULL,
               error_message = nullif(nullif(r.error_message, 'quiet hours'), 'local time')
          FROM run WHERE r.broadcast_id = run.id AND r.status = 'queued' RETURNING 1
    )
    UPDATE whatsapp_broadcasts b
       SET cancelled_count = b.cancelled_count + (SELECT count(*) FROM cancelled),
           processed_count = b.processed_count + (SELECT count(*) FROM cancelled)
      FROM run WHERE b.id = run.id
    RETURNING (SELECT count(*) FROM cancelled) AS cancelled_count
"""

FAIL_REST: Final = f"""
    /* ledger.fail_rest
       Why:  nothing more can be sent (a template disabled for good): whoever is left has failed, with the reason.
       Cost: one HOT update a remaining recipient. */
    WITH run AS (
        SELECT id FROM whatsapp_broadcasts WHERE id = %(broadcast_id)s AND run_epoch = %(epoch)s FOR UPDATE
    ), failed AS (
        UPDATE whatsapp_broadcast_recipients r
           SET status = 'failed', failed_at = clock_timestamp(), next_attempt_at = NULL, error_message = %(why)s
          FROM run WHERE r.broadcast_id = run.id AND r.status = 'queued'
        RETURNING r.id, r.status, r.phone, r.message_id, r.error_code, r.error_message
    ), {recipients_told("failed", "%(broadcast_id)s::bigint", _OWNER)}
    UPDATE whatsapp_broadcasts b
       SET failed_count = b.failed_count + (SELECT count(*) FROM failed),
           processed_count = b.processed_count + (SELECT count(*) FROM failed)
      FROM run WHERE b.id = run.id
    RETURNING (SELECT count(*) FROM failed) AS failed_count
"""  # noqa: S608 - names of our own statements

NEXT_ATTEMPT: Final = """
    /* ledger.next_attempt   Cost: the first entry of a small partial index. */
    SELECT next_attempt_at AS at, extract(epoch FROM next_attempt_at - clock_timestamp())::float8 AS wait, error_code,
           coalesce(error_message = 'quiet hours', false) AS is_quiet,
           coalesce(error_message = 'local time', false) AS is_early
      FROM whatsapp_broadcast_recipients
     WHERE broadcast_id = %(broadcast_id)s AND next_attempt_at IS NOT NULL AND status = 'queued'
     ORDER BY next_attempt_at LIMIT 1
"""

ANYBODY_LEFT: Final = """
    /* ledger.anybody_left   Cost: the first that is found behind the cursor, or of the few that wait. */
    SELECT EXISTS (SELECT FROM whatsapp_broadcast_recipients r JOIN whatsapp_broadcasts b ON b.id = r.broadcast_id
                    WHERE b.id = %(broadcast_id)s AND r.id > b.last_processed_recipient_id AND r.status = 'queued')
        OR EXISTS (SELECT FROM whatsapp_broadcast_recipients
                    WHERE broadcast_id = %(broadcast_id)s AND next_attempt_at <= statement_timestamp()
                      AND status = 'queued')
"""

OPT_OUTS: Final = """
    /* ledger.opt_outs   Those of the last while, which a runner that was not listening did not hear of. */
    SELECT phone FROM suppressions
     WHERE business_id = %(business_id)s AND created_at >= clock_timestamp() - %(seconds)s * interval '1 second'
"""

RENEW: Final = """
    /* ledger.renew
       Why:  the lease of the run and the gate it stands behind live and die together: who slept so long that another
             broadcast of the business passed the gate has lost both.
       Cost: two single rows, every third of a lease. */
    WITH run AS (
        UPDATE whatsapp_broadcasts SET lease_expires_at = clock_timestamp() + %(seconds)s * interval '1 second'
         WHERE id = %(broadcast_id)s AND run_epoch = %(epoch)s AND lease_holder = %(holder)s
        RETURNING id, business_id
    ), gate AS (
        UPDATE bulk_gates g SET expires_at = clock_timestamp() + %(seconds)s * interval '1 second'
          FROM run WHERE g.business_id = run.business_id AND g.broadcast_id = run.id AND g.holder = %(holder)s
        RETURNING 1
    )
    SELECT id FROM run WHERE EXISTS (SELECT FROM gate)
"""

LOOK: Final = """
    /* ledger.look   A reason to stop, to go faster or slower, to leave people alone? Cost: three rows by their keys. */
    SELECT b.status, b.cancel_requested, b.run_epoch, b.rate_limit, c.rate_per_second AS throughput, o.quiet_hours,
           o.time_zone, o.frequency_cap
      FROM whatsapp_broadcasts b JOIN businesses o ON o.id = b.business_id LEFT JOIN channels c ON c.id = b.channel_id
     WHERE b.id = %(broadcast_id)s
"""


async def within(connection: AsyncConnection, statement: str, values: dict[str, Any]) -> list[Any]:
    """The rows that a statement of this room answers with, in a transaction that the caller opened and will commit."""
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    assert isinstance(driver, PlainConnection)
    async with driver.cursor() as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchall() if cursor.description else []


class RunKey(NamedTuple):
    """One run of one broadcast: what every statement of it carries."""

    broadcast_id: int
    business_id: int
    epoch: int
    is_retry: bool = False


class Claimed(Struct, frozen=True, gc=False, array_like=True):
    """One recipient whom this run may send to. claim_number: which claim this is. waited: it was put off before."""

    id: int
    phone: str
    variables: dict[str, str]
    attempts: int
    claim_number: int
    waited: bool


class Result(Struct, frozen=True, gc=False, omit_defaults=True):
    """What became of one claimed recipient, as RECORD takes it, for that claim alone.

    unused: 1 where no request left, so that the attempt is not counted. delay_seconds: until the next attempt.
    suppressed_phone: the person wants nothing more from the business (Meta 131050).
    """

    id: int
    claim_number: int
    status: RecipientStatus
    message_id: str | None = None
    error_code: int | None = None
    error_message: str | None = None
    unused: int = 0
    delay_seconds: float = 0.0
    suppressed_phone: str | None = None


class Pace(NamedTuple):
    """What the row says of the speed. rate: messages per second. limited_by: what the engine waits for."""

    rate: float
    limited_by: str


class Standing(NamedTuple):
    """What the row says of the run, and how fast it may send.

    rate_limit: of the broadcast. throughput: of its number, 0 for no limit of ours; None: the row names no number.
    quiet_hours, time_zone, frequency_cap: of the business, as `domain/` reads them.
    """

    status: str
    cancel_requested: bool
    run_epoch: int
    rate_limit: int | None = None
    throughput: int | None = None
    quiet_hours: dict[str, Any] | None = None
    time_zone: str = "UTC"
    frequency_cap: dict[str, Any] | None = None


class Recorded(NamedTuple):
    """The row after a record. was_stopped: it stood paused or cancelled already when the record was committed."""

    processed_count: int
    was_stopped: bool


class Waiting(NamedTuple):
    """The next who may be tried again: when, in how many seconds, and what put them off.

    error_code: of WhatsApp. is_quiet: quiet hours. is_early: their local time has not come.
    """

    at: datetime
    seconds: float
    error_code: int | None
    is_quiet: bool = False
    is_early: bool = False


_decode_claimed = msgspec.json.Decoder(list[Claimed]).decode
_encode = msgspec.json.Encoder().encode
# PostgreSQL stores no NUL character. Only WhatsApp's own words could hold one.
_NUL: Final = b"\\u0000"


def _encode_results(results: Sequence[Result]) -> str:
    encoded = _encode(results)
    if _NUL in encoded:
        encoded = _encode([structs.replace(result, **_without_nul(result)) for result in results])
    return encoded.decode()


def _without_nul(result: Result) -> dict[str, str]:
    fields = structs.asdict(result).items()
    return {name: value.replace("\x00", "") for name, value in fields if isinstance(value, str)}


class Ledger:
    """The statements of one run, over one connection. Two ledgers of one run may work at the same time."""

    def __init__(self, connection: PlainConnection[Any], run: RunKey) -> None:
        self._connection = connection
        self._run = run._asdict()

    async def claim(self, wanted: int) -> list[Claimed] | None:
        """Take at most `wanted` recipients for sending. None: a person stopped the broadcast, or the run is lost."""
        if self._run["is_retry"]:
            # The row is locked from before the look until the claim: nobody comes back into the queue in between.
            async with self._connection.transaction():
                await self.ask(LOCK_RUN)
                await self.ask(SPARE_DUE, why=GOT_IT)
                rows = await self.ask(CLAIM, wanted=wanted)
        else:
            rows = await self.ask(CLAIM, wanted=wanted)
        if not rows:
            return None
        claimed: str | None = rows[0][0]
        return [] if claimed is None else _decode_claimed(claimed)

    async def record(self, results: Sequence[Result], pace: Pace, settled_through_id: int) -> Recorded:
        """Make outcomes true, with the counters. Raises `RunLost`."""
        rows = await self.ask(
            RECORD,
            results=_encode_results(results),
            rate=pace.rate,
            limited_by=pace.limited_by,
            settled_through_id=settled_through_id,
        )
        return Recorded(*self.mine(rows))

    async def note_pace(self, pace: Pace) -> None:
        """Write what is waited for while nothing ends. Raises `RunLost`."""
        self.mine(await self.ask(NOTE_PACE, **pace._asdict()))

    async def hand_back_strays(self, held: Sequence[int]) -> int:
        """Give back what a lost claim left `sending`; `held` are the ids this run knows. Raises `RunLost`."""
        async with self._connection.transaction():
            self.mine(await self.ask(LOCK_RUN))
            return int(self.mine(await self.ask(HAND_BACK_STRAYS, held=list(held)))[0])

    async def renew(self, holder: str, seconds: float) -> None:
        """Keep the lease and the gate for so many seconds more. Raises `RunLost`."""
        self.mine(await self.ask(RENEW, holder=holder, seconds=seconds))

    async def look(self) -> Standing | None:
        """What the row says now; None where it is gone."""
        rows = await self.ask(LOOK)
        return Standing(*rows[0]) if rows else None

    async def opt_outs(self, seconds: float) -> list[str]:
        """The phones that opted out of the business within the last so many seconds."""
        return [row[0] for row in await self.ask(OPT_OUTS, seconds=seconds)]

    async def is_anybody_left(self) -> bool:
        """Whether somebody could be claimed now."""
        (row,) = await self.ask(ANYBODY_LEFT)
        return bool(row[0])

    async def next_attempt(self) -> Waiting | None:
        """Who of those behind the cursor may be tried first; None: nobody waits."""
        rows = await self.ask(NEXT_ATTEMPT)
        return Waiting(rows[0][0], max(rows[0][1], 0.0), *rows[0][2:]) if rows else None

    async def ask(self, statement: str, **values: Any) -> list[Any]:
        """The rows that a statement answers with; it carries the run's broadcast, business and epoch."""
        async with self._connection.cursor(binary=True) as cursor:
            await cursor.execute(statement, {**self._run, **values}, prepare=True)
            return await cursor.fetchall()

    def mine(self, rows: list[Any]) -> Any:
        """The one row that a statement of a run answers with. Raises `RunLost` where there is none."""
        if not rows:
            raise RunLost
        return rows[0]
