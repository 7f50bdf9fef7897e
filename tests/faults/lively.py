"""A broadcast among people of every habit, over a bad network, told by webhooks without manners; and its books.

Who a person is follows from the number and the seed, so what must have become of each is known beforehand.
"""

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from server.models import Template
from server.simulator.people import HABITS, ORDINARY, Habit, People, Reaction, shares_from_text
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import WABA_ID, a_broadcast, a_business
from tests.support.engine import Engine, until
from tests.support.simulator import Simulator

SEED = 11
# Everybody there is. Few are capped: their failures come all at once, days later, and must not look like everybody's.
SHARES = (
    "off=0.02,capped=0.003,stopped=0.01,experiment=0.01,reply=0.03,stop=0.01,comes_back=0.005,tap=0.01,tap_bare=0.005,"
    "opt_out=0.01,block=0.002,only_read=0.05,slow=0.02,silent=0.05,unread=0.1,hidden=0.01"
)
# One request in a hundred: HTML for an answer, lost on the way, taken and never answered, and a line that stays open.
WEATHER = {
    "server_error": 0.004, "lose": 0.002, "drop": 0.003, "hang": 0.001, "latency_ms": 40, "latency_spread": 0.5
}  # fmt: skip
MANNERS = {"doubled": 0.1, "shuffled": 0.2, "early": 0.1, "batch": 200, "spread": 0.5, "slow_ms": 2_000}
SETTINGS = {
    "CLARION_REQUEST_TIMEOUT_SECONDS": "5",
    "CLARION_UNKNOWN_GRACE_SECONDS": "8",
    "CLARION_UNKNOWN_MAX_WAIT_SECONDS": "3600",
}
DAYS = 3  # on which somebody who is capped is tried
COMPONENTS = [
    {"type": "BODY", "text": "Hi {{1}}, here is the news.", "example": {"body_text": [["Dana"]]}},
    {"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "Stop"}]},
]
NEWS = {"name": "news", "language": "en_US", "category": "MARKETING", "status": "APPROVED", "components": COMPONENTS}
_STOP = frozenset({Reaction.STOP, Reaction.TAP, Reaction.TAP_BARE, Reaction.OPT_OUT})


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of it, for whoever reads the test's output."""

    statuses: dict[str, int]
    messages_count: int
    faults: dict[str, int]
    unknown_count: int

    def __str__(self) -> str:
        return (
            f"rows {self.statuses}; {self.messages_count} messages accepted; faults {self.faults}; "
            f"{self.unknown_count} people were unknown for a while"
        )


async def run_lively(
    engine: AsyncEngine, database_url: str, redis_url: str, folder: Path, *, people: int, seconds: float
) -> Tally:
    """Send to so many, and hold each row against the person. seconds: how long it may take in all."""
    file = folder / "templates.json"
    file.write_text(json.dumps([NEWS]))
    with (
        Simulator.start(rate=0, seed=SEED, habits=SHARES, templates=file) as simulator,
        Engine(database_url, redis_url, simulator, folder, **SETTINGS) as clarion,
    ):
        _, address = clarion.start_web()
        simulator.call_back(f"{address}/webhooks/whatsapp", "secret", **MANNERS)
        simulator.faults(**WEATHER)
        tenant = await a_business(engine)
        template = {**NEWS, "business_id": tenant.business_id, "waba_id": WABA_ID, "provider_id": "1"}
        async with engine.begin() as connection:
            await connection.execute(insert(Template).values(template))
        clarion.start("worker")
        clarion.start("steward")
        words = {"name": "news", "language": "en_US", "variables": {"1": "{{first_name}}"}}
        broadcast = await a_broadcast(engine, people, tenant=tenant, message={"template": words})
        for day in range(DAYS):
            if day:
                # In fair weather: of a few alone, each put off once more, silence proves nothing for hours.
                simulator.faults()
                _a_day_goes_by(clarion)
            _until_all_is_told(clarion, broadcast.id, day, seconds)
        clarion.until_row(broadcast.id, lambda row: row["status"] == "partial", seconds=seconds)
        assert_books_agree(clarion, broadcast.id, people)
        return _tally(clarion, broadcast.id)


def _until_all_is_told(clarion: Engine, broadcast_id: int, day: int, seconds: float) -> None:
    """Wait until everybody who can be sent to today was, nobody is unknown, and everything that was said is applied."""

    def is_quiet() -> bool:
        row = clarion.row(broadcast_id)
        return (
            row["status"] in ("queued", "partial")
            and row["lease_holder"] is None
            and row["unknown_count"] == 0
            and _asked(clarion, "SELECT count(*) FROM webhook_inbox") == 0
            and _asked(clarion, _LEFT_TODAY, day + 1) == 0
        )

    until(is_quiet, seconds=seconds, what=f"the end of day {day + 1}\n{clarion.row(broadcast_id)}")
    clarion.simulator.wait_until_told()
    until(is_quiet, seconds=seconds, what="what was told last")


# Somebody who is put off until tomorrow has been sent to today; somebody who waits for a second try has not.
_LEFT_TODAY = """
    SELECT count(*) FROM whatsapp_broadcast_recipients
     WHERE status = 'sending' OR status = 'queued' AND (attempts < %s OR next_attempt_at < now() + interval '1 hour')
"""


def _asked(clarion: Engine, statement: str, *values: object) -> int:
    with psycopg.connect(clarion.database_url) as connection:
        row = connection.execute(statement, values).fetchone()
    assert row is not None
    return int(row[0])


def _a_day_goes_by(clarion: Engine) -> None:
    clarion.execute("UPDATE whatsapp_broadcast_recipients SET next_attempt_at = now() WHERE status = 'queued'")
    clarion.execute("UPDATE whatsapp_broadcasts SET resume_at = now() WHERE status = 'queued'")


def assert_books_agree(clarion: Engine, broadcast_id: int, people: int) -> None:
    """Nobody twice, nobody missed; every row is what its person did; counters = rows = the simulator's ledger."""
    by_number = People(SEED, shares_from_text(SHARES))
    fates: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for fate in clarion.simulator.statuses():
        fates[fate["wa_id"]].append(fate)
    with psycopg.connect(clarion.database_url) as connection:
        rows = connection.execute(
            "SELECT phone, status, message_id FROM whatsapp_broadcast_recipients WHERE broadcast_id = %s",
            (broadcast_id,),
        ).fetchall()
        suppressed = {phone for (phone,) in connection.execute("SELECT phone FROM suppressions")}
    assert len(rows) == people
    wrong = []
    for phone, status, message_id in rows:
        habit, got = by_number.habit_of(phone[1:]), fates[phone[1:]]
        most = DAYS if habit is HABITS["capped"] else 1  # a request that was lost on the way is a try as well
        if not 1 <= len(got) <= most or (status, message_id) != _last_word(got) or status != _ends_as(habit):
            wrong.append((phone, status, message_id, _name_of(habit), got))
    assert not wrong, f"{len(wrong)} of {people}: {wrong[:5]}"
    stopped = {phone for phone, _, _ in rows if _is_suppressed(by_number.habit_of(phone[1:]))}
    assert suppressed == stopped, (sorted(suppressed - stopped)[:5], sorted(stopped - suppressed)[:5])
    assert_counters_equal_rows(clarion.database_url, broadcast_id)
    clarion.assert_receipt_holds(broadcast_id)


def _last_word(got: list[dict[str, Any]]) -> tuple[str, str] | None:
    """How far WhatsApp says that the last message came, once we have acknowledged it; and that message."""
    if not got or got[-1]["produced"] != got[-1]["acknowledged"]:
        return None
    return got[-1]["produced"][-1], got[-1]["message_id"]


def _ends_as(habit: Habit) -> str:
    if habit.code is not None:
        return "failed"
    if habit.read:
        return "read"
    return "delivered" if habit.delivered else "sent"


def _is_suppressed(habit: Habit) -> bool:
    return habit is HABITS["stopped"] or (habit.reaction in _STOP and not habit.comes_back)


def _name_of(habit: Habit) -> str:
    return next((name for name, known in HABITS.items() if known is habit), "ordinary" if habit is ORDINARY else "?")


def _tally(clarion: Engine, broadcast_id: int) -> Tally:
    books = assert_counters_equal_rows(clarion.database_url, broadcast_id)
    summary = clarion.simulator.summary()
    unknown_count = _asked(clarion, "SELECT count(*) FROM send_attempts WHERE outcome = 'unknown'")
    return Tally(dict(Counter(books.statuses)), summary["accepted"], dict(summary["faults"]), unknown_count)
