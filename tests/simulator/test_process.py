"""A simulator is a process: how it ends, what it says where it cannot start, and what its ledger outlives."""

import contextlib
import http.client
import json
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.simulator.conftest import SEND, a_message, send
from tests.support.simulator import REPOSITORY, Simulator, simulator_command


def why_it_does_not_start(**options: object) -> tuple[int, str]:
    """Exit code and stderr of one that is expected not to start."""
    done = subprocess.run(
        simulator_command(**options),
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def test_sigterm_ends_it_though_clients_are_waiting() -> None:
    simulator = Simulator.start()
    simulator.hold_answers()
    body = json.dumps(a_message()).encode()
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=60) as line:
        head = f"POST {SEND} HTTP/1.1\r\nAuthorization: Bearer t\r\nContent-Length: {len(body)}\r\n\r\n"
        line.sendall(head.encode() + body)
        simulator.holds(at_least=1)
        assert simulator.stop() == 0
        assert line.recv(1) == b""


@pytest.mark.parametrize("ending", [signal.SIGINT, None])
def test_ctrl_c_or_the_end_of_its_parent_ends_it(ending: signal.Signals | None) -> None:
    process = subprocess.Popen(
        simulator_command(port=0), cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("simulator listening on http://127.0.0.1:")
    if ending is not None:
        process.send_signal(ending)
        process.wait(60)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_port_that_is_taken_is_said_in_one_line(shared: Simulator) -> None:
    code, words = why_it_does_not_start(port=shared.port)
    assert (code, words) == (1, f"cannot listen on 127.0.0.1 port {shared.port}: Address already in use.\n")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": 70_000}, "the port must be from 0 to 65535"),
        ({"rate": -1}, "the rate must be 0"),
        ({"not_on_whatsapp": 2}, "the share of people who are not on WhatsApp must be from 0 to 1"),
        ({"templates": "/nowhere.json"}, "cannot read the templates in /nowhere.json"),
        ({"ledger": "/dev/null/ledger"}, "cannot open the ledger /dev/null/ledger"),
    ],
)
def test_a_setting_that_cannot_be_is_said_in_one_line(options: dict[str, object], words: str) -> None:
    code, said = why_it_does_not_start(**{"port": 0, **options})
    assert code == 1
    assert said.startswith(words)
    assert said.count("\n") == 1


def test_faults_that_do_not_add_up_are_said() -> None:
    code, said = why_it_does_not_start(faults="drop=0.7,lose=0.7")
    assert code == 2
    assert "must not exceed 1" in said


def test_a_file_of_templates_joins_those_that_are_built_in(tmp_path: Path) -> None:
    file = tmp_path / "templates.json"
    node = {
        "name": "of_ours",
        "language": "he",
        "category": "UTILITY",
        "components": [{"type": "BODY", "text": "Hello"}],
    }
    file.write_text(json.dumps([node]))
    with Simulator.start(templates=file) as simulator:
        assert send(simulator, a_message(name="of_ours", language={"code": "he"}, components=[]))[0] == 200
        assert send(simulator)[0] == 200
    file.write_text(json.dumps([{**node, "components": [{"type": "BODY"}]}]))
    code, said = why_it_does_not_start(port=0, templates=file)
    assert (code, said) == (1, f"a template in {file} is malformed: components must have a BODY with text\n")


def test_a_line_that_a_kill_tore_is_left_out_and_written_over(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    with Simulator.start(ledger=file) as first:
        assert send(first, a_message("+972501111111"))[0] == 200
    with file.open("ab") as ledger:
        ledger.write(b'{"event":"accepted","n":2,"message_id":"wam')
    for so_far in (1, 2):
        with Simulator.start(ledger=file) as later:
            assert later.summary()["accepted"] == so_far
            assert send(later, a_message("+972502222222"))[0] == 200
    assert len(file.read_bytes().splitlines()) == 3


def test_a_reset_is_remembered_by_the_file(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    with Simulator.start(ledger=file) as first:
        send(first)
        first.reset()
        send(first, {})
    with Simulator.start(ledger=file) as second:
        summary = second.summary()
    assert (summary["accepted"], summary["refused"]) == (0, {"100": 1})


def test_a_file_that_is_no_ledger_is_not_touched(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("Dear Dana,\n")
    code, said = why_it_does_not_start(port=0, ledger=file)
    assert code == 1
    assert said.startswith(f"{file} is not a ledger of the simulator")
    assert file.read_text() == "Dear Dana,\n"


def test_whoever_was_answered_stands_in_the_file_though_the_disk_is_full(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    command = ["sh", "-c", 'ulimit -f 8; exec "$@"', "sh", *simulator_command(port=0, rate=0, ledger=file)]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    simulator = Simulator(process, process.stdout.readline().rsplit(maxsplit=1)[-1], {})
    answered = set()
    with contextlib.suppress(ConnectionError, http.client.HTTPException):
        for n in range(1_000):
            _, answer = send(simulator, a_message(f"+97250{n:07d}"))
            answered.add(answer["messages"][0]["id"])
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (1, "cannot write the ledger: File too large\n")
    written = {json.loads(line)["message_id"] for line in file.read_text().splitlines() if line.endswith("}")}
    assert answered
    assert answered <= written
