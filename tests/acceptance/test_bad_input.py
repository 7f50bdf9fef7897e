"""Whatever is wrong: one or two plain lines, the right exit code, nothing half done."""

import gzip

import pytest

from tests.support.clarion import ORDER, PEOPLE, Clarion


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("phone,first_name,order_id\n", "Nobody in this list can be sent to"),
        ("name,first_name,order_id\nx,Dana,A-1\n", "has no phone column. There is: name, first_name, order_id."),
        ("phone,first_name\n+972501234567,Dana\n", 'needs the column "order_id"'),
        ("phone,phone,first_name,order_id\n", 'two columns named "phone"'),
        (b"PK\x03\x04\x14\x00\x06\x00", "an Excel workbook or a ZIP archive"),
        (gzip.compress(PEOPLE.encode()), "a gzip archive"),
        (b"\x00\x01\x02\x03" * 50, "a binary file"),
        ("phone,first_name,order_id\n12,Dana,A-1\n", "line 2: 12: not a phone number"),
    ],
)
def test_a_file_that_cannot_be_used(clarion: Clarion, content: str | bytes, message: str) -> None:
    before = len(clarion.broadcasts())
    done = clarion.send(clarion.file(content, "bad.csv"))
    assert done.code == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(clarion.broadcasts()) == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nosuch.csv", "--business", "Acme", *ORDER), "There is no file nosuch.csv"),
        ((".", "--business", "Acme", *ORDER), "is a folder, not a CSV file"),
        (("good.csv", "--business", "Nobody", *ORDER), 'There is no business "Nobody". There is: Acme.'),
        (
            ("good.csv", "--business", "Acme", "--template", "nope", "--language", "en_US"),
            'There is no template "nope". `clarion templates sync` brings in what WhatsApp has.',
        ),
        (
            ("good.csv", "--business", "Acme", "--template", "order_updat", "--language", "en_US"),
            'There is no template "order_updat". Is "order_update" meant?',
        ),
        (
            ("good.csv", "--business", "Acme", "--template", "order_update", "--language", "fr"),
            'has no language "fr"; it has en_US',
        ),
        (
            ("good.csv", "--business", "Acme", "--template", "order_update", "--language", "en_US"),
            "The template needs a value for {{1}}",
        ),
        (("good.csv", "--business", "Acme", *ORDER, "--var", "9=order_id"), 'The template has no variable "9"'),
        (("good.csv", "--business", "Acme", *ORDER, "--var", "oops"), '--var is "oops"; it should be like'),
        (("good.csv", "--business", "Acme", *ORDER, "--country", "Israel"), '--country is "Israel"; it should be'),
        (("good.csv", "--business", "Acme", *ORDER, "--phone-column", "x"), 'has no column "x"'),
        (("good.csv", "--business", "Acme", *ORDER, "--rate", "0"), "--rate"),
        (("good.csv", "--business", "Acme", *ORDER, "--channel", "99"), "There is no channel 99"),
    ],
)
def test_an_order_that_cannot_be_carried_out(clarion: Clarion, arguments: tuple[str, ...], message: str) -> None:
    clarion.file(PEOPLE, "good.csv")
    before = len(clarion.broadcasts())
    done = clarion.run("send", *arguments)
    assert (done.code, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(clarion.broadcasts()) == before


def test_a_template_that_is_not_approved(clarion: Clarion) -> None:
    clarion.file(PEOPLE, "good.csv")
    done = clarion.run("send", "good.csv", "--business", "Acme", "--template", "autumn_news", "--language", "en_US")
    assert done.code == 2
    assert "only approved ones can be sent" in done.stderr


@pytest.mark.parametrize(
    ("encoding", "name"), [("utf-8-sig", "Zoë"), ("utf-16", "דנה"), ("cp1255", "דנה הכהן מחיפה"), ("latin-1", "Zoë")]
)
def test_other_encodings_are_read(clarion: Clarion, encoding: str, name: str) -> None:
    people = "phone,first_name,order_id\n" + "".join(f"+97255{n:07d},{name},A-{n}\n" for n in range(30))
    done = clarion.send(clarion.file(people.encode(encoding), f"{encoding}.csv"))
    assert (done.code, done.json["sent_count"]) == (0, 30), done.stderr


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("CLARION_BATCH_SIZE", "lots", 'CLARION_BATCH_SIZE is "lots"; it should be a whole number from 1 to 5000.'),
        ("CLARION_LOG_FORMAT", "xml", 'CLARION_LOG_FORMAT is "xml"; it should be auto, console or json.'),
        ("DATABASE_URL", "mysql://x", 'DATABASE_URL is "mysql://x"; it should be a URL like'),
        ("CLARION_GRAPH_API_VERSION", "25", 'CLARION_GRAPH_API_VERSION is "25"; it should look like v25.0.'),
    ],
)
def test_a_wrong_setting_stops_the_start_with_one_line(
    clarion: Clarion, setting: str, value: str, message: str
) -> None:
    done = clarion.run("broadcasts", "list", **{setting: value})
    assert done.code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_database_that_is_away_is_the_environments_fault(clarion: Clarion) -> None:
    done = clarion.send(
        clarion.file(PEOPLE), DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing", CLARION_SECRET_KEY="x"
    )
    assert done.code == 1
    assert "The database does not answer" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_queue_that_is_away_is_the_environments_fault(clarion: Clarion) -> None:
    done = clarion.send(clarion.file(PEOPLE), REDIS_URL="redis://127.0.0.1:1/0")
    assert done.code == 1
    assert "The queue does not answer" in done.stderr


