"""Writing a broadcast in the pages: step by step, left and come back to, looked at, sent once."""

import json
import re
from typing import Any

from tests.api.conftest import DANA, Api, an_order
from tests.dashboard.test_overview import words_of
from tests.support.books import assert_counters_equal_rows
from tests.support.browser import Browser, Page
from tests.support.simulator import Simulator

LIST = b"""phone,first_name,order_id,city
+972501234567,Dana,A-17,Haifa
0501234568,Noam,A-18,Acre
12,Maya,A-19,Haifa
+972501234567,Dana,A-20,Haifa
+972501234569,,A-21,Haifa
"""


def begin(browser: Browser, **fields: Any) -> int:
    """The first step, done. Gives the draft's id."""
    page = browser.get("/compose")
    template = re.search(r'name="template" value="(\d+)"', page.text)
    assert template is not None
    chosen = {"kind": "template", "template": template[1], "token": page.field("token"), "name": "Spring sale"}
    return draft_of(browser.post("/compose", **{**chosen, **fields}))


def draft_of(page: Page) -> int:
    """The draft whose page it is."""
    found = re.match(r"/compose/(\d+)", page.path)
    assert found is not None, page.path
    return int(found[1])


def take(browser: Browser, draft: int, file: bytes = LIST) -> Page:
    """A file, taken in."""
    return browser.upload(f"/compose/{draft}/recipients?country=IL", file)


def fill(browser: Browser, draft: int) -> Page:
    """Both values from columns."""
    fields = {"from.body.1": "first_name", "text.body.2": "no. {{order_id}}"}
    return browser.post(f"/compose/{draft}/values", **fields)


def shown(api: Api, draft: int) -> dict[str, Any]:
    """The draft as the API shows it."""
    found: dict[str, Any] = api.get(f"/broadcasts/{draft}").json
    return found


def send(browser: Browser, draft: int) -> Page:
    """Look at the review, and press its button."""
    seen = browser.get(f"/compose/{draft}/review").field("seen")
    return browser.post(f"/compose/{draft}/send", seen=seen)


def test_a_broadcast_is_written_step_by_step_and_sent_to_whom_the_button_says(
    visitor: Browser, api: Api, database_url: str
) -> None:
    draft = begin(visitor)
    assert '"accepted_count": 3' in take(visitor, draft).text
    page = visitor.get(f"/compose/{draft}?step=people")
    assert "2 rows were left out" in page.text
    assert "not a phone number" in page.text
    assert fill(visitor, draft).path == f"/compose/{draft}?step=when"
    page = visitor.post(f"/compose/{draft}/when", when="now", rate="50", canary="1", failed_percent="7,5")
    assert page.path == f"/compose/{draft}?step=review"
    assert shown(api, draft)["rate_limit"] == 50
    assert shown(api, draft)["canary"] == {"failed_percent": 7.5, "opted_out_percent": 2, "wait_minutes": 15}
    review = visitor.get(f"/compose/{draft}/review")
    assert "1 person has no value for &#34;first_name&#34;" in review.text
    visitor.post(f"/compose/{draft}/leave-out", to="review")
    assert "Send to 2 people" in visitor.get(f"/compose/{draft}/review").text
    assert_counters_equal_rows(database_url, draft)
    assert send(visitor, draft).path == f"/broadcasts/{draft}"
    assert shown(api, draft)["status"] == "queued"
    assert shown(api, draft)["total_recipients"] == 2


def test_pressing_the_button_twice_and_going_back_send_once(visitor: Browser, api: Api) -> None:
    draft = begin(visitor)
    take(visitor, draft)
    fill(visitor, draft)
    seen = visitor.get(f"/compose/{draft}/review").field("seen")
    first = visitor.post(f"/compose/{draft}/send", seen=seen)
    again = visitor.post(f"/compose/{draft}/send", seen=seen)
    assert first.path == again.path == visitor.get(f"/compose/{draft}").path == f"/broadcasts/{draft}"
    moves = [one["move"] for one in api.get(f"/broadcasts/{draft}/history").json["items"]]
    assert moves.count("queue") == 1


