"""Webhooks by commands as typed: added, listed, tried, redelivered, removed."""

import json

from tests.support.clarion import Clarion
from tests.support.simulator import Simulator

OF_ACME = ("--business", "Acme")
URL = "https://hooks.example.com/clarion"


def test_webhooks_are_added_listed_and_removed_and_their_log_is_read(clarion: Clarion, simulator: Simulator) -> None:
    refused = clarion.run("webhooks", "add", "https://127.0.0.1/", *OF_ACME)
    assert (refused.code, "public Internet" in refused.stderr) == (2, True)
    allowed = clarion.run("webhooks", "add", "http://127.0.0.1:9/", *OF_ACME, CLARION_WEBHOOKS_ALLOW_PRIVATE="true")
    assert allowed.code == 0, allowed.stderr
    wrong = clarion.run("webhooks", "list", *OF_ACME, CLARION_WEBHOOKS_ALLOW_PRIVATE="perhaps")
    assert 'CLARION_WEBHOOKS_ALLOW_PRIVATE is "perhaps"; it should be true or false.' in wrong.stderr

    added = clarion.run("webhooks", "add", URL, *OF_ACME, "--event", "contact.opted_out", "--json").json
    assert added["secret"].startswith("whsec_")
    listed = json.loads(clarion.run("webhooks", "list", *OF_ACME, "--json").stdout)
    assert [(one["url"], one["enabled"]) for one in listed] == [("http://127.0.0.1:9/", True), (URL, True)]
    table = clarion.run("webhooks", "list", *OF_ACME, COLUMNS="200").stdout
    assert "contact.opted_out" in table
    assert "all" in table
    assert added["secret"] not in table

    assert clarion.run("contacts", "opt-out", "+972500000001", *OF_ACME).code == 0
    number = str(added["id"])
    (delivery,) = json.loads(clarion.run("webhooks", "deliveries", number, *OF_ACME, "--json").stdout)
    assert (delivery["event"], delivery["status"]) == ("contact.opted_out", "pending")
    assert "contact.opted_out  pending" in clarion.run("webhooks", "deliveries", number, *OF_ACME, COLUMNS="200").stdout
    assert clarion.run("webhooks", "deliveries", number, *OF_ACME, "--status", "lost").code == 2
    again = clarion.run("webhooks", "redeliver", number, str(delivery["id"]), *OF_ACME, "--json")
    assert again.json == {"id": delivery["id"], "status": "pending"}
    assert clarion.run("webhooks", "redeliver", number, "999", *OF_ACME).code == 2

    assert clarion.run("webhooks", "remove", number, *OF_ACME).code == 0
    gone = clarion.run("webhooks", "deliveries", number, *OF_ACME)
    assert (gone.code, f"There is no webhook {number}." in gone.stderr) == (2, True)
