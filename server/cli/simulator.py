"""`clarion simulator`: a Cloud API to develop against. Its options are words; `server/simulator` reads them."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer

from server.cli.output import Exit, say
from server.cli.parts import WithParent, end_with
from server.domain.errors import BadInput

T = TypeVar("T")

HELP: Final = """A WhatsApp Cloud API on this machine, to develop, demonstrate and test against.

\b
Its page at http://127.0.0.1:8025 shows what a person received, and lets you
answer as that person. Send to it:
  CLARION_GRAPH_API_URL=http://127.0.0.1:8025 clarion send people.csv ...
Tell Clarion by webhook what becomes of each message:
  clarion simulator --app-secret S \\
    --webhook-url http://127.0.0.1:8000/webhooks/whatsapp
Webhooks doubled, lost, out of order, or there before the answer:
  --webhooks doubled=0.1,lost=0.01,shuffled=0.2,early=0.1
As slow as life, at most ten in a POST, in the older shape:
  --webhooks delivered_ms=2000,read_ms=60000,spread=1,batch=10,version=v23
People with habits: off capped stopped experiment reply stop comes_back tap
tap_bare opt_out block only_read slow silent unread hidden
  --habits off=0.02,stop=0.01,reply=0.05,block=0.002
(A number that ends in 9990202 says STOP in any case; others: the docs.)
250 people a day and no more, and two marketing messages for each:
  --limits messaging=TIER_250,beyond=131048,marketing_cap=2
The first 100 messages of a new template are held until there is a verdict:
  --limits pace_hold=100,pace_minutes=30 --time-scale 600
Templates that people block are paused for 3 hours, here 11 seconds:
  --habits block=0.1 --time-scale 1000
A bad network:
  --faults drop=0.01,hang=0.001,server_error=0.01,latency_ms=300
All of it can be changed while it runs and ordered for one message or one
person: docs/simulator.md.
"""

Port = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")]
Seed = Annotated[int, typer.Option(help="Who is who, and what goes wrong: the same seed, the same world.")]
Rate = Annotated[float, typer.Option(min=0, help="Messages a second for each number; 0: no limit.")]
NoPairLimit = Annotated[
    bool, typer.Option("--no-pair-limit", help="Let one person get any number of messages at once.")
]
NumberId = Annotated[str | None, typer.Option(help="The only number there is; without it, any id is one.")]
WabaId = Annotated[str | None, typer.Option(help="The only account there is; without it, any id is it.")]
Token = Annotated[str | None, typer.Option(help="The only bearer token that is taken.")]
LedgerFile = Annotated[Path | None, typer.Option(help="Keep what was accepted in this file.")]
Templates = Annotated[Path | None, typer.Option(help="A JSON list of more templates.")]
WebhookUrls = Annotated[list[str] | None, typer.Option(help="Where webhooks go; may be given more than once.")]
AppSecret = Annotated[str, typer.Option(help="What webhooks are signed with.")]
Webhooks = Annotated[str, typer.Option(help="How they are delivered, such as batch=100,read_ms=3000.")]
Habits = Annotated[str, typer.Option(help="Shares of people, such as off=0.02,stop=0.01.")]
NotThere = Annotated[float, typer.Option(min=0, max=1, help="Share of people who are not there.")]
Limits = Annotated[str, typer.Option(help="More limits, such as messaging=TIER_2K,beyond=131048.")]
Faults = Annotated[str, typer.Option(help="What goes wrong, such as drop=0.01,latency_ms=300.")]
TimeScale = Annotated[float, typer.Option(help="3600 makes an hour of Meta's a second.")]


def simulator(
    port: Port = 8025,
    seed: Seed = 1,
    rate: Rate = 80,
    no_pair_limit: NoPairLimit = False,
    phone_number_id: NumberId = None,
    waba_id: WabaId = None,
    token: Token = None,
    ledger: LedgerFile = None,
    templates: Templates = None,
    webhook_url: WebhookUrls = None,
    app_secret: AppSecret = "simulator",  # noqa: S107 - of a simulator
    webhooks: Webhooks = "",
    habits: Habits = "",
    not_on_whatsapp: NotThere = 0.0,
    limits: Limits = "",
    faults: Faults = "",
    time_scale: TimeScale = 1.0,
    with_parent: WithParent = None,
) -> None:
    """Be a Cloud API until somebody ends it; `HELP` is what its help says."""
    from server.simulator.app import run
    from server.simulator.faults import faults_from_text
    from server.simulator.limit_options import limits_from_text
    from server.simulator.people import shares_from_text
    from server.simulator.settings import CannotStart, SimulatorSettings, callbacks_to
    from server.simulator.webhook_manners import manners_from_text

    end_with(with_parent)
    try:
        run(
            SimulatorSettings(
                port=port,
                seed=seed,
                rate=rate,
                pair_limit=not no_pair_limit,
                phone_number_id=phone_number_id,
                waba_id=waba_id,
                token=token,
                ledger=ledger,
                templates=templates,
                callbacks=callbacks_to(webhook_url or (), app_secret),
                webhooks=_read("--webhooks", webhooks, manners_from_text),
                habits=_read("--habits", habits, shares_from_text),
                not_on_whatsapp=not_on_whatsapp,
                limits=_read("--limits", limits, limits_from_text),
                faults=_read("--faults", faults, faults_from_text),
                time_scale=time_scale,
            )
        )
    except CannotStart as error:
        say(f"Error: {error}")
        if port and str(error).startswith(f"cannot listen on 127.0.0.1 port {port}:"):
            say("A simulator may be running there: `clarion up --demo` has one. --port N takes another port.")
        raise typer.Exit(Exit.ENVIRONMENT) from error


def _read(option: str, text: str, reader: Callable[[str], T]) -> T:
    """The value of an option that is many in one. Raises BadInput with what is wrong."""
    try:
        return reader(text)
    except ValueError as error:
        raise BadInput(f"{option}: {error}") from error
