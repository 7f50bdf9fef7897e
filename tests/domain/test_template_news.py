"""What WhatsApp tells of a template, read."""

from datetime import UTC, datetime, timedelta

import pytest

from server.domain.template_news import CATEGORY, QUALITY, STATUS, read

AT = datetime(2026, 11, 28, 9, tzinfo=UTC)
OF = {"message_template_name": "spring_sale", "message_template_language": "en-US"}


@pytest.mark.parametrize(
    ("field", "value", "said", "cause", "hours"),
    [
        (STATUS, {"event": "paused", "reason": "NONE", "other_info": {"title": "FIRST_PAUSE"}}, "PAUSED",
         "FIRST_PAUSE", 3),
        (STATUS, {"event": "PAUSED", "other_info": {"title": "SECOND_PAUSE"}}, "PAUSED", "SECOND_PAUSE", 6),
        (STATUS, {"event": "REJECTED", "reason": "SCAM", "other_info": None}, "REJECTED", "SCAM", None),
        (STATUS, {"event": "APPROVED", "reason": None}, "APPROVED", "", None),
        (QUALITY, {"previous_quality_score": "GREEN", "new_quality_score": "YELLOW"}, "YELLOW", "", None),
        (CATEGORY, {"correct_category": "MARKETING"}, "MARKETING", "", None),
    ],
)  # fmt: skip
def test_news_say_what_became_of_a_template_and_until_when(
    field: str, value: dict[str, object], said: str, cause: str, hours: int | None
) -> None:
    news = read(field, {**OF, **value}, AT)
    assert news is not None
    assert (news.name, news.language, news.said, news.cause) == ("spring_sale", "en_US", said, cause)
    assert news.until == (None if hours is None else AT + timedelta(hours=hours))


def test_what_names_no_template_or_is_of_another_kind_is_no_news() -> None:
    assert read(STATUS, {"event": "PAUSED"}, AT) is None
    assert read("account_update", OF, AT) is None
