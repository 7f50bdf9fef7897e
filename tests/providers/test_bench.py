"""The benchmark of sending runs, small, so that it does not rot; what it prints is no promise here."""

import re

import pytest

from server.bench import bare


def test_the_send_benchmark_prints_a_rate_its_ceiling_and_their_ratio(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["bare", "--messages", "200", "--concurrency", "8", "--rounds", "1"])
    bare.main()
    line = r"client\.send, 8 at once: [\d,]+/s, ceiling [\d,]+/s, ratio \d+\.\d\d\n"
    assert re.fullmatch(line, capsys.readouterr().out)
