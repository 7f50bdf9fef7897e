"""A client that a generator makes of the OpenAPI document does the main job."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.api.conftest import Api
from tests.support.engine import Engine
from tests.support.simulator import Simulator

PYTHON = Path(sys.prefix) / "client" / "bin" / "python"
# Files go as they are: to this generator's types they are bytes.
BYTES = "application/octet-stream"
CONFIGURATION = {"content_type_overrides": {"text/csv": BYTES, "application/x-ndjson": BYTES}}
MAIN_JOB = Path(__file__).parent / "main_job_by_client.py"


def run(*command: str | Path, folder: Path) -> str:
    """What a command of the generator's environment prints. Raises where it fails."""
    path = f"{PYTHON.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_generated_client_does_the_main_job(api: Api, clarion: Engine, simulator: Simulator, tmp_path: Path) -> None:
    clarion.start("worker")
    document, configuration, client = (tmp_path / name for name in ("openapi.json", "config.json", "clarion_client"))
    document.write_bytes(api.call("GET", "/openapi.json").body)
    configuration.write_text(json.dumps(CONFIGURATION))
    run(
        PYTHON.parent / "openapi-python-client", "generate", "--path", document, "--config", configuration,
        "--output-path", client, "--meta", "none", "--fail-on-warning", folder=tmp_path,
    )  # fmt: skip

    seen = json.loads(run(PYTHON, MAIN_JOB, api.address, api.key, folder=tmp_path))

    phones = [f"+97250000000{n}" for n in range(5)]
    assert seen == {
        "is_the_same": True,
        "status": "completed",
        "sent_count": 5,
        "phones": phones,
        "refused_with": 404,
    }
    assert sorted(message["to"] for message in simulator.accepted()) == phones
