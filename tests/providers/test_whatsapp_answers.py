"""What the client makes of answers, and what its requests look like, over real HTTP."""

import json
import logging
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from server.domain.errors import ProviderAway
from server.domain.outcomes import Accepted, Ambiguous, Outcome, Refused
from server.providers.whatsapp import WhatsAppClient
from tests.providers.servers import ACCEPTED, Connection, Habit, always, answer, serving

TOKEN = "EAAG-a-token-that-nobody-may-see"


def refusal(error: Any, *headers: str, status: int = 400) -> bytes:
    return answer(status, json.dumps({"error": error}).encode(), *headers)


async def outcome_of(data: bytes) -> Outcome:
    async with serving(always(data)) as server, WhatsAppClient(server.url, "v25.0") as client:
        return await client.send("1063", TOKEN, b'{"to":"+1"}')


async def test_a_send_is_one_post_with_the_body_as_it_is_and_the_token_in_its_header() -> None:
    async with serving(always(ACCEPTED)) as server, WhatsAppClient(server.url + "/", "v25.0") as client:
        outcomes = [await client.send("1063", TOKEN, body) for body in (b'{"to":"+1"}', b'{"to":"+2"}')]
    assert outcomes == [Accepted("wamid.ABC"), Accepted("wamid.ABC")]
    assert list(server.read) == [b'{"to":"+1"}', b'{"to":"+2"}']
    head = server.heads[1].decode().lower()
    assert head.startswith("post /v25.0/1063/messages http/1.1\r\n")
    assert f"authorization: bearer {TOKEN.lower()}\r\n" in head
    assert "content-type: application/json\r\n" in head
    assert "accept-encoding" not in head


async def test_two_numbers_and_a_renewed_token_are_not_mixed_up() -> None:
    async with serving(always(ACCEPTED)) as server, WhatsAppClient(server.url, "v25.0") as client:
        for number, token in (("1", "old"), ("2", "other"), ("1", "new")):
            await client.send(number, token, b"{}")
    said = [(head.split(b" ")[1], head.split(b"Bearer ")[1].split(b"\r\n")[0]) for head in server.heads]
    assert said == [
        (b"/v25.0/1/messages", b"old"),
        (b"/v25.0/2/messages", b"other"),
        (b"/v25.0/1/messages", b"new"),
    ]


async def test_an_id_cannot_lead_out_of_its_place_in_the_url() -> None:
    async with serving(always(ACCEPTED)) as server, WhatsAppClient(server.url, "v25.0") as client:
        await client.send("../me?x=/1", TOKEN, b"{}")
    assert server.heads[0].split(b" ")[1] == b"/v25.0/..%2Fme%3Fx%3D%2F1/messages"


@pytest.mark.parametrize("status", ["held_for_quality_assessment", "paused"])
async def test_a_message_that_meta_holds_back_is_accepted_and_held(status: str) -> None:
    body = json.dumps({"messages": [{"id": "wamid.H", "message_status": status}]}).encode()
    assert await outcome_of(answer(200, body)) == Accepted("wamid.H", held=True)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [{"id": "wamid.N"}]},
        {"messages": [{"id": "wamid.N", "message_status": "something_new", "more": [1]}], "contacts": "changed"},
    ],
)
async def test_an_acceptance_is_understood_whatever_else_changes_in_it(body: Any) -> None:
    assert await outcome_of(answer(200, json.dumps(body).encode())) == Accepted("wamid.N")


async def test_a_refusal_is_told_in_full() -> None:
    error = {
        "message": "(#130429) Rate limit hit",
        "type": "OAuthException",
        "code": 130429,
        "error_data": {"messaging_product": "whatsapp", "details": "Throughput has been reached."},
        "error_subcode": 2494055,
        "fbtrace_id": "Az8",
        "is_transient": True,
    }
    assert await outcome_of(refusal(error, "Retry-After: 7", status=429)) == Refused(
        130429,
        "(#130429) Rate limit hit",
        429,
        subcode=2494055,
        details="Throughput has been reached.",
        retry_after_seconds=7.0,
        is_transient=True,
        trace_id="Az8",
    )


@pytest.mark.parametrize(
    ("error", "code", "details"),
    [
        ({"code": 100}, 100, ""),
        ({"code": "190"}, 190, ""),
        ({"code": 100, "error_data": "template[name] is empty"}, 100, "template[name] is empty"),
        ({"code": 100, "error_data": {"details": 7}}, 100, ""),
        ({"code": 100, "error_data": [1], "error_user_msg": "Choose a name."}, 100, "Choose a name."),
        ({"code": 131000, "error_subcode": {"new": "shape"}, "message": ["also"]}, 131000, ""),
        ({"code": 100, "error_data": {"details": "nul\u0000byte"}}, 100, "nulbyte"),
        ({"code": 10**30}, None, ""),
        ({"message": "no code"}, None, ""),
        ("not an object", None, ""),
    ],
)
async def test_the_code_is_found_in_every_shape_that_errors_have(error: Any, code: int | None, details: str) -> None:
    outcome = await outcome_of(refusal(error))
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.details, outcome.http_status) == (code, details, 400)


@pytest.mark.parametrize("status", [200, 400, 404, 429, 500, 503])
async def test_whatsapps_own_code_counts_whatever_the_http_status_is(status: int) -> None:
    outcome = await outcome_of(refusal({"code": 131000, "message": "m"}, status=status))
    assert outcome == Refused(131000, "m", status)


