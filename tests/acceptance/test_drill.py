"""`clarion drill`: it tells who got it once, twice and never; it touches nothing of anybody's, and leaves nothing."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.support.clarion import Completed
from tests.support.engine import until
from tests.support.forks import CLARION

# What a person may have set for work: a drill must not so much as look at it.
THEIRS = {
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/theirs",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "CLARION_SECRET_KEY": "theirs",
    "CLARION_GRAPH_API_URL": "http://127.0.0.1:1",
}


def environment(folder: Path) -> dict[str, str]:
    """Where a drill makes its folder, and what it must not follow."""
    return {**os.environ, **THEIRS, "CLARION_DATA_DIR": str(folder / "theirs"), "TMPDIR": str(folder)}


def drill(folder: Path, *arguments: str) -> Completed:
    """Run a drill to its end, in a folder with somebody's .env."""
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in THEIRS.items()))
    done = subprocess.run(
        [CLARION, "drill", *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        timeout=280,
        check=False,
    )
    return Completed(done.returncode, done.stdout.decode(), done.stderr.decode())


def started(folder: Path, until_it_says: str) -> "subprocess.Popen[bytes]":
    """A drill that has come so far."""
    log = folder / "drill.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [CLARION, "drill", "--people", "2000", "--kills", "20"],
            cwd=folder,
            env=environment(folder),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    until(lambda: until_it_says in log.read_text() or process.poll() is not None, seconds=200, what=until_it_says)
    assert until_it_says in log.read_text(), log.read_text()
    return process


def belongs_to(process: psutil.Process, folder: Path) -> bool:
    """Whether a process works in this folder, or was told of it."""
    try:
        told = [*process.cmdline(), *process.environ().values(), process.cwd()]
    except psutil.Error:
        return False
    return process.pid != os.getpid() and any(f"{folder}/clarion-drill-" in text for text in told)


def left_of(folder: Path) -> list[psutil.Process]:
    """Every process of a drill in this folder."""
    return [process for process in psutil.process_iter() if belongs_to(process, folder)]


def folders_of(folder: Path) -> list[Path]:
    """The data folders of drills."""
    return list(folder.glob("clarion-drill-*"))


def test_a_small_drill_reaches_everybody_once_and_leaves_nothing(tmp_path: Path) -> None:
    done = drill(tmp_path, "--people", "500", "--kills", "3", "--seed", "3", "--json")
    assert done.code == 0, done.stderr
    found = done.json
    assert (found["people"], found["accepted"], found["verdict"], found["wrong"]) == (500, 500, "held", [])
    assert (found["reach"]["once_count"], found["reach"]["twice_count"], found["reach"]["never_count"]) == (500, 0, 0)
    assert found["kills"] == {"job": 2, "worker": 1}  # as this seed has it
    assert "Kill 3 of 3" in done.stderr
    assert not folders_of(tmp_path)
    assert not left_of(tmp_path)
    assert not (tmp_path / "theirs").exists()


def test_a_drill_without_kills_says_in_words_what_came_of_it(tmp_path: Path) -> None:
    done = drill(tmp_path, "--people", "30", "--kills", "0", "--keep")
    assert done.code == 0, done.stderr
    assert "0 kills under 30 people" in done.stdout
    assert "30  got it once" in done.stdout
    assert "Nobody twice, nobody missed" in done.stdout
    (kept,) = folders_of(tmp_path)
    assert f"kept: {kept}" in done.stderr
    assert not left_of(tmp_path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_drill_that_is_interrupted_ends_all_that_it_started(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process = started(tmp_path, "Kill 1 of 20")
    assert left_of(tmp_path)
    process.send_signal(number)
    assert process.wait(timeout=60) == code
    assert not left_of(tmp_path)
    assert not folders_of(tmp_path)
    assert "Traceback" not in (tmp_path / "drill.log").read_text()


def test_a_drill_that_is_killed_leaves_no_process_for_long(tmp_path: Path) -> None:
    process = started(tmp_path, "Kill 1 of 20")
    process.kill()
    process.wait()
    until(lambda: not left_of(tmp_path), seconds=100, what="the parts of a killed drill to end")


@pytest.mark.parametrize(
    ("option", "value"),
    [("--people", "0"), ("--people", "1000001"), ("--people", "many"), ("--kills", "-1"), ("--kills", "1001"),
     ("--seed", "-1"), ("--seed", "x")],
)  # fmt: skip
def test_what_is_out_of_bounds_is_said_in_a_line(tmp_path: Path, option: str, value: str) -> None:
    done = drill(tmp_path, option, value)
    assert (done.code, done.stdout) == (2, "")
    assert option in done.stderr
    assert done.stderr.count("\n") == 1
    assert not folders_of(tmp_path)
