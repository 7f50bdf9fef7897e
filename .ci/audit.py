"""Holds what is installed from the lock files against the known vulnerabilities: one that is known fails.

Python packages by pip-audit against OSV (osv.dev); the front-end packages by `npm audit`, where npm is. Not every
machine reaches the databases: where one cannot be reached, this says so in a line and goes on.

    .venv/bin/python .ci/audit.py
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
LOCKS: Final = ("requirements.lock", "requirements-dev.lock", "requirements-client.lock")
OSV: Final = "https://api.osv.dev/v1/query"
ANSWER_SECONDS: Final = 5
# All of it: a database that answers slowly must not hold the other checks up for long.
MOST_SECONDS: Final = 90.0
# What pip-audit says where it did not get an answer; anything else is a fault to be mended.
_NO_ANSWER: Final = ("requests.exceptions.", "Could not connect", "ServiceError")


class NoAnswer(Exception):
    """The database could not be asked."""


def python_packages(locks: Iterable[Path], osv_url: str, most_seconds: float) -> list[str]:
    """What is known of the pinned packages, a line each. Raises `NoAnswer`."""
    command = [
        *(sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv", "--osv-url", osv_url),
        *("--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off"),
        *("--timeout", str(ANSWER_SECONDS)),
        *(part for lock in locks for part in ("--requirement", str(lock))),
    ]
    done = _run(command, most_seconds)
    if not done.stdout:
        if any(sign in done.stderr for sign in _NO_ANSWER):
            raise NoAnswer
        raise SystemExit(done.stderr)
    found = json.loads(done.stdout)["dependencies"]
    return [_line(package, flaw) for package in found for flaw in package.get("vulns", ())]


def _line(package: dict[str, Any], flaw: dict[str, Any]) -> str:
    mended = ", ".join(flaw["fix_versions"]) or "no version yet"
    return f"{package['name']} {package['version']}: {flaw['id']}, mended in {mended}"


def front_end_packages(folder: Path, most_seconds: float) -> list[str]:
    """What is known of the packages that front-end files are taken from, a line each. Raises `NoAnswer`."""
    command = ["npm", "audit", "--json", "--package-lock-only", "--fetch-retries=0", "--fetch-timeout=10000"]
    done = _run(command, most_seconds, folder)
    try:
        found = json.loads(done.stdout)["vulnerabilities"]
    except (ValueError, KeyError) as error:
        raise NoAnswer from error
    return [f"{name}: {flaw['severity']}, in {flaw['range']}" for name, flaw in found.items()]


def _run(command: list[str], most_seconds: float, folder: Path = ROOT) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(  # noqa: S603 - tools of our own environment
            command, cwd=folder, capture_output=True, text=True, timeout=most_seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NoAnswer from error


def main() -> int:
    """The command line. 1 where something is known."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("locks", nargs="*", type=Path, default=[ROOT / name for name in LOCKS])
    parser.add_argument("--osv-url", default=OSV)
    parser.add_argument("--most-seconds", type=float, default=MOST_SECONDS)
    chosen = parser.parse_args()
    audits: dict[str, Callable[[], list[str]]] = {
        "Python": lambda: python_packages(chosen.locks, chosen.osv_url, chosen.most_seconds)
    }
    if shutil.which("npm"):
        audits["front-end"] = lambda: front_end_packages(ROOT / "frontend", chosen.most_seconds)
    is_clean = True
    for kind, audit in audits.items():
        try:
            known = audit()
        except NoAnswer:
            sys.stdout.write(f"Vulnerabilities of {kind} packages: not looked at, their database cannot be reached.\n")
            continue
        sys.stdout.write(f"Vulnerabilities of {kind} packages: {len(known) or 'none'} known.\n")
        sys.stdout.writelines(f"  {line}\n" for line in known)
        is_clean = is_clean and not known
    return 0 if is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
