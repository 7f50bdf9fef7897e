"""The main job, as it is typed."""

import json
import signal

import psycopg

from server.domain.states import FINAL
from tests.support.clarion import ORDER, PEOPLE, Clarion
from tests.support.engine import until
from tests.support.simulator import Simulator

NOT_ON_WHATSAPP = "972509990126"


def test_a_file_becomes_delivered_messages(clarion: Clarion, simulator: Simulator) -> None:
    simulator.reset()
    done = clarion.send(clarion.file(PEOPLE), "--name", "Spring sale")
    assert done.code == 0, done.stderr
    assert (done.json["status"], done.json["sent_count"], done.json["name"]) == ("completed", 20, "Spring sale")
    assert "20 people" in done.stderr
    (message,) = simulator.messages_to("+972500000007")
    assert message["template"] == "order_update"


def test_bad_rows_never_stop_the_good_ones(clarion: Clarion) -> None:
    rows = ("0501234567;Dana;A-1", "12;Noam;A-2", "050-1234567;Twice;A-3", "0521111111;;A-4")
    people = "Phone;first_name;order_id\n" + "".join(f"{row}\n" for row in rows)
    done = clarion.send(clarion.file(people, "odd.csv"), "--country", "IL")
    assert done.code == 0, done.stderr
    assert done.json["rejected"] == [
        {"row": 3, "phone": "12", "reason": "not a phone number"},
        {"row": 4, "phone": "050-1234567", "reason": "duplicate"},
        {"row": 5, "phone": "0521111111", "reason": "no value for first_name"},
    ]
    assert (done.json["total_recipients"], done.json["rejected_count"]) == (1, 3)
    assert "3 of 4 rows cannot be used:" in done.stderr
    assert "line 3: 12: not a phone number" in done.stderr
    assert "--country" not in done.stderr


def test_a_country_is_asked_for_where_most_numbers_lack_one(clarion: Clarion) -> None:
    rows = ("+972501234561,Dana,A-1", "0501234562,Noam,A-2", "0501234563,Maya,A-3", "12,Omar,A-4")
    file = clarion.file("phone,first_name,order_id\n" + "".join(f"{row}\n" for row in rows), "national.csv")
    done = clarion.send(file)
    assert (done.code, done.json["rejected_count"]) == (0, 3), done.stderr
    assert "line 3: 0501234562: no country code" in done.stderr
    assert "--country XX" in done.stderr
    assert "1 person, template order_update" in done.stderr


def test_a_script_is_not_asked_and_is_told_where_it_sends_from(clarion: Clarion) -> None:
    done = clarion.run("send", clarion.file(PEOPLE), "--business", "Acme", *ORDER)
    assert done.code == 0, done.stderr
    assert "Not at a terminal: it starts without asking." in done.stderr
    assert f"Data folder: {clarion.folder / 'data'}." in done.stderr
    meant = clarion.send(clarion.file(PEOPLE), "--yes")
    assert meant.code == 0
    assert "asking" not in meant.stderr
    assert "Data folder" not in meant.stderr


def test_standard_input_works(clarion: Clarion) -> None:
    done = clarion.send("-", stdin=PEOPLE)
    assert (done.code, done.json["sent_count"]) == (0, 20)


