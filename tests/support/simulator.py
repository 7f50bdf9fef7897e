"""A simulator in a process of its own, and what tests want of it. Only the standard library; blocks, never sleeps."""

import http.client
import json
import subprocess
import sys
from email.message import Message
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

REPOSITORY = Path(__file__).parents[2]
DEADLINE_SECONDS = 60.0


class Simulator:
    """One running simulator. It ends with this process, whatever becomes of it.

    `options` are those of the command line: `Simulator.start(rate=80, faults="drop=0.01", ledger=path)`; True gives a
    bare option, None leaves it out. The rate is unlimited unless it is given.
    """

    def __init__(self, process: subprocess.Popen[str], url: str, options: dict[str, object]) -> None:
        self._process = process
        self._options = options
        self.url = url

    @classmethod
    def start(cls, *, port: int = 0, rate: float = 0, **options: object) -> Self:
        """Start one and wait until it listens. AssertionError with its words where it does not."""
        options = {"rate": rate, **options}
        process = subprocess.Popen(
            simulator_command(port=port, **options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("simulator listening on "), f"the simulator did not start: {line or process.wait()}"
        return cls(process, line.rsplit(maxsplit=1)[-1], options)

    def start_again(self) -> Self:
        """A new process with the same options at the same address, after `stop` or `kill`."""
        return type(self).start(port=self.port, **self._options)  # type: ignore[arg-type]

    @property
    def port(self) -> int:
        """Where it listens."""
        port = urlsplit(self.url).port
        assert port is not None
        return port

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def stop(self) -> int:
        """End it as a person does (SIGTERM), and wait. Returns its exit code; may be called twice."""
        self._process.terminate()
        return self._gone()

    def kill(self) -> int:
        """End it with SIGKILL, and wait."""
        self._process.kill()
        return self._gone()

    def _gone(self) -> int:
        code = self._process.wait(DEADLINE_SECONDS)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # Its ledger

    def summary(self) -> dict[str, Any]:
        """`accepted unique_people most_to_one_person refused requests held faults`; refused: code as text -> count."""
        return self._get("/_sim/ledger/summary")

    def wait_for_accepted(self, at_least: int, timeout_seconds: float = 30) -> dict[str, Any]:
        """The summary, once that many messages are accepted. TimeoutError where they are not in time."""
        summary = self._get("/_sim/ledger/summary", at_least=at_least, timeout_seconds=timeout_seconds)
        if summary["accepted"] < at_least:
            raise TimeoutError(f"{summary['accepted']} of {at_least} messages accepted after {timeout_seconds} s")
        return summary

    def accepted(self) -> list[dict[str, Any]]:
        """Every accepted message, in order: `n message_id to wa_id biz_opaque_callback_data template ...`."""
        entries: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = self._get("/_sim/ledger/accepted", after=after, limit=10_000)
            entries += page["items"]
            after = page["next_after"]
        return entries

    def messages_to(self, phone: str) -> list[dict[str, Any]]:
        """Every message accepted for one person."""
        items: list[dict[str, Any]] = self._get(f"/_sim/ledger/by-phone/{phone}")["items"]
        return items

    def refused(self) -> list[dict[str, Any]]:
        """The last 10,000 refusals at most: `code to phone_number_id details unix_seconds`."""
        items: list[dict[str, Any]] = self._get("/_sim/ledger/refused", limit=10_000)["items"]
        return items

    def most_messages_to_one_person(self) -> int:
        """1 where nobody got two."""
        return int(self.summary()["most_to_one_person"])

    def windows(self, **query: object) -> dict[str, Any]:
        """`accepted most_in_one_second long_run_rate first_unix_seconds last_unix_seconds`, by its own clock."""
        return self._get("/_sim/ledger/windows", **query)

    # What it is told to do

    def hold_answers(self, after: int = 0) -> None:
        """Accept everything, but keep answers back after this many more accepted messages."""
        self._send("POST", "/_sim/hold", {"after": after})

    def holds(self, at_least: int = 1, timeout_seconds: float = 30) -> int:
        """How many answers are kept back, once they are that many. TimeoutError where they are not in time."""
        held = int(self._get("/_sim/holds", at_least=at_least, timeout_seconds=timeout_seconds)["held"])
        if held < at_least:
            raise TimeoutError(f"{held} of {at_least} answers kept back after {timeout_seconds} s")
        return held

    def release(self) -> int:
        """Give the answers that were kept back. Returns how many."""
        return int(self._send("POST", "/_sim/release")["released"])

    def faults(self, **faults: object) -> None:
        """These faults from now on and no others: `faults(drop=0.1)`; `faults()` is fair weather."""
        self._send("PUT", "/_sim/faults", faults)

    def order(self, fault: str, **order: object) -> None:
        """Exactly this fault and no other: `order("drop", after=10, times=3)`, `order("code", code=131000)`.

        `times=None` is for ever, `phone="+…"` for one person only.
        """
        self.faults(orders=[{"fault": fault, **order}])

    def world(self, **change: object) -> dict[str, Any]:
        """Change the rate, the number, a template: `world(templates=[{"name": "…", "status": "PAUSED"}])`."""
        return self._send("PUT", "/_sim/world", change)

    # Webhooks, and what people do

    def call_back(self, url: str, app_secret: str, **manners: object) -> None:
        """Bring webhooks to this URL from now on, in these manners (webhook_manners.py) and no others."""
        self.webhooks(callbacks=[{"url": url, "app_secret": app_secret}], manners=manners)

    def webhooks(self, **order: object) -> dict[str, Any]:
        """Other `callbacks` or other `manners`."""
        return self._send("PUT", "/_sim/webhooks", order)

    def manners(self, **manners: object) -> None:
        """Deliver webhooks in these manners and no others: `manners(batch=1, doubled=0.5)`."""
        self.webhooks(manners=manners)

    def wait_until_told(self, timeout_seconds: float = 50) -> dict[str, Any]:
        """How the callbacks fare, once everything has happened and was acknowledged. TimeoutError where it was not."""
        found = self._get("/_sim/webhooks", idle="true", timeout_seconds=timeout_seconds)
        if not found["idle"]:
            raise TimeoutError(f"not everything was acknowledged after {timeout_seconds} s: {found['callbacks']}")
        return found

    def statuses(self) -> list[dict[str, Any]]:
        """Every accepted message, what it had and what was acknowledged: `message_id produced acknowledged code`."""
        entries: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = self._get("/_sim/ledger/statuses", after=after, limit=10_000)
            entries += page["items"]
            after = page["next_after"]
        return entries

    def acknowledged(self) -> dict[str, int]:
        """Messages by how far the other side knows them: `sent delivered read failed`, each message counted once."""
        counts: dict[str, int] = self.summary()["acknowledged"]
        return counts

    def said(self) -> list[dict[str, Any]]:
        """What people wrote, tapped and chose: `wa_id type text payload context_id acknowledged`."""
        items: list[dict[str, Any]] = self._get("/_sim/ledger/said", limit=10_000)["items"]
        return items

    def writes(self, phone: str, text: str, **more: object) -> dict[str, Any]:
        """A person writes, now. `context=True` answers the last message; `hidden=True` tells no phone number."""
        return self._send("POST", f"/_sim/people/{phone}/writes", {"text": text, **more})

    def taps(self, phone: str, button: str, **more: object) -> dict[str, Any]:
        """A person taps a button, now. `context=False`: the webhook does not say of which message."""
        return self._send("POST", f"/_sim/people/{phone}/taps", {"button": button, **more})

    def chooses(self, phone: str, value: str) -> dict[str, Any]:
        """A person stops marketing in WhatsApp's own menu ("stop"), or resumes it ("resume")."""
        return self._send("POST", f"/_sim/people/{phone}/marketing", {"value": value})

    # What befalls templates, numbers and the account

    def template(self, name: str, do: str, **more: object) -> int:
        """Now `pause`, `unpause`, `disable`, `release` or `drop` a template, or `quality` with its `score`.

        Returns how many held messages were released or dropped.
        """
        return int(self._send("POST", "/_sim/templates", {"name": name, "do": do, **more})["messages"])

    def account(self, do: str, **more: object) -> None:
        """Now `restrict` (hours), `disable`, `reinstate`, `alert` (alert_type) or `limit` (tier) the account."""
        self._send("POST", "/_sim/account", {"do": do, **more})

    def upgrade(self, number_id: str, maintenance_seconds: float = 0) -> None:
        """The number may send 1,000 messages a second from now on."""
        self._send("POST", f"/_sim/numbers/{number_id}", {"do": "upgrade", "maintenance_seconds": maintenance_seconds})

    def tell(self, field: str, value: dict[str, Any], **more: object) -> None:
        """Any other webhook, now."""
        self._send("POST", "/_sim/tell", {"field": field, "value": value, **more})

    def reset(self) -> None:
        """Everything as at the start, the ledger included."""
        self._send("POST", "/_sim/reset")

    # HTTP

    def _get(self, path: str, **query: object) -> dict[str, Any]:
        return self._send("GET", f"{path}?{urlencode(query)}" if query else path)

    def _send(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        status, answer = self.call(method, path, body)
        assert status == 200, f"{method} {path}: {status} {answer}"
        assert isinstance(answer, dict)
        return answer

    def call(self, method: str, path: str, body: object = None, token: str | None = None) -> tuple[int, Any]:
        """One request to any endpoint: the HTTP status and the JSON of the answer (text where it is not JSON)."""
        status, _, answer = self.headers_of(method, path, token, body)
        return status, answer

    def headers_of(
        self, method: str, path: str, token: str | None = None, body: object = None
    ) -> tuple[int, Message, Any]:
        """Such a request, and the headers of its answer as well."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, path, content, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        is_json = "json" in (answer.headers["Content-Type"] or "")
        return answer.status, answer.headers, json.loads(text) if is_json else text


def simulator_command(**options: object) -> list[str]:
    """The command that starts one with these options. It ends when its standard input does."""
    command = [sys.executable, "-m", "server.simulator", "--until-stdin-closes"]
    for name, value in options.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            command.append(option)
        elif value is not None and value is not False:
            command += [option, str(value)]
    return command
