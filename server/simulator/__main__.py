"""`python -m server.simulator`: the same simulator as `clarion simulator`, without the rest of Clarion."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from server.simulator.app import run
from server.simulator.faults import faults_from_text
from server.simulator.limit_options import limits_from_text
from server.simulator.people import shares_from_text
from server.simulator.settings import CannotStart, SimulatorSettings, callbacks_to
from server.simulator.webhook_manners import manners_from_text

T = TypeVar("T")


def _read_by(reader: Callable[[str], T]) -> Callable[[str], T]:
    def read(text: str) -> T:
        try:
            return reader(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def _settings(arguments: list[str]) -> SimulatorSettings:
    defaults = SimulatorSettings()
    parser = argparse.ArgumentParser(
        prog="python -m server.simulator", description="A WhatsApp Cloud API on localhost."
    )
    add = parser.add_argument
    add("--host", default=defaults.host)
    add("--port", type=int, default=defaults.port, help="0 takes a free one")
    add("--seed", type=int, default=defaults.seed)
    add("--rate", type=float, default=defaults.rate, help="messages a second and number; 0: no limit")
    add("--no-pair-limit", dest="pair_limit", action="store_false")
    add("--token", help="the only bearer token that is taken")
    add("--phone-number-id", help="the only number there is")
    add("--waba-id", help="the only account there is")
    add("--templates", type=Path, metavar="FILE", help="a JSON list of more templates")
    add("--ledger", type=Path, metavar="FILE", help="keep the ledger in this file as well")
    add("--not-on-whatsapp", type=float, default=0.0, metavar="SHARE", help="from 0 to 1")
    add("--habits", type=_read_by(shares_from_text), default=defaults.habits, help="such as off=0.02,stop=0.01")
    add("--webhook-url", action="append", default=[], metavar="URL", help="where webhooks go")
    add("--app-secret", default="simulator", help="what webhooks are signed with")
    add("--webhooks", type=_read_by(manners_from_text), default=defaults.webhooks, help="such as doubled=0.1,batch=9")
    add("--limits", type=_read_by(limits_from_text), default=defaults.limits, help="such as messaging=TIER_250")
    add("--time-scale", type=float, default=defaults.time_scale, help="3600 makes an hour a second")
    add("--faults", type=_read_by(faults_from_text), default=defaults.faults, help="such as drop=0.01,latency_ms=300")
    add("--until-stdin-closes", action="store_true", help="end when standard input ends")
    chosen = vars(parser.parse_args(arguments))
    return SimulatorSettings(callbacks=callbacks_to(chosen.pop("webhook_url"), chosen.pop("app_secret")), **chosen)


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
