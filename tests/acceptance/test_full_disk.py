"""A disk that is full: a line or two, exit code 1, and nothing half done once there is room again."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.clarion import PEOPLE, Clarion
from tests.support.simulator import Simulator

DISK_BYTES = 400_000_000
LEFT_BYTES = 3_000_000


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, which only root may make."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0755", "tmpfs", str(tmp_path)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def test_a_list_that_the_disk_does_not_hold(small_disk: Path, simulator: Simulator) -> None:
    with Clarion(small_disk, simulator) as clarion:
        clarion.set_up()
        many = "phone,first_name,order_id\n" + "".join(f"+97258{n:07d},Name {n},A-{n}\n" for n in range(150_000))
        few, large = clarion.file(PEOPLE, "few.csv"), clarion.file(many, "many.csv")
        filler = small_disk / "filler"
        room = os.statvfs(small_disk)
        filler.write_bytes(bytes(room.f_bavail * room.f_frsize - LEFT_BYTES))

        full = clarion.send(large)

        assert full.code == 1, full.stderr
        assert "Traceback" not in full.stderr
        assert "full" in full.stderr or "does not answer" in full.stderr
        assert len(full.stderr.splitlines()) <= 2
        filler.unlink()
        done = clarion.send(few)
        assert (done.code, done.json["sent_count"]) == (0, 20), done.stderr
        assert [shown["name"] for shown in clarion.broadcasts()] == ["few"]
