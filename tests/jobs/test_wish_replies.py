"""Somebody writes STOP, and the steward dies while it writes back: they get one confirmation and never a second."""

import psycopg
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.builders import a_business
from tests.support.engine import Engine, until
from tests.support.simulator import Simulator

PHONE = "+972500000001"


async def test_a_steward_that_dies_with_a_reply_on_its_way_sends_it_once(
    engine: AsyncEngine, clarion: Engine, simulator: Simulator
) -> None:
    await a_business(engine)
    clarion.execute("UPDATE businesses SET opt_out_reply = 'No more from us.'")
    clarion.execute("UPDATE channels SET phone_number_id = '106540352242922'")

    def status() -> str:
        with psycopg.connect(clarion.database_url) as connection:
            row = connection.execute("SELECT status FROM wish_replies").fetchone()
        return "" if row is None else str(row[0])

    _, address = clarion.start_web()
    simulator.call_back(f"{address}/webhooks/whatsapp", "secret")
    simulator.hold_answers(after=0)
    steward = clarion.start("steward")
    simulator.writes(PHONE, "STOP")
    simulator.holds()
    until(lambda: status() == "sending", what="the claim")
    steward.kill()
    simulator.release()
    clarion.execute("UPDATE wish_replies SET claimed_at = claimed_at - interval '3 minutes'")
    clarion.start("steward")
    until(lambda: status() == "unknown", what="the reply to be given up")
    assert simulator.most_messages_to_one_person() == 1
    assert simulator.summary()["accepted"] == 1
