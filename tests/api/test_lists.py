"""Lists of people as files: of any size, from slow clients and from clients that go away."""

import csv
import http.client
import io
from urllib.parse import urlsplit

import pytest

from tests.api.conftest import Answer, Api, an_order
from tests.support.engine import Engine

# More than the web process has connections to the database.
MANY = 25


class Upload:
    """A CSV file on its way, a piece at a time."""

    def __init__(self, api: Api, path: str) -> None:
        self.connection = http.client.HTTPConnection(str(urlsplit(api.address).netloc), timeout=30)
        self.connection.putrequest("POST", f"/api/whatsapp{path}")
        self.connection.putheader("Authorization", f"Bearer {api.key}")
        self.connection.putheader("Content-Type", "text/csv; charset=utf-8")
        self.connection.putheader("Transfer-Encoding", "chunked")
        self.connection.endheaders()

    def send(self, text: str) -> None:
        """A piece of the file."""
        self.connection.send(f"{len(text.encode()):x}\r\n{text}\r\n".encode())

    def finish(self) -> Answer:
        """The end of the file, and the answer."""
        self.connection.send(b"0\r\n\r\n")
        response = self.connection.getresponse()
        answer = Answer(response.status, dict(response.headers), response.read())
        self.connection.close()
        return answer


@pytest.fixture
def path(api: Api) -> str:
    """Where recipients are added to a draft that has one."""
    return f"/broadcasts/{api.post('/broadcasts', an_order(start=False, default_country='IL')).json['id']}/recipients"


def upload(api: Api, path: str, text: str, query: str = "") -> Answer:
    """A whole file at once."""
    return api.call("POST", f"/api/whatsapp{path}{query}", text.encode(), content_type="text/csv")


def test_clients_that_are_slow_to_send_their_file_keep_nobody_else_waiting(api: Api, path: str) -> None:
    uploads = [Upload(api, path) for _ in range(MANY)]
    for each in uploads:
        each.send("phone,first_name,order_id\n")
    assert {api.get("/broadcasts").status for _ in range(MANY)} == {200}
    for number, each in enumerate(uploads):
        each.send(f"05{20000000 + number},Name,A-1\n")
    assert {each.finish().status for each in uploads} == {202}
    assert api.get(path.removesuffix("/recipients")).json["total_recipients"] == MANY + 1


def test_a_file_that_breaks_off_leaves_nothing(api: Api, path: str) -> None:
    broken = Upload(api, path)
    broken.send("phone,first_name,order_id\n0521111111,Maya,A-1\n")
    broken.connection.close()
    assert upload(api, path, "phone,first_name,order_id\n0522222222,Noa,A-2\n").json["total_recipients"] == 2


def test_a_column_with_another_name_can_be_named(api: Api, path: str) -> None:
    csv = "where,first_name,order_id\n0521111111,Maya,A-1\n"
    refused = upload(api, path, csv)
    assert refused.status == 422
    assert refused.json["errors"][0]["pointer"] == "query: phone_column"
    assert "?phone_column=NAME" in refused.json["detail"]
    assert upload(api, path, csv, "?phone_column=where").json["total_recipients"] == 2


def test_a_file_without_one_good_row_is_refused_with_its_lines(api: Api, path: str) -> None:
    refused = upload(api, path, "phone,first_name,order_id\n12,Maya,A-1\n0521111111,,A-2\n")
    assert refused.status == 422
    assert refused.json["errors"] == [
        {"pointer": "line 2", "detail": "not a phone number"},
        {"pointer": "line 3", "detail": "no value for first_name"},
    ]
    shown = api.get(path.removesuffix("/recipients")).json
    assert (shown["total_recipients"], shown["rejected_count"]) == (1, 0)


@pytest.mark.parametrize("csv", ["", "phone,first_name,order_id\n", "a,b\n1,2\n", "%PDF-1.7", "phone,order_id\n"])
def test_what_is_no_list_is_refused(api: Api, path: str, csv: str) -> None:
    assert upload(api, path, csv).status == 422


def test_numbers_and_nulls_of_a_list_stop_nobody_else(api: Api, path: str) -> None:
    rows = [
        {"phone": 521111111, "variables": {"first_name": "Maya", "order_id": 17}},
        {"phone": "0522222222", "variables": {"first_name": None, "order_id": 18}},
    ]
    added = api.post(path, {"recipients": rows}).json
    assert (added["total_recipients"], added["rejected_count"]) == (2, 1)
    assert added["rejected"] == [{"row": 2, "phone": "0522222222", "reason": "no value for first_name"}]
    maya = api.get(path).json["items"][1]
    assert (maya["phone"], maya["variables"]["order_id"]) == ("+972521111111", "17")


def test_only_a_list_may_be_larger_than_other_bodies(api: Api) -> None:
    large = b"x" * (33 * 1024 * 1024)
    assert api.call("POST", "/api/whatsapp/broadcasts", large, content_type="text/csv").status == 413


def test_json_lines_are_taken_in_and_bad_ones_come_back_with_their_line(api: Api, path: str) -> None:
    good = '{"phone": "0521111111", "variables": {"first_name": "Dana", "order_id": 7}}'
    answer = api.call(
        "POST", f"/api/whatsapp{path}", f"{good}\nnonsense\n{good}\n".encode(), content_type="application/x-ndjson"
    )
    assert answer.status == 202
    assert answer.json["total_recipients"] == 2
    assert [(item["row"], item["phone"]) for item in answer.json["rejected"]] == [(2, ""), (3, "0521111111")]
    assert answer.json["rejected"][1]["reason"] == "duplicate"


def test_json_lines_without_one_good_line_are_refused_by_line(api: Api, path: str) -> None:
    answer = api.call("POST", f"/api/whatsapp{path}", b"nonsense\n", content_type="application/x-ndjson")
    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"] == "line 1"


def test_a_text_that_a_spreadsheet_would_run_is_exported_as_a_text(api: Api, clarion: Engine, path: str) -> None:
    formula = '=HYPERLINK("http://evil.example")'
    clarion.execute(
        "UPDATE whatsapp_broadcast_recipients SET status = 'failed', error_message = %(text)s, error_code = -1",
        text=formula,
    )
    row = next(csv.DictReader(io.StringIO(api.get(f"{path}.csv").body.decode())))
    assert (row["phone"], row["error_message"], row["error_code"]) == ("+972501234567", f"'{formula}", "-1")
