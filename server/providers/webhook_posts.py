"""One POST of an event to somebody's server, signed as Standard Webhooks has it, without being led anywhere inside.

The host is looked up when a connection is about to be made, every address it has must be one that may be reached, and
the connection goes to the address that was looked at (`public_hosts.py`). Redirects are not followed, the environment's
proxy is not used, and of the answer no more is read than is kept.
"""

import asyncio
import ipaddress
import socket
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DetailedPyreqwestError, PyreqwestError
from pyreqwest.http import Url
from pyreqwest.response import Response
from standardwebhooks import Webhook

from server.domain.sentences import said
from server.providers.public_hosts import LookUp, is_public

MOST_BYTES_KEPT: Final = 1024
# A connection is kept no longer than what a name stands for may be believed.
CONNECTION_SECONDS: Final = 10.0
_IDLE: Final = timedelta(seconds=5)
_NAME_THREADS: Final = 32
_LONGEST_RETRY_AFTER: Final = 8


class Post(NamedTuple):
    """What is sent. secrets: `whsec_…`, each of which signs."""

    url: str
    message_id: str
    body: bytes
    secrets: Sequence[str]


class Heard(NamedTuple):
    """What came of it. status_code: None where no answer came, and then `error` says why. answer: its first 1 KB."""

    status_code: int | None = None
    answer: str = ""
    error: str | None = None
    retry_after_seconds: float | None = None
    duration_ms: int = 0


class _MayNotBeReached(Exception):
    """Its message says why."""


def signed_headers(message_id: str, at: datetime, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The three headers of Standard Webhooks. at: in UTC. secrets: the present one, and one that was rotated out."""
    text = body.decode()
    signatures = (Webhook(secret).sign(message_id, at, text) for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def may_be_asked(url: str, *, allow_private: bool) -> str | None:
    """Why an address cannot be told of events, as far as it can be seen by looking at it; None where it can.

    allow_private: http:// and addresses of this machine and its network may be used.
    """
    try:
        where = Url(url)
    except ValueError:
        return said("It is not a whole URL, such as https://example.com/clarion.")
    host = (where.host_str or "").strip("[]")
    if where.scheme not in (("https", "http") if allow_private else ("https",)) or not host:
        return said("It should begin with https://.")
    if where.username or where.password:
        return said("It should have no user and no password in it: every event is signed instead.")
    if allow_private:
        return None
    try:
        is_inside = not is_public(str(ipaddress.ip_address(host)))
    except ValueError:
        is_inside = host == "localhost" or host.endswith(".localhost")
    return said("It is of this machine or of its network; it should be on the public Internet.") if is_inside else None


class Postman:
    """Posts events. Its connections to one URL are kept for some seconds; everything closes with the block.

    timeout_seconds: for a name, a connection and an answer together. look_up: None for the system's, in threads.
    """

    def __init__(self, *, timeout_seconds: float, allow_private: bool, look_up: LookUp | None = None) -> None:
        self._timeout_seconds = timeout_seconds
        self._allow_private = allow_private
        self._may_reach: Callable[[str], bool] = (lambda _: True) if allow_private else is_public
        self._look_up = look_up or self._look_up_apart
        self._clients: dict[str, tuple[Client, float]] = {}
        self._being_made: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        # Names are looked up in threads of our own: a name server that hangs holds up its own names and no others.
        self._threads = ThreadPoolExecutor(_NAME_THREADS, thread_name_prefix="names")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for client, _ in self._clients.values():
            await client.close()

    async def post(self, post: Post) -> Heard:
        """Post once, and say what came of it. Never raises for trouble on the way."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                heard = await self._post(post)
        except _MayNotBeReached as refusal:
            heard = Heard(error=str(refusal))
        except TimeoutError:
            heard = Heard(error=said("no answer came within %(seconds)s s", seconds=f"{self._timeout_seconds:g}"))
        except (OSError, UnicodeError):
            heard = Heard(error=said("its host is not known"))
        except PyreqwestError as error:
            heard = Heard(error=_in_words(error))
        return heard._replace(duration_ms=round((loop.time() - began) * 1000))

    async def _post(self, post: Post) -> Heard:
        refusal = may_be_asked(post.url, allow_private=self._allow_private)
        if refusal is not None:
            raise _MayNotBeReached(refusal)
        async with self._being_made[post.url]:  # of many posts that begin at once, one looks the name up
            client = await self._client_for(post.url)
        headers = signed_headers(post.message_id, datetime.now(UTC), post.body, post.secrets)
        request = client.post(post.url).header("content-type", "application/json").headers(headers)
        async with request.body_bytes(post.body).streamed_read_buffer_limit(0).build_streamed() as response:
            answer = await _first_bytes(response)
            return Heard(response.status, answer, retry_after_seconds=_retry_after(response))

    async def _client_for(self, url: str) -> Client:
        now = asyncio.get_running_loop().time()
        client, until = self._clients.get(url, (None, 0.0))
        if client is not None and now < until:
            return client
        where = Url(url)
        host, port = where.host_str or "", where.port_or_known_default or 0
        addresses = await self._look_up(host.strip("[]"), port)
        if not addresses:
            raise OSError("no address")
        if not all(map(self._may_reach, addresses)):
            raise _MayNotBeReached(said("its host is not on the public Internet"))
        builder = ClientBuilder().user_agent("clarion").follow_redirects(False).no_proxy()
        builder = builder.timeout(timedelta(seconds=self._timeout_seconds)).pool_idle_timeout(_IDLE)
        builder = builder.gzip(False).brotli(False).zstd(False).deflate(False)
        # The one before may have requests under way: it goes when they are over.
        made = builder.resolve(host, addresses[0], port).build()
        self._clients[url] = made, now + CONNECTION_SECONDS
        return made

    async def _look_up_apart(self, host: str, port: int) -> list[str]:
        """The addresses of a host, those of IPv4 first. Raises OSError or UnicodeError where it has none."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _addresses_of, host, port)
        return list(dict.fromkeys(str(entry[4][0]) for entry in sorted(found, key=_ipv4_first)))


def _addresses_of(host: str, port: int) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _ipv4_first(entry: tuple[Any, ...]) -> bool:
    return bool(entry[0] != socket.AF_INET)


async def _first_bytes(response: Response) -> str:
    """As much of an answer as is kept; what comes after it is not read."""
    kept = b""
    reader = response.body_reader
    while len(kept) < MOST_BYTES_KEPT:
        chunk = await reader.read(MOST_BYTES_KEPT - len(kept))
        if not chunk:
            break
        kept += bytes(chunk)
    return kept[:MOST_BYTES_KEPT].decode(errors="replace").replace("\x00", "")


def _retry_after(response: Response) -> float | None:
    """Seconds, where the receiver asks for a wait in seconds."""
    after = response.get_header("retry-after") or ""
    is_seconds = after.isascii() and after.isdecimal() and len(after) <= _LONGEST_RETRY_AFTER
    return float(after) if is_seconds else None


def _in_words(error: PyreqwestError) -> str:
    """What the client says was wrong, without the URL, which may be long."""
    causes = list(error.details.get("causes") or []) if isinstance(error, DetailedPyreqwestError) else []
    why = str(causes[-1]["message"] if causes else error)
    return said("no connection could be made, or it broke off: %(why)s", why=why)[:300].replace("\x00", "")
