"""TLS ends at a proxy: what it says of a request is believed where the proxy is known, and nowhere else."""

import urllib.request
from pathlib import Path

import pytest

from tests.support.engine import Engine
from tests.support.simulator import Simulator


@pytest.mark.parametrize(("known", "is_secure"), [("127.0.0.1", True), ("192.0.2.7", False)])
def test_cookies_are_secure_where_a_proxy_that_is_known_says_https(
    database_url: str, redis_url: str, tmp_path: Path, known: str, is_secure: bool
) -> None:
    with (
        Simulator.start() as simulator,
        Engine(database_url, redis_url, simulator, tmp_path, FORWARDED_ALLOW_IPS=known) as clarion,
    ):
        _, address = clarion.start_web()
        request = urllib.request.Request(f"{address}/sign-in", headers={"X-Forwarded-Proto": "https"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            cookie = answer.headers["Set-Cookie"]
    assert ("; Secure" in cookie) == is_secure
