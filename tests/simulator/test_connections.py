"""What HTTP promises on one connection: order, keep-alive, and an answer to everything that can be read."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pytest

from tests.simulator.conftest import SEND, a_message
from tests.support.simulator import Simulator

PEOPLE = [f"+97250{n:07d}" for n in range(20)]


class Line:
    """One connection, spoken to in bytes."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._answers: BinaryIO = connection.makefile("rb")

    def say(self, *requests: bytes) -> None:
        """Send these bytes at once."""
        self.socket.sendall(b"".join(requests))

    def answer(self) -> tuple[int, bytes]:
        """The next answer: status and body. Status 0 where the connection has ended."""
        first = self._answers.readline()
        if not first:
            return 0, b""
        length = 0
        while (line := self._answers.readline()) not in {b"\r\n", b""}:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return int(first.split()[1]), self._answers.read(length)

    def answered(self) -> str:
        """Who the next answer says was sent to."""
        status, body = self.answer()
        assert status == 200, body
        return str(json.loads(body)["contacts"][0]["input"])


@contextmanager
def a_line_to(simulator: Simulator) -> Iterator[Line]:
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=60) as connection:
        yield Line(connection)


def a_request(to: str = PEOPLE[0], *, method: str = "POST", url: str = SEND, extra: str = "") -> bytes:
    """A request to send, as bytes."""
    body = json.dumps(a_message(to)).encode()
    head = f"{method} {url} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n{extra}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def test_requests_that_come_at_once_are_answered_in_their_order(simulator: Simulator) -> None:
    with a_line_to(simulator) as line:
        line.say(*map(a_request, PEOPLE))
        assert [line.answered() for _ in PEOPLE] == PEOPLE


def test_a_request_may_come_in_pieces_of_one_byte(simulator: Simulator) -> None:
    with a_line_to(simulator) as line:
        line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in a_request():
            line.say(bytes([byte]))
        assert line.answered() == PEOPLE[0]


def test_a_body_in_chunks_is_put_together(simulator: Simulator) -> None:
    body = json.dumps(a_message()).encode()
    with a_line_to(simulator) as line:
        line.say(f"POST {SEND} HTTP/1.1\r\nAuthorization: Bearer t\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for piece in (body[:7], body[7:]):
            line.say(b"%x\r\n%b\r\n" % (len(piece), piece))
        line.say(b"0\r\n\r\n")
        assert line.answered() == a_message()["to"]


def test_a_client_that_wants_to_close_gets_its_answer_first(simulator: Simulator) -> None:
    with a_line_to(simulator) as line:
        line.say(a_request(extra="Connection: close\r\n"), a_request(PEOPLE[1]))
        assert line.answered() == PEOPLE[0]
        assert line.answer() == (0, b"")
    assert simulator.summary()["accepted"] == 1


def test_a_later_answer_does_not_overtake_one_that_is_kept_back(simulator: Simulator) -> None:
    simulator.hold_answers(after=0)
    with a_line_to(simulator) as line:
        line.say(a_request(PEOPLE[0]))
        assert simulator.holds(at_least=1) == 1
        line.say(b"GET /_sim/world HTTP/1.1\r\n\r\n")
        simulator.release()
        assert line.answered() == PEOPLE[0]
        assert line.answer()[0] == 200


def test_a_client_that_hangs_up_was_served_all_the_same(simulator: Simulator) -> None:
    simulator.hold_answers(after=0)
    with a_line_to(simulator) as line:
        line.say(a_request())
        simulator.holds(at_least=1)
    assert simulator.release() == 1
    assert simulator.summary()["accepted"] == 1


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST " + SEND.encode() + b" HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 5_000_000, 413),
        (b"GET http://[ HTTP/1.1\r\n\r\n", 400),
        (b"GET /v25.0/a/b/c/d HTTP/1.1\r\nAuthorization: Bearer t\r\n\r\n", 400),
        (b"GET /nowhere HTTP/1.1\r\n\r\n", 401),
        (b"GET /_sim/nothing HTTP/1.1\r\n\r\n", 404),
        (b"GET /_sim/ledger/accepted?limit=many HTTP/1.1\r\n\r\n", 400),
        (b'PUT /_sim/faults HTTP/1.1\r\nContent-Length: 12\r\n\r\n{"drop": 1.1', 400),
        (b'PUT /_sim/faults HTTP/1.1\r\nContent-Length: 13\r\n\r\n{"drop": 1.1}', 400),
        (b'PUT /_sim/world HTTP/1.1\r\nContent-Length: 14\r\n\r\n{"speed": 1.1}', 400),
    ],
)
def test_a_request_without_sense_is_answered_and_harms_nobody(
    simulator: Simulator, request_bytes: bytes, status: int
) -> None:
    with a_line_to(simulator) as line:
        line.say(request_bytes)
        assert line.answer()[0] == status
    assert simulator.summary()["accepted"] == 0
