"""Whether a request that got no answer may have been taken: asked of servers that misbehave, over real sockets."""

import asyncio
import datetime
import random
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from server.domain.outcomes import Accepted, Ambiguous, NeverLeft, Outcome
from server.providers.whatsapp import WhatsAppClient
from tests.providers.servers import ACCEPTED, Connection, Habit, Server, answer, serving

TOKEN = "EAAG-a-token-that-nobody-may-see"
KINDS = (Accepted, NeverLeft, Ambiguous)


async def send(url: str, body: bytes = b'{"to":"+1"}') -> Outcome:
    async with WhatsAppClient(url, "v25.0", connect_timeout_seconds=0.2, request_timeout_seconds=0.5) as client:
        return await client.send("1063", TOKEN, body)


# --- no byte can have reached anybody


async def test_a_refused_connection_never_left() -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        outcome = await send(f"http://127.0.0.1:{nobody_listens.getsockname()[1]}")
    assert isinstance(outcome, NeverLeft)
    assert "refused" in outcome.reason


async def test_a_name_that_does_not_resolve_never_left() -> None:
    assert isinstance(await send("http://nowhere.invalid"), NeverLeft)


async def test_a_connection_that_is_not_taken_in_time_never_left() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        outcome = await send(f"http://127.0.0.1:{full.getsockname()[1]}")
        for one in waiting:
            one.close()
    assert isinstance(outcome, NeverLeft)


async def closes(connection: Connection) -> None:
    connection.writer.close()


async def resets(connection: Connection) -> None:
    connection.reset()


async def hangs(connection: Connection) -> None:
    await connection.until_client_leaves()


async def talks_another_protocol(connection: Connection) -> None:
    await connection.write(b"220 mail.example.com ESMTP\r\n")
    await connection.until_client_leaves()


@pytest.mark.parametrize("habit", [closes, resets, hangs, talks_another_protocol])
async def test_a_tls_handshake_that_fails_never_left(habit: Habit) -> None:
    async with serving(habit) as server:
        outcome = await send(server.url.replace("http:", "https:"))
    assert isinstance(outcome, NeverLeft)