async def test_an_html_page_with_a_4xx_is_a_refusal_without_a_code() -> None:
    assert await outcome_of(answer(404, b"<html>", kind="text/html")) == Refused(None, "", 404)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (["Retry-After: 0"], None),
        (["Retry-After: Wed, 21 Oct 2026 07:28:00 GMT"], None),
        (["Retry-After: 99999999999999999999"], 3_600.0),
        (['X-Business-Use-Case-Usage: {"1":[{"type":"whatsapp","estimated_time_to_regain_access":5}]}'], 300.0),
        (['X-Business-Use-Case-Usage: {"1":[{"estimated_time_to_regain_access":1e300},{}]}'], 3_600.0),
        (['X-Business-Use-Case-Usage: {"1":[{"estimated_time_to_regain_access":0}]}', "Retry-After: 3"], 3.0),
        (["X-Business-Use-Case-Usage: nonsense"], None),
    ],
)
async def test_the_wait_that_meta_asks_for_is_read_and_has_an_end(headers: list[str], seconds: float | None) -> None:
    outcome = await outcome_of(refusal({"code": 4}, *headers))
    assert isinstance(outcome, Refused)
    assert outcome.retry_after_seconds == seconds


async def test_a_very_long_reason_is_cut_to_what_a_row_should_keep() -> None:
    outcome = await outcome_of(refusal({"code": 100, "message": "x" * 100_000}))
    assert isinstance(outcome, Refused)
    assert len(outcome.message) == 500


async def test_the_token_is_in_no_outcome_error_or_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def reads_and_closes(connection: Connection) -> None:
        await connection.read_request()

    async with serving(reads_and_closes) as server, WhatsAppClient(server.url, "v25.0") as client:
        outcome = await client.send("1063", TOKEN, b"{}")
        with pytest.raises(ProviderAway) as away:
            await client.phone_number("1063", TOKEN)
    assert isinstance(outcome, Ambiguous)
    assert TOKEN not in repr(outcome) + repr(away.value) + caplog.text
    assert away.value.__cause__ is None


# --- the control plane


def pages(*bodies: Any) -> Habit:
    """Answer the nth request with the nth body, then the last one again and again."""

    async def habit(connection: Connection) -> None:
        while True:
            await connection.read_request()
            body = bodies[min(len(connection.server.heads), len(bodies)) - 1]
            await connection.write(answer(200, json.dumps(body).encode()))

    return habit


def template(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": str(number),
        "name": f"t{number}",
        "language": "en_US",
        "status": "APPROVED",
        "category": "UTILITY",
        "components": [{"type": "BODY", "text": "Hi"}],
        **more,
    }


async def test_templates_are_listed_through_all_their_pages() -> None:
    first = {"data": [template(1)], "paging": {"cursors": {"after": "A+/="}, "next": "https://elsewhere/?after=x"}}
    second = {"data": [template(2)], "paging": {"next": "https://elsewhere/?access_token=t&after=B"}}
    last = {"data": [template(3, quality_score={"score": "NEW", "date": "5"}, new_field=[])], "paging": {"cursors": {}}}
    async with serving(pages(first, second, last)) as server, WhatsAppClient(server.url, "v25.0") as client:
        found = await client.list_templates("77", TOKEN)
    assert [one.name for one in found] == ["t1", "t2", "t3"]
    assert found[0].components == [{"type": "BODY", "text": "Hi"}]
    urls = [urlsplit(head.split(b" ")[1].decode()) for head in server.heads]
    assert [url.path for url in urls] == ["/v25.0/77/message_templates"] * 3
    assert [parse_qs(url.query).get("after") for url in urls] == [None, ["A+/="], ["B"]]


@pytest.mark.parametrize(
    "paging", [{"cursors": {"after": "same"}, "next": "https://x/?after=same"}, {"next": "https://x/"}]
)
async def test_a_list_that_does_not_end_or_does_not_say_where_it_goes_on_is_no_list(paging: Any) -> None:
    endless = pages({"data": [template(1)], "paging": paging})
    async with serving(endless) as server, WhatsAppClient(server.url, "v25.0") as client:
        with pytest.raises(ProviderAway, match="list of templates"):
            await client.list_templates("77", TOKEN)


async def test_a_number_is_looked_up_with_its_health() -> None:
    node = {
        "id": "1063",
        "status": "CONNECTED",
        "throughput": {"level": "STANDARD"},
        "health_status": {
            "can_send_message": "LIMITED",
            "entities": [{"entity_type": "WABA", "id": "7", "can_send_message": "LIMITED", "additional_info": ["x"]}],
        },
    }
    async with serving(pages(node)) as server, WhatsAppClient(server.url, "v25.0") as client:
        number = await client.phone_number("1063", TOKEN)
    assert number.status == "CONNECTED"
    assert number.health_status is not None
    assert number.health_status.can_send_message == "LIMITED"
    assert "health_status" in server.heads[0].decode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (refusal({"code": 190, "message": "m", "fbtrace_id": "T1"}, status=401), "expired.*new system-user token.*T1"),
        (answer(502, b"<html>"), "HTTP 502"),
        (answer(200, b"<html>"), "could not be read"),
        (answer(200, b'{"data":[{"id":"1"}]}'), "could not be read"),
        (answer(301, b"", "location: /x"), "in WhatsApp's place"),
    ],
)
async def test_a_look_up_that_fails_says_what_it_means_and_what_to_do(data: bytes, said: str) -> None:
    async with serving(always(data)) as server, WhatsAppClient(server.url, "v25.0") as client:
        with pytest.raises(ProviderAway, match=said):
            await client.list_templates("77", TOKEN)


async def test_a_look_up_that_reaches_nobody_says_so() -> None:
    async with serving(always(b"")) as server:
        url = server.url
    async with WhatsAppClient(url, "v25.0") as client:
        with pytest.raises(ProviderAway, match="cannot be reached"):
            await client.phone_number("1063", TOKEN)
