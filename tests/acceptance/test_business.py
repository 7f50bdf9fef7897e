"""The settings of a business by the command line."""

import pytest

from tests.support.clarion import Clarion


def test_settings_are_changed_and_shown(clarion: Clarion) -> None:
    hours = ("--quiet-hours", "21:00-08:00", "--day-off", "Saturday", "--time-zone", "Asia/Jerusalem")
    changed = clarion.run(
        *("business", "set", "--business", "Acme", *hours, "--stop-word", "enough"),
        *("--frequency-cap", "2/7", "--approval-over", "1000", "--json"),
    )
    assert changed.code == 0, changed.stderr
    assert changed.json["quiet_hours"] == {"from": "21:00", "to": "08:00", "days_off": ["saturday"]}
    shown = clarion.run("business", "show", "--business", "Acme")
    assert "Quiet hours: 21:00-08:00 and all of Saturday" in shown.stdout
    assert "Stop words of its own: enough" in shown.stdout
    assert "Frequency cap: 2 marketing messages in 7 days" in shown.stdout
    assert "A second person: for broadcasts to more than 1,000 people" in shown.stdout
    assert clarion.run("business", "show", "--business", "Acme", "--json").json == changed.json

    off = clarion.run("business", "set", "--business", "Acme", "--quiet-hours", "off", "--stop-word", "off", "--json")
    assert (off.json["quiet_hours"], off.json["stop_words"], off.json["approval_over"]) == (None, [], 1000)
    assert off.json["time_zone"] == "Asia/Jerusalem"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--quiet-hours", "21-08"], "--quiet-hours"),
        (["--time-zone", "Mars"], '--time-zone: "Mars" is no time zone'),
        (["--unknown-policy", "guess"], "--unknown-policy"),
        (["--day-off", "monday"], "--quiet-hours"),
        (["--frequency-cap", "two/7"], "--frequency-cap: messages is"),
        (["--frequency-cap", "2"], '--frequency-cap is "2"; it should be messages and days, such as 2/7'),
        (["--approval-over", "many"], '--approval-over: "many" is no number of people'),
        ([], "Say what is to be changed"),
    ],
)
def test_what_cannot_be_is_refused_by_the_name_of_the_option(clarion: Clarion, options: list[str], said: str) -> None:
    done = clarion.run("business", "set", "--business", "Acme", *options)
    assert done.code == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert "--quiet-hours: --quiet-hours" not in done.stderr