def test_an_own_database_needs_an_own_key(clarion: Clarion) -> None:
    done = clarion.run("migrate", DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert done.code == 2
    assert "CLARION_SECRET_KEY is empty" in done.stderr


def test_a_number_that_is_none(clarion: Clarion) -> None:
    for command in ("show", "recipients", "watch", "pause", "cancel"):
        assert clarion.run("broadcasts", command, "seven").code == 2
        assert clarion.run("broadcasts", command, "999").code == 2


def test_a_status_that_no_recipient_has(clarion: Clarion) -> None:
    done = clarion.run("broadcasts", "recipients", "1", "--status", "gone")
    assert done.code == 2
    assert '--status is "gone"; it should be one of queued, sending, sent' in done.stderr


def test_too_many_starts_in_a_minute_leave_no_draft(clarion: Clarion) -> None:
    file, limit = clarion.file(PEOPLE), {"CLARION_BULK_STARTS_PER_MINUTE": "1"}
    clarion.send(file, **limit)
    before = len(clarion.broadcasts())
    done = clarion.send(file, **limit)
    assert done.code == 2
    assert "which is the limit" in done.stderr
    assert len(clarion.broadcasts()) == before


def test_an_address_that_is_not_of_this_machine(clarion: Clarion) -> None:
    for command in ("web", "up"):
        done = clarion.run(command, "--port", "18611", CLARION_HOST="203.0.113.9")
        assert (done.code, done.stderr) == (
            1,
            "Error: Cannot listen on 203.0.113.9 port 18611: cannot assign requested address.\n",
        )


@pytest.mark.parametrize(
    ("changed", "value", "message"),
    [
        ("--phone-number-id", "+1 555", 'phone_number_id is "+1 555"; it should be the digits that Meta shows.'),
        ("--waba-id", "", 'waba_id is ""; it should be the digits that Meta shows.'),
        ("--token", " ", "token is empty."),
    ],
)
def test_a_number_that_cannot_be_added(clarion: Clarion, changed: str, value: str, message: str) -> None:
    options = {"--phone-number-id": "1", "--waba-id": "1", "--token": "t", "--app-secret": "s", "--verify-token": "v"}
    words = [word for option in {**options, changed: value}.items() for word in option]
    done = clarion.run("channel", "add", "--business", "Acme", *words)
    assert (done.code, done.stderr) == (2, f"Error: {message}\n")


def test_a_key_without_a_name(clarion: Clarion) -> None:
    done = clarion.run("api-key", "create", "--business", "Acme", "--name", " ")
    assert (done.code, done.stderr) == (2, "Error: A key needs a name: what it is for.\n")


def test_clarion_typed_alone_shows_its_help(clarion: Clarion) -> None:
    assert clarion.run().stderr.startswith("Usage: clarion")
