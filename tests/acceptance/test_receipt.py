"""Receipts as they are typed: printed by one machine, checked on another that has no database."""

import json

import psycopg
import pytest

from tests.support.clarion import PEOPLE, Clarion
from tests.support.simulator import Simulator

NOWHERE = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"}

_UNKNOWN = """
    WITH b AS (UPDATE whatsapp_broadcasts SET status = 'settling', unknown_count = 1, sent_count = sent_count - 1,
                      processed_count = processed_count - 1 WHERE id = %(id)s),
    one AS (UPDATE whatsapp_broadcast_recipients SET status = 'unknown', unknown_at = now(), message_id = NULL
             WHERE broadcast_id = %(id)s AND row_number = 2 RETURNING id, business_id)
    INSERT INTO send_attempts (broadcast_id, recipient_id, claim_number, business_id, outcome, is_counted)
    SELECT %(id)s, id, 1, business_id, 'unknown', true FROM one RETURNING recipient_id
"""


@pytest.fixture(scope="module")
def receipt(clarion: Clarion, simulator: Simulator) -> str:
    """The receipt of a broadcast to twenty people, as it was printed."""
    simulator.reset()
    sent = clarion.send(clarion.file(PEOPLE))
    assert sent.code == 0, sent.stderr
    printed = clarion.run("broadcasts", "receipt", str(sent.json["id"]))
    assert (printed.code, printed.stderr) == (0, "")
    return printed.stdout


def test_a_receipt_is_checked_without_a_database(clarion: Clarion, receipt: str) -> None:
    file = clarion.file(receipt, "receipt.json")
    done = clarion.run("verify", "--receipt", file, **NOWHERE)
    assert done.code == 0, done.stderr
    assert "to 20 people holds. It is signed by the key that it names: compare SHA256:" in done.stderr
    key = clarion.run("receipt-key")
    assert key.code == 0
    given = clarion.run("verify", "--receipt", "-", "--public-key", key.stdout.strip(), stdin=receipt, **NOWHERE)
    assert given.code == 0
    assert given.stderr.strip().endswith("to 20 people holds.")
    assert clarion.run("receipt-key", "--json").json == json.loads(receipt)["key"]


def test_a_receipt_that_does_not_hold_ends_with_1_and_the_difference(clarion: Clarion, receipt: str) -> None:
    changed = json.loads(receipt)
    changed["counts"]["counters"]["sent_count"] = 21
    done = clarion.run("verify", "--receipt", clarion.file(json.dumps(changed), "changed.json"), **NOWHERE)
    assert done.code == 1
    assert done.stderr.splitlines() == [
        "The signature does not fit: something in it was changed after it was signed.",
        "sent_count: the counter says 21, the recipients say 20.",
        "The receipt does not hold.",
    ]
    strange = clarion.run("verify", "--receipt", "-", "--public-key", "AAAA", "--json", stdin=receipt, **NOWHERE)
    assert (strange.code, strange.json["holds"]) == (1, False)
    assert strange.json["differences"] == ["It is signed with another key than the one given."]


def test_what_is_no_receipt_ends_in_a_line(clarion: Clarion) -> None:
    for code, arguments in (
        (2, ("--receipt", clarion.file("phone\n", "no.json"))),
        (2, ("--public-key", "AAAA")),
        (2, ("--receipt", "missing.json")),
    ):
        done = clarion.run("verify", *arguments, **NOWHERE)
        assert (done.code, len(done.stderr.splitlines())) == (code, 1), done.stderr


def test_somebody_unknown_is_listed_and_settled(clarion: Clarion, receipt: str) -> None:
    broadcast_id = json.loads(receipt)["broadcast"]["id"]
    with psycopg.connect(clarion.database_url, autocommit=True) as connection:
        row = connection.execute(_UNKNOWN, {"id": broadcast_id}).fetchone()
    assert row is not None
    number, recipient = str(broadcast_id), str(row[0])
    early = clarion.run("broadcasts", "receipt", number)
    assert "not final" in early.stderr
    listed = clarion.run("broadcasts", "unknowns", number, "--json")
    assert [item["id"] for item in json.loads(listed.stdout)] == [row[0]]
    assert "decided by" in clarion.run("broadcasts", "unknowns", number).stdout
    wrong = clarion.run("broadcasts", "settle", number, recipient, "--as", "lost")
    assert (wrong.code, "sent, failed, resend" in wrong.stderr) == (2, True)
    settled = clarion.run("broadcasts", "settle", number, recipient, "--as", "sent", "--json")
    assert (settled.code, settled.json["status"]) == (0, "completed")
    assert clarion.run("broadcasts", "settle", number, recipient, "--as", "sent").code == 2
    after = clarion.file(clarion.run("broadcasts", "receipt", number).stdout, "after.json")
    assert clarion.run("verify", "--receipt", after).code == 0


def test_verify_finds_a_history_that_was_changed(clarion: Clarion, receipt: str) -> None:
    number = str(json.loads(receipt)["broadcast"]["id"])
    assert clarion.run("verify", number).code == 0
    with psycopg.connect(clarion.database_url, autocommit=True) as connection:
        connection.execute("UPDATE broadcast_events SET actor = 'user' WHERE move = 'run'")
    done = clarion.run("verify", number)
    assert done.code == 1
    assert "of its history (run) was changed" in done.stderr
