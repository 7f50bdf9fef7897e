"""Which hosts are of the public Internet, by the addresses that their names stand for.

A name that somebody typed may stand for this machine or its neighbours. Whoever connects looks the name up once, asks
`is_public` of every address, and connects to an address that was looked at: a name that is looked up twice may answer
differently.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from typing import Final

_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")

LookUp = Callable[[str, int], Awaitable[list[str]]]


def is_public(address: str) -> bool:
    """Whether an address belongs to the public Internet: not private, loopback, link-local, multicast or reserved.

    An IPv6 address that stands for an IPv4 address is as good as that one.
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


async def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host, those of IPv4 first. Raises OSError or UnicodeError where it has none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    by_family = sorted(found, key=lambda entry: entry[0] != socket.AF_INET)
    return list(dict.fromkeys(str(entry[4][0]) for entry in by_family))
