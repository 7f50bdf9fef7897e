"""`clarion bench`: is it fast, and does it stay so. Each line is printed as it is measured."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from server.cli.output import answer_json, say
from server.domain.errors import BadInput

if TYPE_CHECKING:
    from server.bench.growth import Grown
    from server.bench.measurement import Measurement

# Heading, width; a negative one is written to the left.
_BENCH: Final = (("what", -20), ("rate", 10), ("unit", -13), ("ceiling", 10), ("ratio", 5), ("remark", 0))
_GROWTH: Final = (
    ("people", 10),
    ("made s", 7),
    ("MB", 7),
    ("claim+record of 100", 20),
    ("GET", 6),
    ("its p99", 8),
    ("page of 100", 12),
    ("page of none", 12),
    ("take-over", 10),
    ("pre-flight", 11),
    ("cancel µs each", 15),
)


def bench(
    growth: Annotated[
        bool, typer.Option("--growth", help="How cost grows with the audience, from 10,000 people on.")
    ] = False,
    most: Annotated[
        int | None,
        typer.Option(min=10_000, max=100_000_000, help="The largest audience of --growth; ten million by default."),
    ] = None,
    small: Annotated[bool, typer.Option("--small", help="Once, small: does each benchmark still run?")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout, once all is measured.")] = False,
) -> None:
    """Measure the hot paths, each as a ratio to its ceiling in the same run; or how cost grows with the audience."""
    if growth:
        _growth(most, small=small, as_json=as_json)
        return
    if most is not None:
        raise BadInput("--most goes with --growth.")
    from server.bench.all import run_all

    measured: list[Measurement] = []
    if not as_json:
        _line(_BENCH, [title for title, _ in _BENCH])
    for one in run_all(small=small):
        measured.append(one)
        if not as_json:
            _line(_BENCH, _cells(one))
    if as_json:
        answer_json([{**asdict(one), "ratio": one.ratio} for one in measured])


def _cells(one: "Measurement") -> list[str]:
    from server.bench.measurement import figure

    ceiling = figure(one.ceiling) if one.ceiling else ""
    ratio = f"{one.ratio:.2f}" if one.ratio is not None else ""
    return [one.what, figure(one.rate), one.unit, ceiling, ratio, one.remark]


def _growth(most: int | None, *, small: bool, as_json: bool) -> None:
    from server.bench import growth

    people = growth.MOST if most is None else most
    say(f"This takes up to {growth.needed_bytes(people) / 1e9:.0f} GB of disk until it ends. Times are milliseconds.")
    measured: list[Grown] = []
    if not as_json:
        _line(_GROWTH, [title for title, _ in _GROWTH])
    for one in growth.run(most=people, seconds=1.0 if small else growth.SECONDS):
        measured.append(one)
        if not as_json:
            _line(_GROWTH, _figures(asdict(one)))
    times = growth.times(measured[0], measured[-1])
    if as_json:
        answer_json({"audiences": [asdict(one) for one in measured], "times": times})
    else:
        _line(_GROWTH, [f"x{figure}" for figure in _figures(times)])


def _figures(one: dict[str, Any]) -> list[str]:
    from server.bench.measurement import figure

    return [f"{value:,}" if isinstance(value, int) else figure(value) for value in one.values()]


def _line(columns: Sequence[tuple[str, int]], cells: Iterable[str]) -> None:
    """One line of the table, at once: a benchmark may take minutes until the next."""
    padded = (
        cell.ljust(-width) if width < 0 else cell.rjust(width) for cell, (_, width) in zip(cells, columns, strict=True)
    )
    sys.stdout.write(f"{'  '.join(padded).rstrip()}\n")
    sys.stdout.flush()
