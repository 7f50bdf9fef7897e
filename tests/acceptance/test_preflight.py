"""The pre-flight at the command line, as it is typed."""

from tests.support.clarion import PEOPLE, Clarion
from tests.support.simulator import Simulator


def test_send_says_what_it_found_and_an_error_stops_it(clarion: Clarion, simulator: Simulator) -> None:
    simulator.reset()
    simulator.world(quality_rating="RED")
    done = clarion.send(clarion.file(PEOPLE))
    assert done.code == 0, done.stderr
    assert "Warning: The quality of the sending number is low" in done.stderr
    assert "At 200 messages a second it takes 1 s." in done.stderr

    simulator.world(status="BANNED")
    before = len(clarion.broadcasts())
    refused = clarion.send(clarion.file(PEOPLE))
    assert (refused.code, refused.stdout) == (2, "")
    assert "Error: WhatsApp lets nothing out from this number at present." in refused.stderr
    assert len(clarion.broadcasts()) == before
    assert simulator.summary()["accepted"] == 20

    number = str(done.json["id"])
    looked = clarion.run("broadcasts", "preflight", number, "--json")
    assert (looked.code, looked.json["ok"]) == (2, False)
    assert {"account_health", "number_status"} <= {finding["code"] for finding in looked.json["findings"]}
    assert "It cannot start." in clarion.run("broadcasts", "preflight", number).stderr
    retried = clarion.run("broadcasts", "retry", number, "--include", "failed")
    assert retried.code == 2


def test_a_media_link_that_cannot_be_one_stops_it(clarion: Clarion, simulator: Simulator) -> None:
    simulator.reset()
    arguments = ("--business", "Acme", "--template", "spring_sale", "--language", "he", "--var", "1=first_name")
    more = ("--var", "2=order_id", "--button", "1={{order_id}}", "--header", "image=ftp://example.com/spring.png")
    done = clarion.run("send", clarion.file(PEOPLE), *arguments, *more)
    assert done.code == 2
    assert "Error: The image's link cannot be used: it should begin with https://." in done.stderr
    assert simulator.summary()["accepted"] == 0


def test_send_says_what_it_costs_once_prices_were_brought_in(clarion: Clarion, simulator: Simulator) -> None:
    simulator.reset()
    done = clarion.send(clarion.file(PEOPLE))
    assert "What it costs is not known: this business has no rate card." in done.stderr
    lines = [f"IL,{category},0.0353,EUR,2026-01-01" for category in ("marketing", "utility", "authentication")]
    card = clarion.file("\n".join(("country,category,price,currency,valid_from", *lines)))
    taken = clarion.run("rates", "import", card, "--business", "Acme", "--json")
    assert taken.json == {"currency": "EUR", "prices_count": 3, "countries_count": 1}
    listed = clarion.run("rates", "list", "--business", "Acme")
    assert listed.stdout.splitlines()[1].split() == [
        "IL",
        "authentication", "0.0353", "EUR", "2026-01-01",
    ]  # fmt: skip
    done = clarion.send(clarion.file(PEOPLE))
    assert "It costs about EUR 0.71 if everybody gets it: IL utility 20 x 0.0353" in done.stderr
    refused = clarion.run("rates", "import", clarion.file(PEOPLE), "--business", "Acme")
    assert (refused.code, refused.stdout) == (2, "")
    assert "A rate card has the columns" in refused.stderr
