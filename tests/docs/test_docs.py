"""What is documented exists, and what exists is documented."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from server.app import API, create_app
from server.cli.main import app
from server.config import Settings, variable_name
from server.domain.preflight import Code
from server.domain.states import BroadcastStatus, PauseReason, RecipientStatus

ROOT = Path(__file__).parents[2]


def read(name: str) -> str:
    """A document of the repository."""
    return (ROOT / name).read_text()


@pytest.mark.parametrize("document", ["docs/configuration.md", ".env.example"])
def test_every_setting_is_documented_and_no_other(document: str) -> None:
    settings = {variable_name(name) for name in Settings.model_fields}
    pattern = r"^\| `([A-Z_]+)`" if document.endswith(".md") else r"^# ([A-Z_]+)="
    assert set(re.findall(pattern, read(document), re.MULTILINE)) == settings


def test_every_default_is_the_documented_one() -> None:
    documented = dict(re.findall(r"^\| `([A-Z_]+)` \| (.+?) \|", read("docs/configuration.md"), re.MULTILINE))
    for name, field in Settings.model_fields.items():
        if name != "data_dir":
            expected = f"`{field.default}`" if field.default != "" else "empty"
            assert documented[variable_name(name)] == expected


def test_every_command_is_documented() -> None:
    commands = {name for name, command in get_command(app).commands.items() if not command.hidden}  # type: ignore[attr-defined]
    text = read("docs/cli.md")
    assert not {name for name in commands if f"clarion {name}" not in text}
    assert not set(re.findall(r"`clarion ([a-z-]+)", text)) - commands


def test_every_route_is_documented() -> None:
    paths = {path.removeprefix(API) for path in create_app(Settings()).openapi()["paths"]}
    text = read("docs/api.md")
    for path in paths:
        name = re.sub(r"\{\w+_id\}", "{id}", path)
        assert name in text or f"`{name.rpartition('/')[2]}`" in text or f"/{name.rpartition('/')[2]}`" in text, name


def test_every_status_and_reason_is_explained() -> None:
    text = read("docs/states.md")
    names = [*BroadcastStatus, *RecipientStatus, *(set(PauseReason) - {PauseReason.RUNTIME_LIMIT})]
    assert not [name for name in names if f"`{name}`" not in text]


def test_every_finding_of_the_pre_flight_is_explained() -> None:
    assert set(re.findall(r"^\| `([a-z_]+)`", read("docs/preflight.md"), re.MULTILINE)) == set(Code)


OTHERS = {".venv", "node_modules"}


@pytest.mark.parametrize(
    "document", sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("**/*.md") if not OTHERS & {*path.parts})
)
def test_every_link_leads_somewhere(document: str) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", read(document)):
        assert (ROOT / document).parent.joinpath(target).exists(), target


def test_the_job_file_reads_as_promised() -> None:
    text = read("server/jobs/broadcast_job.py")
    assert len(text.splitlines()) <= 400
    assert sum("broadcast." in line for line in text.splitlines()) >= 55
    assert "job_id" not in text
    assert "import json" not in text