def test_what_was_changed_since_it_was_seen_is_not_sent(visitor: Browser, api: Api) -> None:
    draft = begin(visitor)
    take(visitor, draft)
    fill(visitor, draft)
    seen = visitor.get(f"/compose/{draft}/review").field("seen")
    take(visitor, draft, b"phone,first_name,order_id\n+972507654321,Omar,A-9\n")
    page = visitor.post(f"/compose/{draft}/send", seen=seen)
    assert page.status == 422
    assert "was changed in the meantime" in page.text
    assert shown(api, draft)["status"] == "draft"


def test_the_same_first_step_twice_makes_one_draft(visitor: Browser, api: Api) -> None:
    page = visitor.get("/compose")
    token = page.field("token")
    assert begin(visitor, token=token) == begin(visitor, token=token, name="Summer sale")
    assert [one["name"] for one in api.get("/broadcasts").json["items"]] == ["Summer sale"]


def test_whose_message_is_refused_is_counted_out_and_the_values_are_not_done(visitor: Browser, api: Api) -> None:
    draft = begin(visitor)
    take(visitor, draft)
    fill(visitor, draft)
    for step in ("when", "review"):
        page = visitor.get(f"/compose/{draft}?step={step}").text
        assert "somebody lacks a value" in page, step
        assert "all filled in" not in page, step
    review = visitor.get(f"/compose/{draft}/review").text
    assert "Will get it 2 1 more lacks first_name and will be refused" in words_of(review)
    assert "Send to 2 people" in review
    # Whoever has opted out gets nothing anyhow.
    contact = api.post("/contacts", {"phone": "+972501234569"}).json
    api.post(f"/contacts/{contact['id']}/opt-out")
    review = visitor.get(f"/compose/{draft}/review").text
    assert "Send to 2 people" in review
    assert "will be refused" not in words_of(review).partition("Takes")[0]
    assert "all filled in" in visitor.get(f"/compose/{draft}?step=review").text


def test_where_everybody_lacks_one_value_or_another_there_is_nobody_to_send_to(visitor: Browser) -> None:
    draft = begin(visitor)
    take(visitor, draft, b"phone,first_name,order_id\n+972501234567,Dana,\n+972501234568,,A-18\n")
    fill(visitor, draft)
    fields = {"from.body.1": "first_name", "from.body.2": "order_id"}
    visitor.post(f"/compose/{draft}/values", **fields)
    review = visitor.get(f"/compose/{draft}/review").text
    assert "Will get it 0 2 more lack first_name, order_id and will be refused" in words_of(review)
    assert "disabled aria-describedby" in review
    assert "One thing has to be mended first." in review


def test_a_draft_that_lacks_something_can_be_left_and_says_what_it_lacks(visitor: Browser, api: Api) -> None:
    draft = begin(visitor)
    page = visitor.get(f"/compose/{draft}/review")
    assert "disabled" in page.text
    assert "The template needs a value for {{1}}." in page.text
    assert "This broadcast has no recipients to send to." in page.text
    assert send(visitor, draft).status == 422
    assert shown(api, draft)["status"] == "draft"


def test_the_message_may_name_any_column_after_the_list_came_in(visitor: Browser, api: Api) -> None:
    draft = begin(visitor)
    take(visitor, draft)
    visitor.post(f"/compose/{draft}/values", **{"from.body.1": "city", "from.body.2": "nothing"})
    page = visitor.get(f"/compose/{draft}?step=values")
    assert "Nobody has nothing." in page.text
    visitor.post(f"/compose/{draft}/values", **{"from.body.1": "city", "from.body.2": "order_id"})
    message = api.get(f"/broadcasts/{draft}/preview?phone=0501234568").json
    texts = [one["text"] for one in message["template"]["components"][0]["parameters"]]
    assert texts == ["Acre", "A-18"]