@pytest.fixture(scope="module")
def self_signed(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file: Path = tmp_path_factory.mktemp("tls") / "both.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def test_a_certificate_that_is_not_trusted_never_left(self_signed: ssl.SSLContext) -> None:
    async with serving(hangs, self_signed) as server:
        outcome = await send(server.url)
    assert isinstance(outcome, NeverLeft)
    assert server.requests_read == 0


@pytest.mark.parametrize("token", ["a\nb", "a\x00b"])
async def test_a_token_that_no_header_can_hold_never_left_and_is_not_told(token: str) -> None:
    async with serving(hangs) as server, WhatsAppClient(server.url, "v25.0") as client:
        outcome = await client.send("1063", token, b"{}")
    assert isinstance(outcome, NeverLeft)
    assert token not in outcome.reason
    assert server.requests_read == 0


# --- somebody may have got the message


async def reads_then_closes(connection: Connection) -> None:
    await connection.read_request()
    connection.writer.close()


async def reads_then_resets(connection: Connection) -> None:
    await connection.read_request()
    connection.reset()


async def reads_then_hangs(connection: Connection) -> None:
    await connection.read_request()
    await connection.until_client_leaves()


async def answers_half_a_head(connection: Connection) -> None:
    await connection.read_request()
    await connection.write(ACCEPTED[:30])
    connection.writer.close()


async def answers_half_a_body(connection: Connection) -> None:
    await connection.read_request()
    await connection.write(ACCEPTED[:-10])
    connection.writer.close()


async def answers_half_a_body_then_resets(connection: Connection) -> None:
    await connection.read_request()
    await connection.write(ACCEPTED[:-10])
    connection.reset()


async def answers_half_a_body_then_hangs(connection: Connection) -> None:
    await connection.read_request()
    await connection.write(ACCEPTED[:-10])
    await connection.until_client_leaves()


async def answers_garbage(connection: Connection) -> None:
    await connection.read_request()
    await connection.write(b"\x16\x03\x01 garbage\r\n\r\n")
    connection.writer.close()


async def hints_and_closes(connection: Connection) -> None:
    await connection.read_request()
    await connection.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
    connection.writer.close()


async def breaks_its_chunks(connection: Connection) -> None:
    await connection.read_request()
    await connection.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
    connection.writer.close()


READ_AND_LOST = [
    reads_then_closes,
    reads_then_resets,
    reads_then_hangs,
    answers_half_a_head,
    answers_half_a_body,
    answers_half_a_body_then_resets,
    answers_half_a_body_then_hangs,
    answers_garbage,
    hints_and_closes,
    breaks_its_chunks,
]


@pytest.mark.parametrize("habit", READ_AND_LOST)
async def test_a_request_that_was_read_and_got_no_whole_answer_is_ambiguous_and_left_once(habit: Habit) -> None:
    async with serving(habit) as server:
        outcome = await send(server.url)
    assert isinstance(outcome, Ambiguous), outcome
    assert server.requests_read == 1


@pytest.mark.parametrize("habit", [hangs, talks_another_protocol])
async def test_a_connection_that_was_made_and_then_failed_is_ambiguous(habit: Habit) -> None:
    # Nothing was read here, but the client cannot know: it had written the request.
    async with serving(habit) as server:
        assert isinstance(await send(server.url), Ambiguous)


@pytest.mark.parametrize("habit", [closes, resets])
async def test_a_connection_that_ends_as_it_begins_is_ambiguous_unless_it_ended_before_the_request(
    habit: Habit,
) -> None:
    # Which of the two it is depends on who is quicker. What was never read may be called either; sent it is not.
    async with serving(habit) as server:
        assert isinstance(await send(server.url), Ambiguous | NeverLeft)
    assert server.requests_read == 0


@pytest.mark.parametrize(
    "lost",
    [
        answer(200, b"<html>welcome to the hotel</html>", kind="text/html"),
        answer(200, b""),
        answer(200, b"\xff\xfe"),
        answer(200, b"[" * 100_000),
        answer(200, b"{}"),
        answer(200, b'{"messages":[]}'),
        answer(200, b'{"messages":[{"id":""}]}'),
        answer(200, b'{"messages":[{"id":null}]}'),
        answer(204, b""),
        answer(502, b"<html>Bad Gateway</html>", kind="text/html"),
        answer(503, b""),
        answer(504, b'{"error":"upstream timed out"}'),
        answer(500, b'{"error":{"message":"no code"}}'),
    ],
)
async def test_an_answer_that_is_not_whatsapps_own_is_ambiguous(lost: bytes) -> None:
    async def habit(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(lost)

    async with serving(habit) as server:
        outcome = await send(server.url)
    assert isinstance(outcome, Ambiguous), outcome
    assert server.requests_read == 1


async def test_a_client_that_is_closed_while_it_waits_leaves_its_sends_ambiguous() -> None:
    async with serving(reads_then_hangs) as server:
        async with WhatsAppClient(server.url, "v25.0") as client:
            sending = asyncio.create_task(client.send("1063", TOKEN, b"{}"))
            await server.has_read.wait()
        assert isinstance(await sending, Ambiguous)
        assert server.requests_read == 1


async def test_a_send_that_is_cancelled_says_so_and_is_not_sent_again() -> None:
    async with serving(reads_then_hangs) as server, WhatsAppClient(server.url, "v25.0") as client:
        sending = asyncio.create_task(client.send("1063", TOKEN, b"{}"))
        await server.has_read.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert server.requests_read == 1


# --- a request leaves once


@pytest.fixture
async def moody() -> AsyncIterator[Server]:
    """Keeps connections open, and gives them up at every possible moment: idle, half read, read, half answered."""
    mood = random.Random(7)

    async def habit(connection: Connection) -> None:
        while True:
            match mood.randrange(9):
                case 0:
                    await connection.reader.readexactly(1)
                    return connection.reset()
                case 1:
                    await connection.reader.readuntil(b"\r\n\r\n")
                    return None
                case 2:
                    await connection.read_request()
                    return None
                case 3:
                    await connection.read_request()
                    await connection.write(ACCEPTED[:50])
                    return connection.reset()
                case 4:
                    await connection.read_request()
                    await connection.write(ACCEPTED)
                    return None  # without saying so: the client may be about to use the connection again
                case 5:
                    await connection.read_request()
                    await connection.write(ACCEPTED)
                    return connection.reset()
                case _:
                    await connection.read_request()
                    await connection.write(ACCEPTED)

    async with serving(habit) as server:
        yield server


async def test_no_request_is_ever_sent_twice_however_connections_end(moody: Server) -> None:
    outcomes: dict[bytes, Outcome] = {}
    async with WhatsAppClient(moody.url, "v25.0", request_timeout_seconds=20) as client:

        async def one_sender(sender: int) -> None:
            for number in range(100):
                body = b'{"n":"%d-%d"}' % (sender, number)
                outcomes[body] = await client.send("1063", TOKEN, body)

        await asyncio.gather(*(one_sender(sender) for sender in range(16)))
    assert len(outcomes) == 1_600
    assert set(moody.read.values()) == {1}
    by_kind = {kind: {body for body in outcomes if isinstance(outcomes[body], kind)} for kind in KINDS}
    assert by_kind[Accepted] <= set(moody.read)
    assert by_kind[NeverLeft].isdisjoint(moody.read)
    # The server did do its worst: some of what it read is in doubt, and so is some that it never saw whole.
    assert by_kind[Ambiguous] & set(moody.read)
    assert by_kind[Ambiguous] - set(moody.read)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async def habit(connection: Connection) -> None:
        while True:
            await connection.read_request()
            await connection.write(answer(status, b"", f"location: {connection.server.url}/elsewhere"))

    async with serving(habit) as server:
        outcome = await send(server.url)
    assert server.requests_read == 1
    assert not isinstance(outcome, Accepted | NeverLeft)


async def test_the_local_simulator_is_reached_without_the_environments_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def habit(connection: Connection) -> None:
        await connection.read_request()
        await connection.write(ACCEPTED)

    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with serving(habit) as server:
        assert await send(server.url) == Accepted("wamid.ABC")