def test_some_who_are_not_on_whatsapp_make_it_partial(clarion: Clarion, simulator: Simulator) -> None:
    people = "phone,first_name,order_id\n+972500000011,Dana,A-1\n+" + NOT_ON_WHATSAPP + ",Noam,A-2\n"
    done = clarion.send(clarion.file(people, "partial.csv"))
    assert done.code == 3, done.stderr
    assert (done.json["status"], done.json["sent_count"], done.json["failed_count"]) == ("partial", 1, 1)
    number = str(done.json["id"])

    people_shown = clarion.run("broadcasts", "recipients", number, "--json")
    (dana, noam) = json.loads(people_shown.stdout)
    assert (dana["status"], dana["attempts"], dana["error_code"]) == ("sent", 1, None)
    assert dana["sent_at"].endswith("Z")
    assert (noam["phone"], noam["status"], noam["error_code"]) == (f"+{NOT_ON_WHATSAPP}", "failed", 131026)
    failed = clarion.run("broadcasts", "recipients", number, "--status", "failed").stdout
    assert f"+{NOT_ON_WHATSAPP}" in failed
    assert "(131026)" in failed
    assert "+972500000011" not in failed
    first = clarion.run("broadcasts", "recipients", number, "--limit", "1")
    assert "--limit" in first.stderr
    assert NOT_ON_WHATSAPP not in first.stdout

    shown = [line.strip() for line in clarion.run("broadcasts", "show", number).stdout.splitlines()]
    assert shown[0] == f"Broadcast {number}, partial: finished; some failed."
    assert {"2  people", "1  sent", "1  failed"} <= set(shown)
    assert shown[shown.index("Why failed:") + 1].startswith("1  ")
    assert shown[shown.index("Why failed:") + 1].endswith("(131026)")
    assert clarion.run("broadcasts", "show", number, "--json").json["rejected"] == []

    retried = clarion.run("broadcasts", "retry", number, "--json")
    assert retried.json["total_recipients"] == 1


def test_nobody_on_whatsapp_is_a_failure(clarion: Clarion) -> None:
    people = f"phone,first_name,order_id\n+{NOT_ON_WHATSAPP},Noam,A-2\n"
    assert clarion.send(clarion.file(people, "failed.csv")).code == 4


def test_two_commands_at_once_share_the_servers(clarion: Clarion) -> None:
    file = clarion.file(PEOPLE)
    sending = [clarion.start("send", file, "--business", "Acme", *ORDER, "--json", "--yes") for _ in range(2)]
    answers = [json.loads(process.communicate(timeout=60)[0].splitlines()[-1]) for process in sending]
    assert [answer["status"] for answer in answers] == ["completed", "completed"]


def test_a_command_that_was_killed_leaves_nothing_that_stops_the_next(clarion: Clarion, simulator: Simulator) -> None:
    simulator.reset()
    people = "phone,first_name,order_id\n" + "".join(f"+97252{n:07d},Name,A-{n}\n" for n in range(400))
    process = clarion.start("send", clarion.file(people, "many.csv"), "--business", "Acme", *ORDER, "--rate", "50")
    simulator.wait_for_accepted(20)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()

    done = clarion.send(clarion.file(PEOPLE))

    assert done.code == 0, done.stderr
    (other,) = [shown for shown in clarion.broadcasts() if shown["name"] == "many"]
    # Whoever sends next takes over what was left; a slow machine comes to its end meanwhile.
    if other["status"] not in FINAL:
        cancelled = clarion.run("broadcasts", "cancel", str(other["id"]))
        assert cancelled.code == 0, cancelled.stderr
    assert simulator.most_messages_to_one_person() == 1


def test_what_another_business_has_waiting_is_not_sent_along(clarion: Clarion, simulator: Simulator) -> None:
    simulator.reset()
    waiting = clarion.send(clarion.file(PEOPLE), "--no-watch")
    assert waiting.json["status"] == "queued"
    assert clarion.run("init", "--business", "Other", "--email", "other@example.com").code == 0
    number = ("--phone-number-id", "206540352242922", "--waba-id", "202290129340398")
    keys = ("--token", "t", "--app-secret", "s", "--verify-token", "v", "--rate", "40")
    assert clarion.run("channel", "add", "--business", "Other", *number, *keys).code == 0
    assert clarion.run("templates", "sync", "--business", "Other").code == 0

    # Long enough for the steward of the command to look at everything that waits.
    people = "phone,first_name,order_id\n" + "".join(f"+97256{n:07d},Name,A-{n}\n" for n in range(300))
    done = clarion.run("send", clarion.file(people, "others.csv"), "--business", "Other", *ORDER, "--json")

    assert (done.code, done.json["sent_count"]) == (0, 300), done.stderr
    assert simulator.summary()["accepted"] == 300
    (left,) = [shown for shown in clarion.broadcasts() if shown["id"] == waiting.json["id"]]
    assert (left["status"], left["sent_count"]) == ("queued", 0)
    assert clarion.run("broadcasts", "cancel", str(left["id"])).code == 0


