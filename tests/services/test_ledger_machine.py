"""Any order of claims, answers, crashes, pauses, cancels and opt-outs keeps the promises of the ledger.

Hypothesis drives the real ledger on real PostgreSQL and holds it against a model of ten lines: who may have got the
message. Whoever may have got it, and is not known to have been refused, must never be claimed again.
"""

import asyncio
import contextlib
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from msgspec import structs
from psycopg import AsyncConnection
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from server.database import plain_connection, sqlalchemy_url
from server.domain.errors import NotNow, RunLost
from server.domain.frequency_cap import FrequencyCap
from server.domain.local_time import LOCAL
from server.domain.quiet_hours import EVERYBODY_AWAKE, QUIET, Timetable
from server.domain.receipts import differences
from server.domain.states import FINAL, Actor, Move, RecipientStatus
from server.domain.zones import key_of
from server.services import broadcasts, leases, put_offs, receipts, run_cap, settlements, steward, suppressions
from server.services.ledger import Claimed, Ledger, Pace, Result, RunKey
from server.services.settlements import Settlement
from tests.support.books import assert_counters_equal_rows
from tests.support.builders import LEASE_SECONDS, VAULT, Made, a_broadcast, a_business, run_out_of_lease

PEOPLE = 9
_numbers = itertools.count(1)
PACE = Pace(1.0, "your_rate")
AT_ONCE = steward.Policy(unknown_grace_seconds=0, unknown_max_wait_seconds=0, max_attempts=5)
OUTCOMES = {
    "sent": Result(0, 0, RecipientStatus.SENT, message_id="wamid.x"),
    "failed": Result(0, 0, RecipientStatus.FAILED, error_code=131026, error_message="not on WhatsApp"),
    "retry": Result(0, 0, RecipientStatus.QUEUED, error_code=131000, error_message="again"),
    "unknown": Result(0, 0, RecipientStatus.UNKNOWN, error_message="no answer"),
    "unsent": Result(0, 0, RecipientStatus.QUEUED, unused=1),
    "quiet": Result(0, 0, RecipientStatus.QUEUED, error_message=QUIET, unused=1, delay_seconds=3_600.0),
    "early": Result(0, 0, RecipientStatus.QUEUED, error_message=LOCAL, unused=1, delay_seconds=7_200.0),
}
# Half of the people are left alone until tomorrow.
HALF_ARE_QUIET = Timetable(
    (0, key_of(f"+97250{PEOPLE // 2:07d}")), (datetime.now(UTC) + timedelta(days=1), None), (QUIET, "")
)
CAP = FrequencyCap(1, 7)
_MORNING = text("""
    UPDATE whatsapp_broadcast_recipients SET next_attempt_at = now()
     WHERE broadcast_id = :id AND status = 'queued' AND next_attempt_at > now()
""")


_FIRST = text("SELECT min(id) FROM whatsapp_broadcast_recipients WHERE broadcast_id = :id")


