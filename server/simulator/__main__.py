"""`python -m server.simulator`: the same simulator as `clarion simulator`, without the rest of Clarion."""

import argparse
import sys
from pathlib import Path

from server.simulator.app import run
from server.simulator.faults import Faults, faults_from_text
from server.simulator.settings import CannotStart, SimulatorSettings


def _faults(text: str) -> Faults:
    try:
        return faults_from_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _settings(arguments: list[str]) -> SimulatorSettings:
    defaults = SimulatorSettings()
    parser = argparse.ArgumentParser(
        prog="python -m server.simulator", description="A WhatsApp Cloud API on localhost."
    )
    parser.add_argument("--host", default=defaults.host)
    parser.add_argument("--port", type=int, default=defaults.port, help="0 takes a free one")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--rate", type=float, default=defaults.rate, help="messages a second and number; 0: no limit")
    parser.add_argument("--no-pair-limit", dest="pair_limit", action="store_false")
    parser.add_argument("--token", help="the only bearer token that is taken")
    parser.add_argument("--phone-number-id", help="the only number there is")
    parser.add_argument("--waba-id", help="the only account there is")
    parser.add_argument("--templates", type=Path, metavar="FILE", help="a JSON list of more templates")
    parser.add_argument("--ledger", type=Path, metavar="FILE", help="keep the ledger in this file as well")
    parser.add_argument("--not-on-whatsapp", type=float, default=0.0, metavar="SHARE", help="from 0 to 1")
    parser.add_argument("--faults", type=_faults, default=defaults.faults, help="such as drop=0.01,latency_ms=300")
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when standard input ends")
    return SimulatorSettings(**vars(parser.parse_args(arguments)))


def main() -> int:
    """Run it. Exit code 1 where it cannot start, with one line that says why."""
    try:
        run(_settings(sys.argv[1:]))
    except CannotStart as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
