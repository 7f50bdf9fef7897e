"""The ceiling of sending: a loop around the HTTP client that keeps nothing and checks nothing; and ours beside it.

Both send the same bodies over the same number of connections to the same sink, in turns, so that a noisy machine
disturbs both alike; the figures are medians of the rounds.

    python -m server.bench.bare --messages 20000 --concurrency 128
"""

import argparse
import asyncio
import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple

import uvloop
from pyreqwest.client import ClientBuilder
from pyreqwest.http import Url

from server.domain.outcomes import Accepted
from server.providers.whatsapp import WhatsAppClient

PHONE_NUMBER_ID = "106540352242922"
API_VERSION = "v25.0"
TOKEN = "E" * 200  # as long as Meta's are

Send = Callable[[bytes], Awaitable[object]]


def bodies(count: int) -> list[bytes]:
    """Template messages to so many people, of the size that broadcasts send."""
    message = (
        b'{"messaging_product":"whatsapp","recipient_type":"individual","to":"+1555%07d","type":"template",'
        b'"biz_opaque_callback_data":"b7:r%d","template":{"name":"order_update","language":{"code":"en_US"},'
        b'"components":[{"type":"body","parameters":[{"type":"text","text":"Dana"},{"type":"text","text":"A-%d"}]}]}}'
    )
    return [message % (number, number, number) for number in range(count)]


@contextlib.contextmanager
def sink_process() -> Iterator[str]:
    """A sink in a process of its own; yields its URL."""
    process = subprocess.Popen([sys.executable, "-m", "server.bench.sink"], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[-1]
    finally:
        process.terminate()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


async def rate_per_second(send: Send, messages: Sequence[bytes], concurrency: int) -> float:
    """Messages a second of one loop that always has so many requests under way."""
    left = iter(messages)

    async def sender() -> None:
        for message in left:
            await send(message)

    started_at = time.perf_counter()
    await asyncio.gather(*(sender() for _ in range(concurrency)))
    return len(messages) / (time.perf_counter() - started_at)


@contextlib.asynccontextmanager
async def bare_sender(url: str) -> AsyncIterator[Send]:
    """POST and read the answer, by the HTTP client alone: no outcome, no time-out, headers set once for all."""
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    target = Url(f"{url}/{API_VERSION}/{PHONE_NUMBER_ID}/messages")
    async with ClientBuilder().default_headers(headers).follow_redirects(False).no_proxy().build() as client:

        async def send(body: bytes) -> None:
            response = await client.post(target).body_bytes(body).build().send()
            await response.bytes()

        yield send


class Comparison(NamedTuple):
    """Medians over the rounds: messages a second, and the ratio of the two in the same round."""

    ours: float
    bare: float
    ratio: float


async def compare(url: str, count: int, concurrency: int, rounds: int) -> Comparison:
    """`WhatsAppClient` beside the bare client, in turns; who goes first changes with every round."""
    messages = bodies(count)
    async with WhatsAppClient(url, API_VERSION) as client, bare_sender(url) as bare:

        async def ours(body: bytes) -> None:
            outcome = await client.send(PHONE_NUMBER_ID, TOKEN, body)
            if type(outcome) is not Accepted:
                raise RuntimeError(f"the sink did not accept: {outcome}")

        pairs = []
        for number in range(rounds + 1):
            order = (ours, bare) if number % 2 else (bare, ours)
            rates = {send: await rate_per_second(send, messages, concurrency) for send in order}
            if number:  # the first round opens the connections
                pairs.append((rates[ours], rates[bare]))
    return Comparison(
        statistics.median(pair[0] for pair in pairs),
        statistics.median(pair[1] for pair in pairs),
        statistics.median(pair[0] / pair[1] for pair in pairs),
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m server.bench.bare", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--messages", type=int, default=10_000, help="in each round")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[64, 128, 256], help="requests under way")
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    with sink_process() as url:
        for concurrency in chosen.concurrency:
            found = uvloop.run(compare(url, chosen.messages, concurrency, chosen.rounds))
            sys.stdout.write(
                f"client.send, {concurrency} at once: {found.ours:,.0f}/s, "
                f"ceiling {found.bare:,.0f}/s, ratio {found.ratio:.2f}\n"
            )


if __name__ == "__main__":
    main()
