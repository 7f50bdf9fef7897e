"""What a rate card is, and the sum that is made with it."""

from contextlib import suppress
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.cost_findings import of_cost
from server.domain.costs import Counted, cost_of, rounded, written
from server.domain.errors import BadInput
from server.domain.phones import country_of
from server.domain.preflight import Code, Level
from server.domain.rate_cards import CATEGORIES, EVERY_OTHER, Price, RateCard, read

DAY = date(2026, 11, 1)
COUNTRIES = ("IL", "DE", "GB", "US")
AMOUNTS = st.decimals(0, 10, places=6)
PRICES = st.builds(
    Price,
    st.sampled_from((*COUNTRIES, EVERY_OTHER)),
    st.sampled_from(CATEGORIES),
    AMOUNTS,
    st.dates(date(2026, 1, 1), date(2027, 1, 1)),
)
CARDS = st.builds(RateCard, st.just("EUR"), st.lists(PRICES, max_size=20).map(tuple))
COUNTED = st.builds(Counted, st.sampled_from((*COUNTRIES, None)), st.integers(1, 10**7), st.just(0)) | st.builds(
    Counted, st.sampled_from(COUNTRIES), st.just(5), st.integers(0, 5)
)


@given(CARDS, st.sampled_from(CATEGORIES), st.lists(COUNTED, unique_by=lambda item: item.country))
def test_everybody_is_in_the_sum_or_named_as_missing(card: RateCard, category: str, people: list[Counted]) -> None:
    cost = cost_of(card, category, people, DAY)
    assert cost.total == sum(item.cost for item in cost.by_country)
    counted = [item.people_count for item in cost.by_country] + [item.people_count for item in cost.missing]
    assert sum(counted) == sum(item.people_count for item in people)
    assert [item.cost for item in cost.by_country] == sorted((item.cost for item in cost.by_country), reverse=True)
    assert (cost.prices_date is None) is (not cost.by_country)
    assert cost.prices_date is None or cost.prices_date <= DAY
    findings = list(of_cost(cost))
    assert {finding.level for finding in findings} <= {Level.INFO}
    assert (Code.NO_PRICE in {finding.code for finding in findings}) is bool(cost.missing)


@given(AMOUNTS)
def test_an_amount_is_written_as_it_is(amount: Decimal) -> None:
    assert Decimal(written(amount)) == amount
    assert len(written(amount).partition(".")[2]) >= 2


CARD = """country,category,price,currency,valid_from
IL,marketing,0.0353,EUR,2026-10-01
IL,marketing,0.04,EUR,2027-01-01
AT CH DE,Marketing,0.1131,eur,2026-10-01
IL,marketing,0.03,EUR,2026-07-01
*,marketing,0.06,EUR,2026-04-01
"""


def test_the_price_of_the_day_counts_and_a_country_before_every_other() -> None:
    card = read(CARD)
    prices = {
        (country, day): card.price_of(country, "marketing", day)
        for country in ("IL", "CH", "BR", None)
        for day in (date(2026, 9, 30), date(2026, 10, 1), date(2027, 2, 1))
    }
    found = {key: price and price.price for key, price in prices.items()}
    assert [str(found["IL", day]) for day in (date(2026, 9, 30), DAY.replace(month=10), date(2027, 2, 1))] == [
        "0.03", "0.0353", "0.04",
    ]  # fmt: skip
    assert str(found["CH", date(2026, 9, 30)]) == "0.06"
    assert str(found["CH", date(2026, 10, 1)]) == "0.1131"
    assert {str(found[country, DAY.replace(month=10)]) for country in ("BR", None)} == {"0.06"}
    assert card.price_of("IL", "utility", DAY) is None
    assert card.price_of("BR", "marketing", date(2026, 1, 1)) is None


def test_the_sum_is_said_in_one_sentence() -> None:
    people = [Counted("IL", 8_000), Counted("DE", 1_312)]
    cost = cost_of(RateCard("EUR", read(CARD).prices[:5]), "marketing", people, DAY)
    (finding,) = of_cost(cost)
    assert finding.detail == (
        "It costs about EUR 430.79 if everybody gets it: IL marketing 8,000 x 0.0353, DE marketing 1,312 x 0.1131; "
        "prices of 2026-10-01."
    )


def test_a_card_as_a_spreadsheet_of_the_continent_writes_it() -> None:
    card = read("Country;Category;Price;Currency;Valid_from\nde;utility;0,0456;EUR;2026-10-01\n\n")
    assert card.prices == (Price("DE", "utility", Decimal("0.0456"), date(2026, 10, 1)),)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("XX,marketing,1,EUR,2026-10-01", '"XX" is no country'),
        (",marketing,1,EUR,2026-10-01", "it names no country"),
        ("Rest of Africa,marketing,1,EUR,2026-10-01", "a region as its countries"),
        ("IL,service,1,EUR,2026-10-01", '"service" is no category'),
        ("IL,marketing,n/a,EUR,2026-10-01", '"n/a" is no price'),
        ("IL,marketing,-1,EUR,2026-10-01", '"-1" is no price'),
        ("IL,marketing,0.00000001,EUR,2026-10-01", "six decimals at most"),
        ("IL,marketing,1e999999999,EUR,2026-10-01", "is no price"),
        ("IL,marketing,1,euros,2026-10-01", '"euros" is no currency'),
        ("IL,marketing,1,EUR,1.10.2026", '"1.10.2026" is no day'),
        ("DE,marketing,1,EUR,2026-10-01", "has come before"),
        ("IL", "is no currency"),
    ],
)
def test_a_line_that_cannot_be_used_keeps_the_card_out_and_is_named(line: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        read(f"{CARD}{line}\n")
    (problem,) = refused.value.problems
    assert problem.pointer == "line 7"
    assert said in problem.detail
    assert str(refused.value) == f"line 7: {problem.detail}"


@pytest.mark.parametrize("text", ["", "\n", "a,b\n1,2\n", "country,category,price,currency,valid_from\n", "\x00"])
def test_what_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        read(text)


def test_a_card_has_one_currency() -> None:
    with pytest.raises(BadInput, match="one currency"):
        read(f"{CARD}FR,marketing,1,USD,2026-10-01\n")


@given(st.text() | st.text(alphabet='IL,;*\n\t"0.EUR').map(lambda text: CARD + text))
def test_any_text_is_a_card_or_bad_input(text: str) -> None:
    with suppress(BadInput):
        assert read(text).prices


@pytest.mark.parametrize(
    ("phone", "country"),
    [
        ("+12125551234", "US"), ("+16045551234", "CA"), ("+16040000000", "CA"), ("+15550001111", "US"),
        ("+447781123456", "GG"), ("+447400123456", "GB"), ("+77011234567", "KZ"), ("+79161234567", "RU"),
        ("+972500000001", "IL"), ("+870123456789", None), ("+99912345678", None),
    ],
)  # fmt: skip
def test_the_country_of_a_number_is_known_where_it_has_one(phone: str, country: str | None) -> None:
    assert country_of(phone) == country


def test_amounts_for_people_are_rounded_to_the_cent() -> None:
    assert rounded(Decimal("1431.2049")) == "1,431.20"
