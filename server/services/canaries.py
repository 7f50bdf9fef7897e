"""The canary of a broadcast: how many it may claim before it is judged, and the judging itself.

The row alone says where it stands. Not judged: `canary_judged_at` is empty, and no run claims more than the canary.
Watched: paused with the reason `canary`, and `resume_at` is the end of the wait. Stopped: the same without `resume_at`.
Passed, or overruled by a person's resume: `canary_judged_at` is set, and nothing of this applies any more.
"""

from typing import Any, Final, NamedTuple, assert_never

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from server.domain.canary import Bounds, GoOn, KeepWaiting, Seen, SendRest, StopHere, judge, size_of, waiting_for
from server.domain.states import Actor, BroadcastStatus, Move, PauseReason
from server.models import WhatsAppBroadcast
from server.services import broadcasts
from server.services.broadcasts import Why
from server.services.events import add_event
from server.services.messaging_limits import Room
from server.services.run_control import Cause, Stop

# Up to whom somebody may have been claimed. A list on which people were put off by their hours is looked through whole.
_REACH: Final = """
    (SELECT CASE WHEN (b.is_marketing OR b.by_local_time) AND b.waits_until IS NOT NULL THEN 9223372036854775807
                 ELSE b.last_processed_recipient_id END
       FROM whatsapp_broadcasts b WHERE b.id = :broadcast_id)
"""

_PEOPLE: Final = text(f"""
    /* canaries.people
       Who was claimed at least once, and who of them may be tried again now. Who opted out before a message left, or
       was put off by quiet hours or local time, is no part of it: the next one takes the place.
       Cost: the recipients up to the cursor, which an unjudged canary keeps within it; the list once where these
       may have put off somebody behind it, who is claimed there when their time has come. */
    SELECT count(*) AS claimed,
           count(*) FILTER (WHERE status = 'queued' AND next_attempt_at <= clock_timestamp()) AS due
      FROM whatsapp_broadcast_recipients
     WHERE broadcast_id = :broadcast_id AND id <= {_REACH} AND claim_number > 0 AND status <> 'skipped'
       AND NOT (status = 'queued' AND coalesce(error_message, '') IN ('quiet hours', 'local time')
                AND next_attempt_at > clock_timestamp())
""")  # noqa: S608 - our own text

_WATCHED: Final = text("""
    /* canaries.watched   Cost: the live broadcasts, which are few. */
    SELECT id FROM whatsapp_broadcasts
     WHERE status = 'paused' AND pause_reason = 'canary' AND resume_at IS NOT NULL AND NOT cancel_requested
""")

_LOCK: Final = text("""
    /* canaries.lock   Asked again under the lock: a person may have been quicker. */
    SELECT canary, total_recipients,
           extract(epoch FROM resume_at - clock_timestamp())::float8 AS seconds_left
      FROM whatsapp_broadcasts
     WHERE id = :broadcast_id AND status = 'paused' AND pause_reason = 'canary' AND resume_at IS NOT NULL
       AND NOT cancel_requested
       FOR UPDATE
""")

_SEEN: Final = text(f"""
    /* canaries.seen   Cost: as canaries.people, and one look-up for each of the canary, who are 1,000 at most. */
    WITH canary AS (
        SELECT r.status, r.heard_at, r.next_attempt_at,
               r.status = 'queued' AND r.next_attempt_at > clock_timestamp() + :seconds_left * interval '1 second'
                   AS is_put_off,
               EXISTS (SELECT FROM suppressions s
                        WHERE s.business_id = r.business_id AND s.phone = r.phone AND s.created_at >= r.claimed_at)
                   AS has_opted_out
          FROM whatsapp_broadcast_recipients r
         WHERE r.broadcast_id = :broadcast_id AND r.id <= {_REACH} AND r.claim_number > 0 AND r.status <> 'skipped'
           AND NOT (r.status = 'queued' AND coalesce(r.error_message, '') IN ('quiet hours', 'local time')
                    AND r.next_attempt_at > clock_timestamp())
    )
    SELECT count(*) AS people,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           count(*) FILTER (WHERE has_opted_out) AS opted_out,
           count(*) FILTER (WHERE status IN ('delivered', 'read', 'failed')) AS settled,
           count(*) FILTER (WHERE is_put_off) AS put_off,
           count(*) FILTER (
               WHERE NOT is_put_off AND (heard_at IS NOT NULL OR status IN ('delivered', 'read', 'failed'))) AS heard,
           count(*) FILTER (WHERE status = 'queued' AND next_attempt_at <= clock_timestamp()) AS due_count
      FROM canary
""")  # noqa: S608 - our own text

