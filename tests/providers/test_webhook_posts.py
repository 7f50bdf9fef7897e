"""An event is posted once, signed, to an address that was looked at, and takes no more time or room than it may."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from server.providers.webhook_posts import MOST_BYTES_KEPT, Heard, Post, Postman, may_be_asked, signed_headers
from tests.providers.servers import Connection, always, answer, serving
from tests.support.hooks import Told, receiving

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BODY = json.dumps(
    {"type": "ping", "timestamp": "2026-11-28T12:00:00Z", "data": {"שלום": 1}}, ensure_ascii=False
).encode()


def a_post(url: str, *secrets: str) -> Post:
    return Post(url, "msg_1", BODY, secrets or (SECRET,))


async def post(url: str, *, allow_private: bool = True, seconds: float = 30.0, leads_to: str | None = None) -> Heard:
    """Post once. leads_to: what every name stands for."""

    async def look_up(_host: str, _port: int) -> list[str]:
        return [leads_to or ""]

    chosen = look_up if leads_to else None
    async with Postman(timeout_seconds=seconds, allow_private=allow_private, look_up=chosen) as postman:
        return await postman.post(a_post(url))


def test_the_signature_is_that_of_the_specification() -> None:
    # The worked example of the Standard Webhooks' own libraries.
    at = datetime.fromtimestamp(1_614_265_330, UTC)
    headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}', [SECRET])
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


async def test_every_secret_signs_and_a_receiver_can_check_each() -> None:
    with receiving() as hooks:
        async with Postman(timeout_seconds=30, allow_private=True) as postman:
            heard = await postman.post(a_post(hooks.url("/here"), SECRET, OTHER_SECRET))
    assert (heard.status_code, heard.error) == (204, None)
    (told,) = hooks.told
    assert (told.path, told.raw, told.headers["content-type"]) == ("/here", BODY, "application/json")
    assert told.is_signed_with(SECRET)
    assert told.is_signed_with(OTHER_SECRET)
    assert not told.is_signed_with("whsec_" + "MDAw" * 8)
    assert not Told(told.path, told.headers, BODY + b" ").is_signed_with(SECRET)
    assert Webhook(SECRET).verify(told.raw, told.headers) == json.loads(BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY + b" ", told.headers)


async def test_an_answer_without_an_end_is_read_no_further_than_it_is_kept() -> None:
    async def without_end(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(b"HTTP/1.1 500 x\r\ncontent-type: text/plain\r\n\r\n")
        while True:
            await connection.write(b"no\x00" * 1000)

    async with serving(without_end) as server:
        heard = await post(server.url)
    assert heard.status_code == 500
    assert heard.answer == ("no\x00" * 1000)[:MOST_BYTES_KEPT].replace("\x00", "")


@pytest.mark.parametrize("begins", [b"", b"HTTP/1.1 200 x\r\ncontent-length: 100\r\n\r\nhalf"])
async def test_an_answer_that_does_not_come_is_waited_for_so_long_and_no_longer(begins: bytes) -> None:
    async def hangs(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(begins)
        await connection.until_client_leaves()

    async with serving(hangs) as server, asyncio.timeout(30):
        heard = await post(server.url, seconds=0.2)
    assert (heard.status_code, heard.error) == (None, "no answer came within 0.2 s")


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async with serving(always(answer(200, b""))) as inside:
        async with serving(always(answer(302, b"", f"location: {inside.url}"))) as server:
            heard = await post(server.url)
        assert inside.requests_read == 0
    assert heard.status_code == 302


async def test_the_wait_that_a_receiver_asks_for_is_heard() -> None:
    async with serving(always(answer(429, b"", "retry-after: 120"))) as server:
        assert (await post(server.url)).retry_after_seconds == 120
    async with serving(always(answer(503, b"", "retry-after: Wed, 21 Oct 2026 07:28:00 GMT"))) as server:
        assert (await post(server.url)).retry_after_seconds is None


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "ftp://example.com/", "https://127.0.0.1/", "https://localhost/", "https://x.localhost/",
        "https://[::1]/", "https://2130706433/", "https://0x7f.1/", "https://10.0.0.1:8000/", "https://169.254.169.254/",
        "https://[::ffff:127.0.0.1]/", "https://user:password@example.com/", "example.com", "https://", "/hook",
    ],
)  # fmt: skip
async def test_what_leads_inside_or_nowhere_is_refused_as_it_stands(url: str) -> None:
    assert may_be_asked(url, allow_private=False)
    assert (await post(url, allow_private=False)).status_code is None


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::1", "fd00::1", "::ffff:127.0.0.1"])
async def test_a_name_that_stands_for_an_address_inside_is_refused_when_a_connection_is_made(address: str) -> None:
    assert may_be_asked("https://hooks.example.com/", allow_private=False) is None
    heard = await post("https://hooks.example.com/", allow_private=False, leads_to=address)
    assert heard.error == "its host is not on the public Internet"


async def test_a_connection_goes_to_the_address_that_was_looked_at() -> None:
    async with serving(always(answer(200, b"ok"))) as server:
        heard = await post(f"http://hooks.example.com:{server.port}/", leads_to="127.0.0.1")
    assert (heard.status_code, heard.answer) == (200, "ok")
    assert b"host: hooks.example.com" in server.heads[0].lower()


@pytest.mark.parametrize("leads_to", [None, "127.0.0.1"])
async def test_who_is_not_there_is_told_in_words(leads_to: str | None) -> None:
    heard = await post("http://no-such-host.invalid:1/", leads_to=leads_to)
    assert heard.status_code is None
    assert heard.error is not None
    assert ("not known" if leads_to is None else "no connection could be made") in heard.error
