"""The simulator of a drill, in a process of its own that nobody kills, and its ledger: who got how many."""

import json
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode

from server.domain.errors import Unreachable
from server.embedded.processes import last_words

PAGE: Final = 10_000
ANSWER_SECONDS: Final = 30.0
END_SECONDS: Final = 10.0


class Simulated:
    """A running simulator. It ends with the block, and with this process, whatever becomes of it."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], webhook_url: str, app_secret: str, seed: int
    ) -> None:
        """webhook_url: where it tells what becomes of each message, some of it twice and out of order."""
        log_path = folder / "simulator.log"
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [
                    *(sys.executable, "-m", "server.simulator", "--until-stdin-closes", "--port", "0"),
                    # A secret is by chance, so it may begin with a dash: as a word of its own it would be an option.
                    *("--rate", "0", "--seed", str(seed), "--webhook-url", webhook_url, f"--app-secret={app_secret}"),
                    # Whoever was killed is asked again soon, well within the grace period of the unknown.
                    *("--webhooks", "doubled=0.05,shuffled=0.1,retry_longest_seconds=2"),
                ],
                env=environment,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode()
        if not line.startswith("simulator listening on "):
            self.close()
            why = last_words(log_path.read_text(errors="replace")) or "it said nothing"
            raise Unreachable(f"The simulator did not start: {why}")
        self.url = line.rsplit(maxsplit=1)[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, and wait until it is gone."""
        self._process.kill()
        self._process.wait(END_SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()

    def accepted_count(self) -> int:
        """How many messages it has accepted."""
        return int(_get(f"{self.url}/_sim/ledger/summary")["accepted"])

    def messages_by_phone(self) -> Counter[str]:
        """How many messages each person was sent, by its ledger."""
        return messages_by_phone(self.url)


def messages_by_phone(url: str) -> Counter[str]:
    """How many messages each person was sent, by the ledger of the simulator at this address."""
    found: Counter[str] = Counter()
    after: int | None = 0
    while after is not None:
        page = _get(f"{url}/_sim/ledger/accepted?{urlencode({'after': after, 'limit': PAGE})}")
        found.update(entry["to"] for entry in page["items"])
        after = page["next_after"]
    return found


def _get(url: str) -> dict[str, Any]:
    # Not by a proxy that the environment names: it is on this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=ANSWER_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except OSError as error:
        raise Unreachable(f"The simulator does not answer: {error}.") from error
