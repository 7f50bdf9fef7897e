"""Findings say in plain words what is so, and only what stops the whole broadcast is an error."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.errors import BadInput, NotNow
from server.domain.media_findings import LinkAnswer, LinkLook, LinkRefused, LinkSilent, of_link
from server.domain.outcomes import Refused
from server.domain.people_findings import Lack, of_list, of_people, of_values
from server.domain.preflight import (
    Code,
    Finding,
    Level,
    NumberState,
    of_number,
    of_refusal,
    of_template,
    refuse_errors,
    report,
)

MEGABYTE = 1024 * 1024
FINDINGS = st.builds(Finding, st.sampled_from(Level), st.sampled_from(Code), st.just("So it is."), st.just(""))


@given(st.lists(FINDINGS), st.integers(0, 10**7), st.integers(0, 1_000))
def test_a_report_is_ok_unless_something_is_an_error(findings: list[Finding], recipients: int, rate: int) -> None:
    found = report(findings, recipients, rate)
    levels = [finding.level for finding in found.findings]
    assert levels == sorted(levels, key=list(Level).index)
    assert sorted(found.findings, key=repr) == sorted(findings, key=repr)
    assert found.as_json()["ok"] is (Level.ERROR not in levels)
    assert found.seconds == (round(recipients / rate, 1) if rate else 0)


def test_what_can_be_mended_is_bad_input_and_the_rest_is_not_now() -> None:
    blocked = Finding(Level.ERROR, Code.ACCOUNT_HEALTH, "It is blocked.")
    nobody = Finding(Level.ERROR, Code.NOBODY, "Nobody is on it.", "/recipients")
    refuse_errors(report([Finding(Level.WARNING, Code.PROVIDER_AWAY, "It is away.")], 1, 1))
    with pytest.raises(NotNow, match=r"^It is blocked\.$"):
        refuse_errors(report([blocked], 1, 1))
    with pytest.raises(BadInput, match=r"^Nobody is on it\.$"):
        refuse_errors(report([nobody], 0, 1))
    with pytest.raises(BadInput, match="2 things") as both:
        refuse_errors(report([blocked, nobody], 0, 1))
    assert [problem.pointer for problem in both.value.problems] == ["", "/recipients"]


def test_nobody_to_send_to_is_an_error_and_some_who_opted_out_are_not() -> None:
    assert [finding.level for finding in of_people(0, 0)] == [Level.ERROR]
    (everybody_left,) = of_people(0, 3)
    assert "has opted out" in everybody_left.detail
    (some,) = of_people(10, 1)
    assert (some.level, some.detail) == (Level.INFO, "1 person on the list opted out and will get nothing.")
    assert not list(of_people(10, 0))


def test_a_value_that_some_lack_is_a_warning_and_one_that_all_lack_an_error() -> None:
    some, everybody = of_values([Lack("first_name", 7, (4, 8)), Lack("code", 10, ())], 10)
    assert (some.level, everybody.level) == (Level.WARNING, Level.ERROR)
    assert some.detail.startswith('7 people have no value for "first_name" (rows 4, 8 and more).')
    assert everybody.detail.startswith('Nobody has a value for "code".')


def test_rows_left_out_are_counted_as_far_as_they_are_known() -> None:
    assert [finding.code for finding in of_list(3, ["duplicate", "not a phone number", "duplicate"])] == [
        Code.DUPLICATES,
        Code.REJECTED_ROWS,
    ]
    duplicates, others = of_list(5_000, ["duplicate"] * 10 + ["too short"] * 990)
    assert duplicates.detail.startswith("At least 10 rows")
    assert others.detail.startswith("At most 4,990 rows")
    (only,) = of_list(2_000, ["too short"] * 1_000)
    assert only.detail.startswith("2,000 rows")
    assert not list(of_list(0, []))


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("PAUSED", Code.TEMPLATE_PAUSED),
        ("DISABLED", Code.TEMPLATE_DISABLED),
        ("PENDING_DELETION", Code.TEMPLATE_NOT_APPROVED),
        ("SOMETHING_NEW", Code.TEMPLATE_NOT_APPROVED),
    ],
)
def test_a_template_that_is_not_approved_is_an_error(status: str, code: Code) -> None:
    (found,) = of_template("sale", "he", status, "")
    assert (found.level, found.code, found.pointer) == (Level.ERROR, code, "/template/name")
    assert 'the template "sale" (he)' in found.detail.replace("The", "the")


@pytest.mark.parametrize(
    ("number", "found"),
    [
        (NumberState(), []),
        (NumberState("CONNECTED", "GREEN", "AVAILABLE"), []),
        (NumberState("CONNECTED", "UNKNOWN", "AVAILABLE"), []),
        (NumberState("CONNECTED", "RED", "AVAILABLE"), [(Level.WARNING, Code.NUMBER_QUALITY)]),
        (NumberState("CONNECTED", "YELLOW", "AVAILABLE"), [(Level.INFO, Code.NUMBER_QUALITY)]),
        (NumberState("CONNECTED", "GREEN", "LIMITED"), [(Level.WARNING, Code.ACCOUNT_HEALTH)]),
        (NumberState("CONNECTED", "GREEN", "BLOCKED"), [(Level.ERROR, Code.ACCOUNT_HEALTH)]),
        (NumberState("SOMETHING_NEW", "GREEN", "AVAILABLE"), [(Level.WARNING, Code.NUMBER_STATUS)]),
        (NumberState("BANNED", "GREEN", "AVAILABLE"), [(Level.ERROR, Code.NUMBER_STATUS)]),
    ],
)
def test_only_a_number_that_cannot_send_is_an_error(number: NumberState, found: list[tuple[Level, Code]]) -> None:
    assert [(finding.level, finding.code) for finding in of_number(number)] == found


def test_a_token_that_is_refused_is_an_error_and_an_outage_is_not() -> None:
    refused = of_refusal(Refused(190, "expired", 401))
    assert (refused.level, refused.code) == (Level.ERROR, Code.CREDENTIALS)
    away = of_refusal(Refused(2, "down", 503))
    assert (away.level, away.code) == (Level.WARNING, Code.PROVIDER_AWAY)


@pytest.mark.parametrize(
    ("look", "levels"),
    [
        (LinkAnswer(200, "image/png", 5 * MEGABYTE), []),
        (LinkAnswer(200), []),
        (LinkAnswer(405), []),
        (LinkAnswer(404), [Level.ERROR]),
        (LinkAnswer(403), [Level.WARNING]),
        (LinkAnswer(500), [Level.WARNING]),
        (LinkAnswer(200, "text/html"), [Level.WARNING]),
        (LinkAnswer(200, "image/png", 5 * MEGABYTE + 1), [Level.WARNING]),
        (LinkAnswer(200, "video/mp4", 17 * MEGABYTE), [Level.WARNING, Level.WARNING]),
        (LinkRefused("it should begin with https://"), [Level.ERROR]),
        (LinkSilent("its host is not known"), [Level.WARNING]),
    ],
)
def test_a_link_is_an_error_only_where_it_leads_nowhere(look: LinkLook, levels: list[Level]) -> None:
    found = list(of_link("image", look))
    assert [finding.level for finding in found] == levels
    assert {finding.code for finding in found} <= {Code.MEDIA_LINK}
