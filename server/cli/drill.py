"""`clarion drill`: the promise, tried on this machine. Nothing of it touches what you have."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import typer

from server.cli.output import Exit, answer_json, counted, say
from server.domain.durations import in_words
from server.domain.errors import Unreachable

if TYPE_CHECKING:
    from server.drill.result import Result, Unknowns
    from server.drill.run import Progress, Tell

MOST_PEOPLE: Final = 1_000_000
MOST_KILLS: Final = 1_000
HIGHEST_SEED: Final = 2**31 - 1


def drill(
    people: Annotated[int, typer.Option(min=1, max=MOST_PEOPLE, help="How many people the broadcast is for.")] = 5_000,
    kills: Annotated[int, typer.Option(min=0, max=MOST_KILLS, help="How often the plug is pulled.")] = 10,
    seed: Annotated[
        int, typer.Option(min=0, max=HIGHEST_SEED, help="Who is killed, in which order: the same seed, the same order.")
    ] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the drill's data folder and its logs there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="What came of it as one JSON object on stdout.")] = False,
) -> None:
    """Send a broadcast on the simulator while jobs, workers and servers are killed: who got it once, twice, never.

    \b
    It has a data folder of its own, which is deleted at the end: yours is
    neither read nor written. Exit code 0: nobody twice and nobody missed.
    """
    from server.drill.run import Drill, Order

    with _ends_cleanly(), _folder(keep=keep) as folder:
        say(f"The drill's data folder: {folder}. It is {'kept' if keep else 'deleted at the end'}.")
        with _live(kills) as tell:
            result = Drill(folder, Order(people, kills, seed), tell).run()
    if as_json:
        answer_json(_as_json(result))
    else:
        for line in _report(result):
            print(line)
    raise typer.Exit(_EXITS[result.verdict])


_EXITS: Final = {"held": Exit.OK, "given_up": Exit.PARTIAL, "broken": Exit.FAILED}


@contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    """A folder of the drill's own. Gone afterwards, unless it is kept."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="clarion-drill-")).resolve()
    except OSError as error:
        raise Unreachable(f"There is no room for a drill's folder: {error.strerror}. Set TMPDIR to another.") from error
    try:
        yield folder
    finally:
        if keep:
            say(f"The drill's data folder is kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _ends_cleanly() -> Iterator[None]:
    """Whatever asks the drill to end ends all that it started: Ctrl-C, a supervisor, a terminal that is closed.

    Whoever asks twice does not stop it from clearing away, which takes a moment.
    """
    asking = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        for one in asking:
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)

    # What is ignored stays ignored: `nohup clarion drill` is meant to outlive its terminal.
    before = {
        number: signal.signal(number, leave) for number in asking if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _live(kills: int) -> Iterator["Tell"]:
    """A live line of how far it is, and one that stays for each kill."""
    from server.cli.watch import Display

    said = 0
    with Display() as display:

        def tell(progress: "Progress") -> None:
            nonlocal said
            for victim in progress.killed[said:]:
                said += 1
                say(f"Kill {said} of {kills}: {_NAMES[victim]}, with {progress.accepted:,} messages accepted.")
            display.update(progress.accepted, progress.people, _words(progress, kills))

        yield tell


def _words(progress: "Progress", kills: int) -> str:
    parts = [progress.doing, f"{len(progress.killed)} of {counted(kills, 'kill')}"]
    if progress.standing is not None and progress.standing.unknown_count:
        parts.append(f"{progress.standing.unknown_count:,} unknown")
    return ", ".join(parts)


_NAMES: Final = {
    "job": "the job that sends",
    "worker": "the workers and their jobs",
    "steward": "the steward",
    "web": "the web process",
    "postgresql": "PostgreSQL",
    "valkey": "Valkey",
    "everything": "everything",
}


def _report(result: "Result") -> Iterator[str]:
    """What came of it, in plain words."""
    reach = result.reach
    yield f"{_kills(result)} under {counted(result.people, 'person', 'people')}, in {in_words(result.seconds)}."
    yield ""
    rows = (
        (reach.once_count, "got it once"),
        (reach.twice_count, "got it twice"),
        (reach.never_count, "never got it"),
    )
    yield from (f"{count:>12,}  {what}" for count, what in rows)
    yield ""
    yield f"The simulator accepted {counted(result.accepted, 'message')}."
    yield from _unknown(result.unknowns)
    yield from (f"Wrong: {what}." for what in _wrong(result))
    yield _conclusion(result)


def _kills(result: "Result") -> str:
    done = sum(result.kills.values())
    by_victim = ", ".join(
        f"{victim} {count}" for victim, count in sorted(result.kills.items(), key=lambda one: -one[1])
    )
    asked = f" of {result.wanted_kills:,}, for then it was over" if done < result.wanted_kills else ""
    return f"{counted(done, 'kill')}{asked}{f' ({by_victim})' if by_victim else ''}"


def _unknown(unknowns: "Unknowns") -> Iterator[str]:
    if not unknowns.count:
        yield "Of every request the answer was known."
        return
    settled = (
        (unknowns.told_count, "had it, as a webhook told"),
        (unknowns.sent_again_count, "did not have it, as silence told, and were sent it again"),
        (unknowns.given_up_count, "failed, for nothing told"),
        (unknowns.open_count, "are not settled yet"),
    )
    yield f"{counted(unknowns.count, 'time')} nobody knew whether WhatsApp had accepted a message:"
    yield from (f"{count:>12,}  {what}" for count, what in settled if count)


def _wrong(result: "Result") -> Iterator[str]:
    yield from result.wrong
    reach = result.reach
    if reach.lost_count:
        yield f"{counted(reach.lost_count, 'person', 'people')} never got it, and no row says why"
    if reach.uncounted_count:
        yield f"{counted(reach.uncounted_count, 'person', 'people')} got it, and their rows do not say so"
    if reach.stranger_count:
        yield f"{counted(reach.stranger_count, 'person', 'people')} got it who are on no list"


def _conclusion(result: "Result") -> str:
    match result.verdict.value:
        case "held":
            return (
                "Nobody twice, nobody missed; the counters equal the rows, and the rows equal the simulator's ledger."
            )
        case "given_up":
            return (
                "Nobody twice. Who was missed has failed, with a reason: too few messages went out around theirs to "
                "tell by silence that it was never accepted. More people, or fewer kills, leave nobody out."
            )
        case _:
            return (
                "The promise was broken. Please report it with what is above, and what "
                f"--keep --seed {result.seed} leaves in its folder."
            )


def _as_json(result: "Result") -> dict[str, Any]:
    found = asdict(result)
    found["kills"] = dict(sorted(result.kills.items()))
    found["kills_count"] = sum(result.kills.values())
    found["unknowns"]["count"] = result.unknowns.count
    found["wrong"] = list(_wrong(result))
    found["seconds"] = round(result.seconds, 1)
    return {**found, "verdict": result.verdict}
