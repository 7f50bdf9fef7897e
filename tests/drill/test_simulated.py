"""The simulator that a drill starts."""

from pathlib import Path

import pytest

from server.domain.errors import Unreachable
from server.drill.plug import own_environment
from server.drill.simulated import Simulated


@pytest.mark.parametrize("secret", ["secret", "-secret", "--rate", "a secret = 'of' \"signs\""])
def test_whatever_the_secret_begins_with_it_starts(tmp_path: Path, secret: str) -> None:
    with Simulated(tmp_path, own_environment(), "http://127.0.0.1:1/webhooks/whatsapp", secret, seed=1) as simulated:
        assert simulated.accepted_count() == 0


def test_one_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"The simulator did not start: .*nowhere"):
        Simulated(tmp_path, own_environment(), "nowhere", "secret", seed=1)