def test_the_phone_shows_what_each_person_gets(visitor: Browser) -> None:
    draft = begin(visitor)
    take(visitor, draft)
    fill(visitor, draft)
    first = visitor.get(f"/compose/{draft}/preview")
    assert "Hi Dana, your order no. A-17 is on its way." in first.text
    following = re.search(rf"/compose/{draft}/preview\?after=\d+", first.text)
    assert following is not None
    assert "Hi Noam, your order no. A-18 is on its way." in visitor.get(following[0]).text
    assert "Hi Noam" in visitor.get(f"/compose/{draft}/preview?phone=050-123-4568").text
    assert "<mark>{{first_name}}</mark>" in visitor.get(f"/compose/{draft}/preview?phone=050-123-4569").text
    assert "Nobody of this broadcast has this number." in visitor.get(f"/compose/{draft}/preview?phone=0507654321").text


def test_a_list_without_one_good_row_is_refused_in_words_and_nothing_stays(visitor: Browser, api: Api) -> None:
    draft = begin(visitor)
    answer = take(visitor, draft, b"phone,first_name\n12,Dana\n")
    assert "event: refused" in answer.text
    assert "Nobody in this list can be sent to." in answer.text
    answer = take(visitor, draft, b"first_name\nDana\n")
    assert answer.status == 422
    assert "--" not in re.sub(r"<[^>]+>", "", answer.text)
    assert shown(api, draft)["rejected_count"] == 0


def test_rows_that_were_left_out_can_be_downloaded(visitor: Browser) -> None:
    draft = begin(visitor)
    take(visitor, draft, LIST + b"abc,Nobody,A-1,Acre\n")
    page = visitor.get(f"/compose/{draft}?step=people")
    assert f'href="/compose/{draft}/rejected.csv" download' in page.text
    assert "abc,not a phone number" in visitor.get(f"/compose/{draft}/rejected.csv").text


def test_a_pasted_list_is_numbers_or_a_table(visitor: Browser, api: Api) -> None:
    draft = begin(visitor)
    visitor.post(f"/compose/{draft}/people", source="paste", take="1", country="IL", list="0501234567, 0501234568")
    assert shown(api, draft)["total_recipients"] == 2
    table = "+972501234569\tOmar\nnobody\tMaya"
    visitor.post(f"/compose/{draft}/people", source="paste", take="1", list=table)
    assert shown(api, draft)["total_recipients"] == 3
    assert shown(api, draft)["rejected"][0]["row"] == 2
    assert visitor.post(f"/compose/{draft}/clear").path == f"/compose/{draft}?step=people"
    assert shown(api, draft)["total_recipients"] == 0


def test_contacts_are_chosen_by_tags_and_conditions_and_counted_before(visitor: Browser, api: Api) -> None:
    people = b"phone,name,tags,first_name,order_id\n+972501234567,Dana,vip,Dana,A-1\n+972501234568,Noa,,Noa,A-2\n"
    assert api.call("POST", "/api/whatsapp/contacts/import", people, content_type="text/csv").status == 200
    draft = begin(visitor)
    fill(visitor, draft)
    chosen = {"source": "contacts", "tags": "VIP", "attribute": "order_id", "operator": "exists", "value": ""}
    assert re.search(r"Will get it</dt><dd class=\"figure\">1<", visitor.post(f"/compose/{draft}/count", **chosen).text)
    assert visitor.post(f"/compose/{draft}/people", take="1", **chosen).path == f"/compose/{draft}?step=values"
    assert shown(api, draft)["audience"]["tags"] == ["vip"]
    assert "Hi Dana, your order no. A-1" in visitor.get(f"/compose/{draft}/preview").text
    page = visitor.post(f"/compose/{draft}/people", **{**chosen, "tags": "a|b", "take": "1"})
    assert page.status == 422
    assert 'value="a|b"' in page.text  # what was typed stays
    assert "Send to 1 person" in visitor.get(f"/compose/{draft}/review").text