def test_ctrl_c_hands_the_broadcast_back(clarion: Clarion, simulator: Simulator) -> None:
    simulator.reset()
    people = "phone,first_name,order_id\n" + "".join(f"+97253{n:07d},Name,A-{n}\n" for n in range(300))
    process = clarion.start("send", clarion.file(people, "long.csv"), "--business", "Acme", *ORDER, "--rate", "40")
    simulator.wait_for_accepted(10)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "clarion broadcasts watch" in said
    (shown,) = [shown for shown in clarion.broadcasts() if shown["name"] == "long"]
    assert shown["status"] == "queued"
    assert shown["unknown_count"] == 0
    assert clarion.run("broadcasts", "cancel", str(shown["id"])).code == 0
    assert clarion.run("broadcasts", "watch", str(shown["id"])).code == 5


def test_no_watch_leaves_it_to_a_worker(clarion: Clarion) -> None:
    started = clarion.send(clarion.file(PEOPLE), "--no-watch")
    assert started.code == 0
    assert "clarion up" in started.stderr
    assert started.json["status"] == "queued"
    worker = clarion.start("worker")
    steward = clarion.start("steward")
    shown = clarion.run("broadcasts", "watch", str(started.json["id"]), "--json")
    for process in (worker, steward):
        process.terminate()
        process.communicate(timeout=30)
    assert shown.json["status"] == "completed"


def test_who_watches_off_a_terminal_is_told_how_it_stands(clarion: Clarion) -> None:
    started = clarion.send(clarion.file(PEOPLE), "--no-watch")
    number = str(started.json["id"])
    watching = clarion.start("broadcasts", "watch", number)
    assert watching.stdout is not None
    assert watching.stdout.readline() == "0 of 20: queued, waiting for its turn\n"
    assert clarion.run("broadcasts", "cancel", number).code == 0
    said, _ = watching.communicate(timeout=60)
    assert (said, watching.returncode) == (f"Broadcast {number} is cancelled: 0 sent, 20 cancelled of 20.\n", 5)


def test_verify_finds_a_counter_that_lies(clarion: Clarion) -> None:
    done = clarion.send(clarion.file(PEOPLE))
    number = str(done.json["id"])
    assert clarion.run("verify", number).code == 0
    with psycopg.connect(clarion.database_url, autocommit=True) as connection:
        connection.execute("UPDATE whatsapp_broadcasts SET sent_count = 21 WHERE id = %s", (number,))
    lying = clarion.run("verify", number)
    assert lying.code == 1
    assert "sent_count is 21, and the rows say 20" in lying.stderr


def test_the_doctor_says_what_is_missing(clarion: Clarion) -> None:
    done = clarion.run("doctor", "--json")
    findings = {item["what"]: item["state"] for item in json.loads(done.stdout)}
    assert findings["database"] == findings["queue"] == findings["number 1"] == "well"
    assert (findings["worker"], done.code) == ("wrong", 1)


def test_a_paused_broadcast_goes_on_where_it_was(clarion: Clarion, simulator: Simulator) -> None:
    simulator.reset()
    people = "phone,first_name,order_id\n" + "".join(f"+97254{n:07d},Name,A-{n}\n" for n in range(600))
    process = clarion.start("send", clarion.file(people, "paused.csv"), "--business", "Acme", *ORDER, "--rate", "40")
    simulator.wait_for_accepted(20)
    (shown,) = [shown for shown in clarion.broadcasts() if shown["name"] == "paused"]
    number = str(shown["id"])
    paused = clarion.run("broadcasts", "pause", number, "--json")
    assert paused.code == 0, paused.stderr
    assert paused.json["status"] == "paused"
    process.communicate(timeout=60)
    assert process.returncode == 1  # a script does not wait for somebody to resume it
    resumed = clarion.run("broadcasts", "resume", number)
    assert resumed.code == 0, resumed.stderr
    assert "No worker is running" in resumed.stderr
    worker, steward = clarion.start("worker"), clarion.start("steward")
    watched = clarion.run("broadcasts", "watch", number)
    assert watched.code == 0, watched.stderr
    for part in (worker, steward):
        part.terminate()
        part.communicate(timeout=30)
    until(lambda: simulator.summary()["accepted"] == 600)
    assert simulator.most_messages_to_one_person() == 1
