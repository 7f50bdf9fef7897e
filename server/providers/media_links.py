"""Asking a media link once, by HEAD, whether it is there: without letting it lead anywhere inside.

A link is what somebody typed, so it may name this machine or its neighbours. A name is looked up once, every address it
has must be one of the public Internet, and the request goes to the address that was looked at (a name that is looked up
twice may answer differently). Each redirect is asked in the same way. The environment's proxy is not used: it would do
the look-up.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Final

from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError
from pyreqwest.http import Url
from pyreqwest.response import Response

from server.domain.media_findings import LinkAnswer, LinkLook, LinkRefused, LinkSilent
from server.domain.sentences import said
from server.providers.public_hosts import LookUp, is_public, look_up

TIMEOUT_SECONDS: Final = 4.0
MOST_REDIRECTS: Final = 3
_SCHEMES: Final = ("http", "https")
_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))


class _NotToBeAsked(Exception):
    """Where a link leads nobody may be sent; the message goes after "cannot be used:"."""


async def ask(url: str, *, may_ask: Callable[[str], bool] = is_public, look_up: LookUp = look_up) -> LinkLook:
    """Ask a link once, and once more for each redirect. Never raises for trouble on the way.

    may_ask: which addresses may be asked.
    """
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            return await _follow(url, may_ask, look_up)
    except _NotToBeAsked as refusal:
        return LinkRefused(str(refusal))
    except TimeoutError:
        return LinkSilent(said("nothing came within %(seconds)s s", seconds=f"{TIMEOUT_SECONDS:.0f}"))
    except (OSError, UnicodeError):
        return LinkSilent(said("its host is not known"))
    except PyreqwestError:
        return LinkSilent(said("no connection could be made, or it broke off"))


async def _follow(url: str, may_ask: Callable[[str], bool], look_up: LookUp) -> LinkLook:
    where = _parsed(url)
    for _ in range(1 + MOST_REDIRECTS):
        async with await _client_for(where, may_ask, look_up) as client:
            response = await client.head(where).build().send()
        onward = response.get_header("location")
        if response.status not in _REDIRECTS or not onward:
            return _answer(response)
        where = _parsed(str(where.join(onward)))
    return LinkSilent(said("it redirects more than %(most)s times", most=MOST_REDIRECTS))


def _parsed(url: str) -> Url:
    """The URL as the client writes it. Raises `_NotToBeAsked` where it is none of the web."""
    try:
        where = Url(url)
    except ValueError:
        raise _NotToBeAsked(said("it is not a whole URL")) from None
    if where.scheme not in _SCHEMES or not where.host_str:
        raise _NotToBeAsked(said("it should begin with https://"))
    return where


async def _client_for(where: Url, may_ask: Callable[[str], bool], look_up: LookUp) -> Client:
    """A client that reaches this host at one address, which was looked at. Raises `_NotToBeAsked`."""
    host, port = where.host_str or "", where.port_or_known_default or 0
    addresses = await look_up(host.strip("[]"), port)
    if not addresses:
        raise OSError("no address")
    if not all(map(may_ask, addresses)):
        raise _NotToBeAsked(said("its host is not on the public Internet, so WhatsApp cannot fetch it"))
    seconds = timedelta(seconds=TIMEOUT_SECONDS)
    builder = ClientBuilder().user_agent("clarion").follow_redirects(False).no_proxy().timeout(seconds)
    return builder.resolve(host, addresses[0], port).build()


def _answer(response: Response) -> LinkAnswer:
    size = response.get_header("content-length") or ""
    media_type = (response.get_header("content-type") or "").partition(";")[0].strip()
    is_success = response.status < HTTPStatus.MULTIPLE_CHOICES
    return LinkAnswer(
        response.status,
        media_type[:100] if is_success else "",
        int(size) if is_success and size.isascii() and size.isdecimal() and len(size) < 16 else None,
    )