def test_a_time_that_has_passed_or_a_rate_above_the_numbers_is_said_at_its_field(visitor: Browser, api: Api) -> None:
    draft = begin(visitor)
    page = visitor.post(f"/compose/{draft}/when", when="later", at="2020-01-01T10:00:00+02:00")
    assert page.status == 422
    assert "The schedule lies in the past." in page.text
    page = visitor.post(f"/compose/{draft}/when", when="now", rate="500")
    assert "This number may send 200 messages a second" in page.text
    assert 'value="500"' in page.text
    visitor.post(f"/compose/{draft}/when", when="later", at="2100-01-01T10:00:00+02:00")
    assert shown(api, draft)["scheduled_at"] == "2100-01-01T08:00:00Z"
    take(visitor, draft)
    fill(visitor, draft)
    assert "Schedule for 2 people" in visitor.get(f"/compose/{draft}/review").text
    send(visitor, draft)
    assert shown(api, draft)["status"] == "scheduled"


def test_everything_wrong_with_a_time_is_said_at_once_and_right_below_its_field(visitor: Browser, api: Api) -> None:
    draft = begin(visitor)
    wrong = {"when": "later", "local": "soon", "rate": "fast", "canary": "1", "failed_percent": "150"}
    page = visitor.post(f"/compose/{draft}/when", wrong).text
    for name, words in [
        ("local", "Choose a day and a time."),
        ("rate", "It should be a whole number."),
        ("failed_percent", "It is from 0 to 100 %."),
    ]:
        below = r'[^>]*>(?:%</span>)?\s*<span class="wrong-text" id="([^"]+)"'
        field = re.search(rf'name="{name}"[^>]*aria-describedby="([\w-]+)"{below}', page)
        assert field is not None, name
        assert field[1] == field[2]
        assert words in page


def test_a_copy_has_the_message_and_the_settings_and_no_people(visitor: Browser, api: Api) -> None:
    made = api.post("/broadcasts", an_order(start=False, rate_limit=7, canary=True)).json
    page = visitor.get(f"/compose?from={made['id']}")
    assert "your order <mark>{{order_id}}</mark> is on its way." in page.text
    template = re.search(r'name="template" value="(\d+)" checked', page.text)
    assert template is not None
    fields = {"kind": "template", "template": template[1], "token": page.field("token"), "from": made["id"]}
    draft = shown(api, draft_of(visitor.post("/compose", **fields)))
    assert (draft["rate_limit"], draft["total_recipients"], draft["canary"]) == (7, 0, made["canary"])


def test_a_test_goes_to_a_few_phones_and_counts_nowhere(visitor: Browser, api: Api, simulator: Simulator) -> None:
    draft = begin(visitor)
    take(visitor, draft)
    fill(visitor, draft)
    page = visitor.post(f"/compose/{draft}/test", phones="+972521234567\n+972521234568")
    assert page.text.count('data-tone="sent"') == 2
    assert shown(api, draft)["sent_count"] == 0
    page = visitor.post(f"/compose/{draft}/test", phones="\n".join(f"+97252123456{n}" for n in range(10)) + "\n+1")
    assert "Write 1 to 10 phones" in page.text


def test_a_free_text_needs_no_template(visitor: Browser, api: Api) -> None:
    draft = begin(visitor, kind="text", body="*Shalom* {{first_name}} <b>")
    take(visitor, draft)
    assert "<strong>Shalom</strong> Dana &lt;b&gt;" in visitor.get(f"/compose/{draft}/preview").text
    assert api.get(f"/broadcasts/{draft}/preview?phone={DANA['phone'].replace('+', '%2B')}").json["type"] == "text"  # type: ignore[attr-defined]


