"""Contacts by commands as typed: imported, listed, opted out, and sent to by their tags."""

import json

from tests.support.clarion import ORDER, Clarion
from tests.support.simulator import Simulator

CSV = """phone,name,tags,first_name,order_id
050-0000001,Dana,vip,Dana,A-1
050-0000002,Noa,VIP;staff,Noa,A-2
050-0000003,Omar,vip,Omar,A-3
12,Nobody,,,
"""


def test_contacts_are_imported_listed_opted_out_and_sent_to(clarion: Clarion, simulator: Simulator) -> None:
    of_acme = ("--business", "Acme")
    file = clarion.file(CSV, "contacts.csv")
    done = clarion.run("contacts", "import", file, *of_acme, "--country", "il", "--tag", "News")
    assert done.code == 0, done.stderr
    assert "3 new, 0 changed, of 4 rows." in done.stderr
    assert "line 5: 12: not a phone number" in done.stderr
    again = clarion.run("contacts", "import", file, *of_acme, "--country", "IL", "--tag", "News", "--json").json
    assert (again["created_count"], again["updated_count"], again["rejected_count"]) == (0, 0, 1)
    lines = clarion.file('{"phone": "+972500000004", "tags": ["north"]}\n', "contacts.ndjson")
    assert clarion.run("contacts", "import", lines, *of_acme, "--json").json["created_count"] == 1

    assert clarion.run("contacts", "opt-out", "050-0000003", *of_acme, "--country", "IL").code == 0
    told = clarion.run("contacts", "opt-out", "+972500000004", *of_acme, "--json").json
    assert told == {"phone": "+972500000004", "opted_out": True}
    nowhere = clarion.run("contacts", "opt-out", "050-0000004", *of_acme)
    assert (nowhere.code, nowhere.stderr) == (
        2,
        'Error: "050-0000004" has no country code; write it like +972501234567, or name the country: --country IL.\n',
    )
    assert clarion.run("contacts", "opt-in", "+972500000004", *of_acme).code == 0
    listed = clarion.run("contacts", "list", *of_acme, "--tag", "VIP", "--not-opted-out", "--json")
    assert [one["name"] for one in json.loads(listed.stdout)] == ["Dana", "Noa"]
    table = clarion.run("contacts", "list", *of_acme, "--limit", "1")
    assert "Dana" in table.stdout
    assert "There are more" in table.stderr

    sent = clarion.run("send", *of_acme, *ORDER, "--tag", "vip", "--not-tag", "staff", "--json")
    assert sent.code == 0, sent.stderr
    assert "1 person of the audience opted out" in sent.stderr
    assert (sent.json["name"], sent.json["sent_count"], sent.json["skipped_count"]) == (
        "Everybody tagged vip, not tagged staff", 1, 1,
    )  # fmt: skip
    assert [message["to"] for message in simulator.accepted()] == ["+972500000001"]


def test_what_cannot_be_meant_is_refused_in_plain_words(clarion: Clarion) -> None:
    of_acme = ("--business", "Acme")
    file = clarion.file(CSV, "contacts.csv")
    refused = [
        (("send", file, *of_acme, *ORDER, "--tag", "vip"), "either a file or --tag"),
        (("send", *of_acme, *ORDER), "To whom?"),
        (("send", *of_acme, *ORDER, "--tag", "nobody at all"), "Nobody is in this audience"),
        (("send", *of_acme, *ORDER, "--tag", "a;b"), "--tag"),
        (("contacts", "import", "missing.csv", *of_acme), "There is no file missing.csv."),
        (("contacts", "import", "missing.ndjson", *of_acme), "missing.ndjson cannot be read"),
        (("contacts", "import", file, *of_acme, "--country", "XX"), "--country"),
        (("contacts", "import", file, *of_acme, "--name-column", "who"), 'There is no column "who"'),
        (("contacts", "import", file, "--business", "Nobody", "--country", "IL"), 'There is no business "Nobody"'),
        (("contacts", "opt-out", "12", *of_acme), "Not a phone number."),
    ]
    for command, words in refused:
        done = clarion.run(*command)
        assert (done.code, words in done.stderr) == (2, True), (command, done.stderr)
        assert "Traceback" not in done.stderr
    assert [one["name"] for one in clarion.broadcasts() if one["status"] == "draft"] == []
