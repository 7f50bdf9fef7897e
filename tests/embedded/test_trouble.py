"""What is wrong with the machine is said in a sentence that names the folder."""

import os
from pathlib import Path

import pytest

from server.domain.errors import DatabaseAway
from server.embedded import EmbeddedServers
from tests.embedded.conftest import StartUser, as_nobody, assert_nothing_runs, through_or_skip, without_access

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def test_a_file_in_place_of_the_data_folder(data_dir: Path) -> None:
    data_dir.write_text("")
    with pytest.raises(DatabaseAway, match=f"^The data folder {data_dir} cannot be used: {data_dir} is a file.$"):
        EmbeddedServers(data_dir).__enter__()


def test_a_file_above_the_data_folder(data_dir: Path) -> None:
    data_dir.write_text("")
    with pytest.raises(DatabaseAway, match=f": {data_dir} is a file.$"):
        EmbeddedServers(data_dir / "deeper" / "still").__enter__()


@AS_ROOT
def test_a_folder_that_may_not_be_written(data_dir: Path, start_user: StartUser) -> None:
    data_dir.parent.chmod(0o755)
    complaint = start_user(data_dir, through=as_nobody()).complaint()
    assert complaint == (
        f"DatabaseAway: The data folder {data_dir} cannot be used: the user nobody may not write {data_dir}."
    )


@AS_ROOT
@pytest.mark.parametrize("megabytes", [1, 30])
def test_a_disk_that_is_full(data_dir: Path, start_user: StartUser, megabytes: int) -> None:
    through_or_skip("unshare", "--mount")
    data_dir.mkdir()
    mount = f'mount -t tmpfs -o size={megabytes}m tmpfs {data_dir} && exec "$@"'
    user = start_user(data_dir, through=["unshare", "--mount", "sh", "-c", mount, "sh"])
    complaint = user.complaint()
    assert complaint == (
        f"StorageFull: The disk that holds the data folder {data_dir} is full. Make room and run the command again."
    )
    assert_nothing_runs(data_dir)


@AS_ROOT
def test_a_container_that_took_roots_powers_away(data_dir: Path, start_user: StartUser) -> None:
    assert start_user(data_dir, through=without_access()).complaint() == (
        "DatabaseAway: PostgreSQL does not run as root, and without CAP_DAC_OVERRIDE nobody else can run it here. "
        "Run Clarion as another user, or set DATABASE_URL and REDIS_URL to servers of your own."
    )


def test_a_cluster_of_another_version_is_named_by_postgresql_itself(data_dir: Path) -> None:
    with EmbeddedServers(data_dir, valkey=False):
        pass
    (data_dir / "servers/postgres/PG_VERSION").write_text("17\n")
    with pytest.raises(DatabaseAway, match=f"PostgreSQL does not start in {data_dir}/servers: .*incompatible"):
        EmbeddedServers(data_dir).__enter__()
    assert_nothing_runs(data_dir)