def test_nobody_else_sees_or_changes_a_draft(visitor: Browser, stranger: Browser, viewer: Browser, api: Api) -> None:
    draft = begin(visitor)
    for path in ("", "/preview", "/review"):
        assert stranger.get(f"/compose/{draft}{path}").status == 404
        assert viewer.get(f"/compose/{draft}{path}").status == 403
    for path in ("message", "values", "when", "people", "count", "clear", "leave-out", "send", "test", "preview"):
        assert stranger.post(f"/compose/{draft}/{path}", phones="+972501234567").status == 404, path
        assert viewer.post(f"/compose/{draft}/{path}").status == 403, path
        assert visitor.post(f"/compose/{draft}/{path}", csrf="0").status == 403, path
    assert take(stranger, draft).status == 404
    assert take(viewer, draft).status == 403
    assert stranger.get(f"/compose?from={draft}").status == 404
    assert viewer.get("/compose").status == 403
    assert shown(api, draft)["total_recipients"] == 0


def test_progress_of_a_file_is_told_while_it_is_read(visitor: Browser) -> None:
    draft = begin(visitor)
    rows = "".join(f"+97250{number:07d},Dana,A-{number}\n" for number in range(45_000))
    answer = take(visitor, draft, f"phone,first_name,order_id\n{rows}".encode())
    told = [json.loads(line.removeprefix("data: ")) for line in answer.text.splitlines() if "rows_count" in line]
    assert [one["rows_count"] for one in told] == [20_000, 40_000, 45_000]
    assert told[-1]["share"] == 1


def test_whoever_hangs_up_while_a_file_is_read_has_stopped_it(visitor: Browser, api: Api) -> None:
    draft = begin(visitor)
    rows = "".join(f"+97250{number:07d},Dana\n" for number in range(300_000))
    with visitor.hang_up(f"/compose/{draft}/recipients", f"phone,first_name\n{rows}".encode()) as answer:
        while b"rows_count" not in answer.readline():
            pass
    take(visitor, draft)  # waits until what was read is given up
    assert shown(api, draft)["total_recipients"] == 3


def test_everybody_gets_it_at_the_time_that_was_typed_by_their_own_clock(visitor: Browser, api: Api) -> None:
    draft = begin(visitor)
    take(visitor, draft, LIST + b"+818012345678,Aiko,A-22,Osaka\n")
    fill(visitor, draft)
    # As a browser two hours east of Greenwich says it: the instant, and what was typed.
    typed = {"at": "2100-01-01T08:00:00.000Z", "local": "2100-01-01T10:00"}
    visitor.post(f"/compose/{draft}/when", when="local", **typed)
    assert shown(api, draft)["local_time"] == "2100-01-01T10:00:00"
    assert shown(api, draft)["scheduled_at"] == "2100-01-01T08:00:00Z"
    page = visitor.get(f"/compose/{draft}?step=when")
    assert re.search(r'value="local" checked', page.text)
    assert 'data-instant="" value="2100-01-01T10:00"' in page.text
    review = visitor.get(f"/compose/{draft}/review")
    assert "everybody gets it on Fri 1 Jan 2100, 10:00, by their own clock" in review.text
    assert "to the first at 1 Jan 2100, 01:00 UTC and to the last at 1 Jan 2100, 08:00 UTC" in re.sub(
        r"<[^>]+>", "", review.text
    )
    page = visitor.post(f"/compose/{draft}/when", when="local", spread="1", **typed)
    assert "Choose one of the two." in page.text
    send(visitor, draft)
    assert shown(api, draft)["status"] == "scheduled"
    page = visitor.get(f"/broadcasts/{draft}")
    assert "everybody gets it on Fri 1 Jan 2100, 10:00, by their own clock" in page.text
    visitor.post(f"/compose/{draft}/when", when="now")
    assert shown(api, draft)["by_local_time"] is True  # it is no draft any more