_FIRST: Final = text(f"""
    /* canaries.first
       Why:  a run claims whoever is due the longest first. Of those whose hours have ended meanwhile, who are no part
             of the canary, each would take the place of one who is, and one run after the other would be held.
       Cost: as canaries.people; a write for those of the canary who are due.
       Lock: the broadcast, which the caller holds, then its recipients. */
    UPDATE whatsapp_broadcast_recipients r
       SET next_attempt_at = (SELECT min(w.next_attempt_at) FROM whatsapp_broadcast_recipients w
                               WHERE w.broadcast_id = :broadcast_id AND w.next_attempt_at IS NOT NULL
                                 AND w.status = 'queued') - interval '1 second'
     WHERE r.broadcast_id = :broadcast_id AND r.id <= {_REACH} AND r.claim_number > 0 AND r.status = 'queued'
       AND r.next_attempt_at <= clock_timestamp()
""")  # noqa: S608 - our own text

_JUDGED: Final = text("""
    /* canaries.judged */
    UPDATE whatsapp_broadcasts SET canary_judged_at = clock_timestamp() WHERE id = :broadcast_id
""")

_STOP: Final = text("""
    /* canaries.stop   It stays paused, and no longer goes on by itself. */
    UPDATE whatsapp_broadcasts SET resume_at = NULL, status_detail = :detail WHERE id = :broadcast_id
""")


class Allowance(NamedTuple):
    """How many people a run may claim (None: all), and what it says when they are used up."""

    people_left: int | None
    at_limit: Stop


async def allowance(
    connection: AsyncConnection, broadcast: WhatsAppBroadcast, room: Room | None, at_limit: Stop
) -> Allowance:
    """What the messaging limit allows, or the canary where it allows less. at_limit: the messaging limit's stop."""
    size = size_of(broadcast.total_recipients)
    if broadcast.canary is None or broadcast.canary_judged_at is not None or not size:
        return Allowance(room and room.left, at_limit)
    people = (await connection.execute(_PEOPLE, {"broadcast_id": broadcast.id})).one()
    # Who is due was counted when they were claimed first, and is claimed once more.
    left = max(size - people.claimed, 0) + people.due
    if room is not None and room.left < left:
        return Allowance(room.left, at_limit)
    bounds = Bounds(**broadcast.canary)
    stop = Stop(Cause.HELD, PauseReason.CANARY, waiting_for(size, bounds), bounds.wait_seconds)
    return Allowance(left, stop)


async def judge_watched(engine: AsyncEngine) -> int:
    """Judge every canary that is watched, each in a transaction of its own. Returns how many broadcasts went on."""
    async with engine.connect() as connection:
        broadcast_ids = list(await connection.scalars(_WATCHED))
    count = 0
    for broadcast_id in broadcast_ids:
        async with engine.begin() as connection:
            count += await _judge(connection, broadcast_id)
    return count


async def _judge(connection: AsyncConnection, broadcast_id: int) -> bool:
    row = (await connection.execute(_LOCK, {"broadcast_id": broadcast_id})).one_or_none()
    if row is None:
        return False
    bounds = Bounds(**row.canary)
    verdict = judge(bounds, await _seen(connection, broadcast_id, bounds, row))
    match verdict:
        case KeepWaiting():
            return False
        case SendRest():
            await connection.execute(_FIRST, {"broadcast_id": broadcast_id})
            return await broadcasts.make(connection, broadcast_id, Move.RESUME, by=Actor.STEWARD)
        case GoOn(detail):
            await connection.execute(_JUDGED, {"broadcast_id": broadcast_id})
            why = Why(None, detail)
            return await broadcasts.make(connection, broadcast_id, Move.RESUME, by=Actor.STEWARD, why=why)
        case StopHere(detail):
            await connection.execute(_STOP, {"broadcast_id": broadcast_id, "detail": detail})
            paused = BroadcastStatus.PAUSED
            reason = PauseReason.CANARY
            await add_event(
                connection, broadcast_id, Move.HOLD, by=Actor.STEWARD, before=paused, reason=reason, detail=detail
            )
            return False
        case _:
            assert_never(verdict)


async def _seen(connection: AsyncConnection, broadcast_id: int, bounds: Bounds, row: Any) -> Seen:
    values = {"broadcast_id": broadcast_id, "seconds_left": max(row.seconds_left, 0.0)}
    counted = (await connection.execute(_SEEN, values)).mappings().one()
    return Seen(**dict(counted), waited_seconds=bounds.wait_seconds - row.seconds_left)
