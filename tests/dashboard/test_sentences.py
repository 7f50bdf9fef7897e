"""What the engine says and keeps in English, told in Hebrew: no English sentence is left, and no value is lost."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import pytest

from server.dashboard.formats import day_in
from server.dashboard.languages import speech
from server.domain import (
    account_news,
    breakers,
    canary,
    cost_findings,
    hour_findings,
    media_findings,
    people_findings,
    preflight,
    sending_plan,
)
from server.domain.audience import describe, parse
from server.domain.costs import Cost, Counted, CountryCost
from server.domain.decisions import BreakerCandidate
from server.domain.errors import BadInput, StateDoesNotAllow
from server.domain.evidence import Neighbours, Silence, UnknownPolicy, outlook
from server.domain.frequency_cap import FrequencyCap
from server.domain.invalid_values import in_plain_words
from server.domain.meanings import MEANINGS, explain_stop
from server.domain.media_findings import LinkAnswer, LinkRefused, LinkSilent
from server.domain.messages import plan_template
from server.domain.outcomes import NeverLeft, Refused
from server.domain.people_findings import Lack
from server.domain.preflight import NumberState
from server.domain.quiet_hours import QuietHours
from server.domain.sentences import said
from server.domain.states import Act, Move
from server.services.runs import InFlight
from tests.dashboard.hebrew import english_in

_NOW = datetime(2026, 11, 28, 18, tzinfo=UTC)
_HEBREW = tuple("אבגדהוזחטיכלמנסעפצקרשת")
_TEMPLATE_NEWS = "message_template_status_update"
_ADDRESS = "https://cdn.example/a.png"


def _of_people() -> Iterator[preflight.Finding]:
    for recipients, opted_out_count in ((0, 0), (0, 3), (5, 1), (5, 1_234)):
        yield from people_findings.of_people(recipients, opted_out_count)
    who = describe(
        parse({"tags": ["vip", "new"], "not_tags": ["staff"], "where": [{"attribute": "city", "is": "Haifa"}]})
    )
    for counts in ((0, 0, 0), (2, 2, 0), (2, 0, 0), (9, 4, 5)):
        yield from people_findings.of_audience(who, *counts, starts_later=False)
        yield from people_findings.of_audience("everybody", *counts, starts_later=True)
    for rejected_count, reasons in ((1, ["duplicate"]), (4, ["duplicate", "x"]), (2, ["x", "x"]), (9, [])):
        yield from people_findings.of_list(rejected_count, reasons)
    lacks = [Lack("first_name", count, rows) for count in (1, 3, 10) for rows in ((), (2,), (2, 4))]
    yield from people_findings.of_values(lacks, 10)
    yield from people_findings.of_values(lacks, 10, people_findings.LEFT_OUT)


def _of_surroundings() -> Iterator[preflight.Finding]:
    for seconds in (10, 900, 90_000):
        yield from preflight.of_pace(80 * seconds, 80)
    for status in ("PENDING", "REJECTED", "PAUSED", "DISABLED", "IN_APPEAL", "APPROVED"):
        for category in ("MARKETING", "UTILITY", "AUTHENTICATION"):
            yield from preflight.of_template("order_update", "en_US", status, category)
    for health in ("BLOCKED", "LIMITED"):
        yield from preflight.of_number(NumberState("DISCONNECTED", "RED", health))
        yield from preflight.of_number(NumberState("FLAGGED", "YELLOW", health))
    for code in (190, 131031):
        yield preflight.of_refusal(Refused(code=code, http_status=400, message="", trace_id="Az8"))
    yield from preflight.of_webhook(has_been_heard=False)
    yield from preflight.of_messaging_limit(5_000, 1_000, 250)
    yield from hour_findings.of_quiet_hours(str(QuietHours(time(21), time(8))), {_NOW: 1}, 5)
    hours = QuietHours(time(21), time(8), frozenset((4, 5)))
    yield from hour_findings.of_quiet_hours(str(hours), {_NOW: 2, _NOW + timedelta(hours=1): 3}, 5)
    yield from hour_findings.of_quiet_hours(str(hours), {_NOW: 2}, 5, said("at that time of theirs"))
    passed, first, last = (_NOW + timedelta(hours=hour) for hour in (-1, 1, 2))
    for people_at in ({passed: 1, first: 2}, {passed: 2, first: 1, last: 3}, {passed: 3}, {first: 3}):
        yield from hour_findings.of_local_times(_NOW.replace(tzinfo=None), people_at, _NOW)
    for cap in (FrequencyCap(1, 1), FrequencyCap(2, 7)):
        for people_count in (1, 2, 5):
            yield from preflight.of_frequency_cap(str(cap), people_count, 5)


def _of_media() -> Iterator[preflight.Finding]:
    looks = (
        LinkRefused("it should begin with https://"),
        LinkSilent("its host is not known"),
        LinkAnswer(404),
        LinkAnswer(500),
        LinkAnswer(200, "text/html", 999_999_999),
    )
    for kind in ("image", "video", "document"):
        yield media_findings.of_personal_link(kind)
        for look in looks:
            yield from media_findings.of_link(kind, look)


def _of_costs() -> Iterator[preflight.Finding]:
    yield cost_findings.of_free_text()
    yield cost_findings.of_no_card()
    price = Decimal("0.0353")
    for count in (1, 2, 9):
        countries = tuple(CountryCost(f"C{n}", 20, count, price, price) for n in range(count))
        missing = (Counted(None, count), Counted("DE", count))
        yield from cost_findings.of_cost(Cost("EUR", "utility", price, countries, missing, date(2026, 10, 1)))


def _of_runs() -> Iterator[str]:
    for code in MEANINGS:
        yield explain_stop(Refused(code=code, http_status=400, message="", trace_id="Az8"))
    yield explain_stop(Refused(code=None, http_status=502, message=""))
    yield explain_stop(Refused(code=999, http_status=400, message=""))
    failure = explain_stop(Refused(code=132001, http_status=404, message="", details="#7"))
    breaker = breakers.Breaker(3)
    stops = [breaker.note_failed(BreakerCandidate(132001, failure)) for _ in range(3)]
    stops += [breakers.Breaker(1).note_failed(BreakerCandidate(132001, failure))]
    stops += [breakers.judge_reports(breakers.Reported(2_000, 1_500, 1_500), failure)]
    outage = breakers.Outage()
    stops += [outage.note(NeverLeft("no connection could be made: refused"), at) for at in (0.0, 70.0)]
    yield from (stop.message for stop in stops if stop is not None)
    yield str(InFlight())
    yield str(InFlight(accepted=1))
    yield str(InFlight(3, 1, 2, 1, 4))
    for status in ("PAUSED", "DISABLED", "REJECTED"):
        value: dict[str, object] = {"event": status, "message_template_name": "x", "message_template_language": "en"}
        value |= {"other_info": {"title": "FIRST_PAUSE"}}
        yield from (getattr(order, "why", "") for order in account_news.orders_of(_TEMPLATE_NEWS, value))


def _of_canaries() -> Iterator[str]:
    bounds = canary.Bounds()
    yield canary.waiting_for(50, bounds)
    over = bounds.wait_seconds
    for seen in (
        canary.Seen(100, 20, 0, 100, 0, 80, 0, 60),
        canary.Seen(100, 0, 20, 100, 0, 80, 0, 60),
        canary.Seen(0, 0, 0, 0, 0, 0, 0, over),
        canary.Seen(100, 0, 0, 0, 80, 0, 0, over),
        canary.Seen(100, 0, 0, 0, 0, 0, 0, over),
        canary.Seen(100, 0, 0, 5, 0, 5, 0, over),
        canary.Seen(100, 1, 1, 100, 0, 100, 0, over),
    ):
        yield getattr(canary.judge(bounds, seen), "detail", "")


def _of_unknowns() -> Iterator[str]:
    for since in (None, 100_000.0, 60.0):
        for neighbours in (Neighbours(3, 3), Neighbours(100, 10), Neighbours(100, 100)):
            for policy in UnknownPolicy:
                for can_send in (True, False):
                    told = outlook(
                        policy,
                        Silence(99_999.0, since, neighbours),
                        can_send=can_send,
                        grace_seconds=900,
                        max_wait_seconds=21_600,
                        max_attempts=3,
                    )
                    yield from (told.says, told.judgement.reason)


def _of_moves() -> Iterator[str]:
    for status in ("draft", "scheduled", "queued", "running", "paused", "settling", "completed", "partial", "failed"):
        for move in (Move.PAUSE, Move.RESUME, Move.CANCEL, Move.QUEUE, Act.RATE, Act.SCHEDULE_ANEW, "be deleted"):
            yield str(StateDoesNotAllow(move, status))


def _of_messages() -> Iterator[str]:
    components: list[dict[str, object]] = [
        {"type": "HEADER", "format": "IMAGE"},
        {"type": "BODY", "text": "Hi {{1}}"},
        {"type": "BUTTONS", "buttons": [{"type": "URL", "text": "Look", "url": "https://x.example/{{1}}"}]},
    ]
    template = {"name": "x", "language": "en"}
    for given in (
        {},
        {"variables": {"2": "x"}, "header": {"video": {"link": _ADDRESS}}, "buttons": {"5": "x"}},
        {"variables": {"1": "x"}, "header": {"image": {}}},
        {"variables": {"1": "x"}, "header": {"image": {"id": "1", "link": _ADDRESS}}},
    ):
        with pytest.raises(BadInput) as refused:
            plan_template({"template": {**template, **given}}, components, "POSITIONAL")
        yield from (problem.detail for problem in refused.value.problems)


def _of_plans() -> Iterator[str]:
    for people in (500, 1_500, 9_000, 900_000):
        plan = sending_plan.plan_days(people, 1_000, [], _NOW)
        yield preflight.of_plan(1_000, sending_plan.in_words(plan, _NOW.date())).detail


def _of_values() -> Iterator[str]:
    yield from (
        text for kind in ("missing", "list_type", "string_type") if (text := in_plain_words(kind, {}, "Missing"))
    )
    for kind in ("string_too_short", "too_short"):
        yield from (in_plain_words(kind, {"min_length": n}, "") for n in (1, 2, 60))
    for kind in ("string_too_long", "too_long"):
        yield from (in_plain_words(kind, {"max_length": n}, "") for n in (1, 2, 1_024))
    for kind, bound in (("greater_than_equal", "ge"), ("less_than", "lt"), ("less_than_equal", "le")):
        yield in_plain_words(kind, {bound: 1_000}, "")


def _details(findings: Callable[[], Iterator[preflight.Finding]]) -> Callable[[], Iterator[str]]:
    return lambda: (finding.detail for finding in findings())


_KINDS: dict[str, Callable[[], Iterator[str]]] = {
    "people": _details(_of_people),
    "surroundings": _details(_of_surroundings),
    "media": _details(_of_media),
    "costs": _details(_of_costs),
    "runs": _of_runs,
    "canaries": _of_canaries,
    "unknowns": _of_unknowns,
    "moves": _of_moves,
    "messages": _of_messages,
    "plans": _of_plans,
    "values": _of_values,
}


@pytest.mark.parametrize("kind", _KINDS)
def test_nothing_that_the_engine_says_is_english_in_hebrew(kind: str) -> None:
    told = {text: speech("he").told(text) for text in _KINDS[kind]() if text}
    assert len(told) > 1
    left = {text: (words, english_in(words)) for text, words in told.items() if english_in(words)}
    assert not left, left


def test_what_stands_beside_a_code_in_a_list_is_told_too() -> None:
    missing = (Counted("JP", 30), Counted(None, 5))
    (finding,) = cost_findings.of_cost(Cost("EUR", "marketing", Decimal(0), (), missing, None))
    assert "\N{FIRST STRONG ISOLATE}JP\N{POP DIRECTIONAL ISOLATE} ומספרים בלי מדינה" in speech("he").told(
        finding.detail
    )


def test_a_day_is_written_as_its_language_does() -> None:
    hebrew = speech("he")
    assert hebrew.told("1 more day up to Thu 3 Dec").endswith(day_in(hebrew.locale, date(2026, 12, 3)))


def test_a_sentence_that_begins_with_a_name_is_read_in_its_own_direction() -> None:
    told = speech("he").told("WhatsApp does not accept the channel's token.")
    assert told.startswith(("\N{RIGHT-TO-LEFT MARK}", *_HEBREW))
    assert speech("he").told("(#100) Invalid parameter") == "(#100) Invalid parameter"