class LedgerMachine(RuleBasedStateMachine):
    """One broadcast, at most one runner, and everything that can happen to them."""

    database_url: str

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.engine: AsyncEngine = create_async_engine(sqlalchemy_url(self.database_url))
        self.connection: AsyncConnection[Any] = self.do(plain_connection(self.database_url))
        self.broadcast: Made = self.do(self._make())
        self.first_id: int = self.transact(lambda c: c.scalar(_FIRST, {"id": self.broadcast.id}))
        self.run: RunKey | None = None
        self.in_flight: list[Claimed] = []
        self.may_have_got_it: set[int] = set()
        self.claims_count = 0

    def do(self, story: Any) -> Any:
        """Run a coroutine to its end."""
        return self.loop.run_until_complete(story)

    async def _make(self) -> Made:
        tenant = await a_business(self.engine, f"Business{next(_numbers)}")
        return await a_broadcast(self.engine, PEOPLE, tenant=tenant)

    async def _in_transaction(self, work: Any) -> Any:
        async with self.engine.begin() as connection:
            return await work(connection)

    def transact(self, work: Any) -> Any:
        """Do something in a transaction of its own."""
        return self.do(self._in_transaction(work))

    @property
    def ledger(self) -> Ledger:
        """The ledger of the present run."""
        assert self.run is not None
        return Ledger(self.connection, self.run)

    @precondition(lambda self: self.run is None)
    @rule()
    def a_runner_comes(self) -> None:
        lease = self.transact(lambda c: leases.take(c, self.broadcast.id, LEASE_SECONDS))
        if lease is not None:
            self.run = RunKey(self.broadcast.id, self.broadcast.business_id, lease.epoch)

    @precondition(lambda self: self.run is not None)
    @rule(wanted=st.integers(1, 4))
    def it_claims(self, wanted: int) -> None:
        claimed = self.do(self.ledger.claim(wanted)) or []
        self.claims_count += 1
        assert not {recipient.id for recipient in claimed} & self.may_have_got_it
        self.in_flight += claimed

    @precondition(lambda self: self.in_flight)
    @rule(kind=st.sampled_from(sorted(OUTCOMES)), count=st.integers(1, 3))
    def answers_are_recorded(self, kind: str, count: int) -> None:
        ended, self.in_flight = self.in_flight[:count], self.in_flight[count:]
        outcome = OUTCOMES[kind]
        results = [structs.replace(outcome, id=r.id, claim_number=r.claim_number) for r in ended]
        if kind == "sent":
            results = [structs.replace(r, message_id=f"wamid.{r.id}.{r.claim_number}") for r in results]
        if kind in {"sent", "unknown"}:
            self.may_have_got_it |= {result.id for result in results}
        # Whatever is still in flight may be among the smallest ids: settle nothing that is not certain.
        self.do(self.ledger.record(results, PACE, 0))

    @precondition(lambda self: self.in_flight)
    @rule()
    def the_runner_dies(self) -> None:
        self.may_have_got_it |= {recipient.id for recipient in self.in_flight}
        self.in_flight, self.run = [], None
        self.transact(lambda c: run_out_of_lease(c, self.broadcast.id))

    @precondition(lambda self: self.run is not None and not self.in_flight)
    @rule()
    def the_runner_yields(self) -> None:
        assert self.run is not None
        epoch, self.run = self.run.epoch, None
        self.transact(lambda c: broadcasts.make(c, self.broadcast.id, Move.YIELD, by=Actor.ENGINE, epoch=epoch))
        self.transact(lambda c: run_out_of_lease(c, self.broadcast.id))

    @rule(move=st.sampled_from([Move.PAUSE, Move.RESUME]))
    def a_person_pauses_or_resumes(self, move: Move) -> None:
        self.transact(lambda c: broadcasts.make(c, self.broadcast.id, move, by=Actor.USER))

    @rule(number=st.integers(1, PEOPLE))
    def somebody_opts_out(self, number: int) -> None:
        phone = f"+97250{number:07d}"
        self.transact(lambda c: suppressions.suppress(c, self.broadcast.business_id, phone, "said STOP"))

    @rule(number=st.integers(1, PEOPLE), settlement=st.sampled_from(Settlement))
    def a_person_settles(self, number: int, settlement: Settlement) -> None:
        recipient_id = self.first_id + number - 1
        try:
            self.transact(lambda c: settlements.settle(c, self.broadcast.id, recipient_id, settlement))
        except NotNow:
            return
        if settlement is Settlement.RESEND:
            self.may_have_got_it.discard(recipient_id)  # it is asked for, at a person's own risk

    @precondition(lambda self: self.run is not None)
    @rule()
    def half_are_left_alone(self) -> None:
        with contextlib.suppress(RunLost):
            self.do(put_offs.put_off(self.ledger, HALF_ARE_QUIET, 0))

    @rule()
    def the_hours_are_others(self) -> None:
        self.do(put_offs.release(self.engine, self.broadcast.business_id))

    @precondition(lambda self: self.run is not None)
    @rule(table=st.sampled_from((HALF_ARE_QUIET, EVERYBODY_AWAKE)))
    def the_run_hears_of_other_hours(self, table: Timetable) -> None:
        with contextlib.suppress(RunLost):
            ids = self.do(put_offs.waiting_ids(self.ledger, 0))
            self.do(put_offs.time_own_anew(self.ledger, table, ids))

    @rule()
    def the_night_is_over(self) -> None:
        self.transact(lambda c: c.execute(_MORNING, {"id": self.broadcast.id}))

    @precondition(lambda self: self.run is not None)
    @rule(number=st.integers(1, PEOPLE))
    def somebody_has_had_enough(self, number: int) -> None:
        with contextlib.suppress(RunLost):
            self.do(run_cap.skip(self.ledger, CAP, [self.first_id + number - 1]))

    @precondition(lambda self: self.run is not None)
    @rule(wanted=st.integers(1, 4))
    def a_claim_is_lost_and_handed_back(self, wanted: int) -> None:
        claimed = self.do(self.ledger.claim(wanted)) or []
        assert not {recipient.id for recipient in claimed} & self.may_have_got_it
        with contextlib.suppress(RunLost):
            self.do(self.ledger.hand_back_strays([recipient.id for recipient in self.in_flight]))

    @precondition(lambda self: self.run is not None and not self.in_flight)
    @rule()
    def the_list_is_looked_through_once_more(self) -> None:
        assert self.run is not None
        epoch = self.run.epoch
        self.transact(lambda c: broadcasts.rewind(c, self.broadcast.id, epoch))

    @rule()
    def a_receipt_is_drawn_up(self) -> None:
        receipt = self.do(receipts.issue(self.engine, VAULT, self.broadcast.business_id, self.broadcast.id))
        assert differences(receipt) == []

    # Late, and not each time: a cancel ends the story.
    @precondition(lambda self: self.run is None and self.claims_count > 4)
    @rule()
    def a_person_cancels(self) -> None:
        async def cancel(connection: Any) -> None:
            row = assert_counters_equal_rows(self.database_url, self.broadcast.id).row
            if row["status"] not in FINAL:
                await broadcasts.request_cancel(connection, self.broadcast.id, by=Actor.USER)

        self.transact(cancel)
        self.transact(lambda c: broadcasts.finish_cancel(c, self.broadcast.id))

    @rule()
    def the_steward_goes_round(self) -> None:
        self.do(steward.go_round(self.engine, AT_ONCE))

    @invariant()
    def the_counters_equal_the_rows(self) -> None:
        books = assert_counters_equal_rows(self.database_url, self.broadcast.id)
        if books.row["status"] == "cancelled":
            assert books.statuses["queued"] == 0

    def teardown(self) -> None:
        """Look at the books a last time, and close what the machine opened."""
        try:
            self.a_receipt_is_drawn_up()
        finally:
            self.do(self.connection.close())
            self.do(self.engine.dispose())
            self.loop.close()


@pytest.mark.timeout(280)
def test_any_order_of_events_keeps_the_promises(database_url: str) -> None:
    LedgerMachine.database_url = database_url
    run_state_machine_as_test(
        LedgerMachine,
        settings=settings(
            max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
