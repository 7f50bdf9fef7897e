"""A media link is asked once, at an address that was looked at, and never leads anywhere inside."""

import pytest

from server.domain.media_findings import LinkAnswer, LinkRefused, LinkSilent
from server.providers import media_links
from server.providers.media_links import ask
from server.providers.public_hosts import is_public
from tests.providers.servers import Connection, always, answer, serving

PNG = answer(200, b"", kind="image/png; charset=x").replace(b"content-length: 0", b"content-length: 6000000")


def is_here(address: str) -> bool:
    """What a developer's machine allows: 127.0.0.1, and no other address."""
    return address == "127.0.0.1"


async def leaves(connection: Connection) -> None:
    """Read the request, and close."""
    await connection.read_request()


def to(location: str) -> bytes:
    """A redirect."""
    return answer(302, b"", f"location: {location}")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
        "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_addresses_inside_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["157.240.1.1", "2a03:2880::1", "::ffff:157.240.1.1", "64:ff9b::9df0:101"])
def test_addresses_outside_are_public(address: str) -> None:
    assert is_public(address)


async def test_a_link_says_what_it_leads_to_without_sending_it() -> None:
    async with serving(always(PNG)) as server:
        found = await ask(f"{server.url}/spring.png", may_ask=is_here)
    assert found == LinkAnswer(200, "image/png", 6_000_000)
    (head,) = server.heads
    assert head.startswith(b"HEAD /spring.png HTTP/1.1")


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:{port}/", "http://localhost:{port}/", "http://2130706433:{port}/", "http://[::1]:{port}/"],
)
async def test_a_private_link_is_refused_unasked(url: str) -> None:
    async with serving(always(PNG)) as server:
        found = await ask(url.format(port=server.port))
        assert isinstance(found, LinkRefused)
        assert server.requests_read == 0


@pytest.mark.parametrize("url", ["ftp://example.com/x.png", "file:///etc/passwd", "x.png", "javascript:alert(1)", ""])
async def test_what_is_no_address_of_the_web_is_refused(url: str) -> None:
    assert isinstance(await ask(url), LinkRefused)


async def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    async def both(_: str, __: int) -> list[str]:
        return ["157.240.1.1", "10.0.0.1"]

    assert isinstance(await ask("https://media.example/x.png", look_up=both), LinkRefused)


@pytest.mark.parametrize("name", ["media.example", "MEDIA.example", "media.example."])
async def test_a_name_is_looked_up_once_and_asked_at_that_address(name: str) -> None:
    asked: list[str] = []

    async def once(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with serving(always(PNG)) as server:
        # Nobody else knows this name: a second look-up, by the client itself, would find nothing.
        found = await ask(f"http://{name}:{server.port}/x.png", may_ask=is_here, look_up=once)
    assert isinstance(found, LinkAnswer)
    assert len(asked) == 1
    assert b"media.example" in server.heads[0]


async def test_a_redirect_is_followed_to_where_it_may_go_and_no_further() -> None:
    async with serving(always(PNG)) as there:
        async with serving(always(to(f"{there.url}/real.png"))) as server:
            assert await ask(server.url, may_ask=is_here) == LinkAnswer(200, "image/png", 6_000_000)
        async with serving(always(to(f"http://127.0.0.2:{there.port}/real.png"))) as server:
            assert isinstance(await ask(server.url, may_ask=is_here), LinkRefused)
        async with serving(always(to("file:///etc/passwd"))) as server:
            assert isinstance(await ask(server.url, may_ask=is_here), LinkRefused)
        assert there.requests_read == 1


async def test_redirects_without_end_come_to_one() -> None:
    async with serving(always(to("/again"))) as server:
        assert isinstance(await ask(server.url, may_ask=is_here), LinkSilent)
        assert server.requests_read == 1 + media_links.MOST_REDIRECTS


async def test_a_link_that_does_not_answer_is_silent() -> None:
    async with serving(leaves) as server:
        url = server.url
        assert isinstance(await ask(url, may_ask=is_here), LinkSilent)  # it closes without a word
    assert isinstance(await ask(url, may_ask=is_here), LinkSilent)  # nobody listens any more
    assert await ask("http://nobody.invalid/x", may_ask=is_here) == LinkSilent("its host is not known")
