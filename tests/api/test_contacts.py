"""Contacts over HTTP, as a client sees them."""

import pytest

from tests.api.conftest import Answer, Api

DANA = {"phone": "+972501234567", "name": "Dana", "tags": ["VIP", "north"], "attributes": {"city": "Haifa", "age": 31}}


def make(api: Api, phone: str, **fields: object) -> int:
    """A contact; its id."""
    made = api.post("/contacts", {"phone": phone, **fields})
    assert made.status == 201, made.body
    return int(made.json["id"])


def bring(api: Api, body: str, query: str = "", content_type: str = "text/csv") -> Answer:
    """A list of contacts."""
    return api.call("POST", f"/api/whatsapp/contacts/import{query}", body.encode(), content_type=content_type)


def phones(api: Api, query: str) -> list[str]:
    """The last digit of the phone of everybody that a list shows, page after page of two."""
    found: list[str] = []
    cursor = ""
    while True:
        page = api.get(f"/contacts?limit=2{query}{cursor}").json
        found += [item["phone"][-1] for item in page["items"]]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def test_a_contact_is_made_shown_changed_and_forgotten(api: Api) -> None:
    made = api.post("/contacts", {**DANA, "phone": "050-123-4567", "default_country": "IL"})
    assert made.status == 201
    expected = {"phone": "+972501234567", "name": "Dana", "tags": ["north", "vip"], "opted_out": False}
    assert {key: made.json[key] for key in expected} == expected
    assert made.json["attributes"] == {"city": "Haifa", "age": "31"}
    path = f"/contacts/{made.json['id']}"
    assert api.get(path).json == made.json

    changed = api.call(
        "PATCH", f"/api/whatsapp{path}", {"name": None, "tags": ["south"], "attributes": {"age": None, "lang": "he"}}
    ).json
    assert (changed["name"], changed["tags"]) == (None, ["south"])
    assert changed["attributes"] == {"city": "Haifa", "lang": "he"}

    assert api.call("DELETE", f"/api/whatsapp{path}").status == 204
    assert api.get(path).status == 404
    assert api.call("DELETE", f"/api/whatsapp{path}").status == 404


def test_a_phone_stands_for_one_contact_of_a_business(api: Api, other: Api) -> None:
    first = make(api, "+972501234567")
    again = api.post("/contacts", {"phone": "+972 50 123 4567"})
    assert (again.status, again.json["detail"]) == (409, f"Contact {first} has the phone +972501234567 already.")
    second = make(api, "+972501234568")
    assert api.call("PATCH", f"/api/whatsapp/contacts/{second}", {"phone": "+972501234567"}).status == 409
    make(other, "+972501234567")
    third = api.post("/contacts", {"phone": 501234569, "default_country": "IL", "attributes": {"age": 31}})
    assert (third.json["phone"], third.json["attributes"]) == ("+972501234569", {"age": "31"})


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"phone": "12"}, "/phone"),
        ({"phone": "+972501234567", "tags": ["a;b"]}, "/tags"),
        ({"phone": "+972501234567", "tags": [""]}, "/tags"),
        ({"phone": "+972501234567", "attributes": {"phone": "1"}}, "/attributes"),
        ({"phone": "+972501234567", "attributes": {"a": "x" * 3000}}, "/attributes"),
        ({"phone": "+972501234567", "name": "x" * 300}, "/name"),
        ({"phone": "+972501234567", "name": "\x00"}, "/name"),
        ({"phone": "+972501234567", "what": 1}, "/what"),
        ({"name": "Dana"}, "/phone"),
    ],
)
def test_what_cannot_be_kept_is_refused_where_it_stands(api: Api, wrong: object, pointer: str) -> None:
    refused = api.post("/contacts", wrong)
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (422, pointer)


def test_a_list_shows_those_who_meet_every_filter(api: Api) -> None:
    make(api, "+972500000001", name="Dana Levi", tags=["vip", "north"])
    second = make(api, "+972500000002", name="100% Noa", tags=["vip", "staff"])
    make(api, "+972500000003", tags=["north"])
    api.post(f"/contacts/{second}/opt-out")
    assert phones(api, "") == ["1", "2", "3"]
    assert phones(api, "&tag=VIP") == ["1", "2"]
    assert phones(api, "&tag=vip&tag=north") == ["1"]
    assert phones(api, "&tag=vip&not_tag=staff") == ["1"]
    assert phones(api, "&opted_out=true") == ["2"]
    assert phones(api, "&opted_out=false") == ["1", "3"]
    assert phones(api, "&q=dana") == ["1"]
    assert phones(api, "&q=%25") == ["2"]
    assert phones(api, "&q=050-0000003") == ["3"]
    assert phones(api, "&phone=+972500000003") == ["3"]
    assert phones(api, "&tag=nobody") == []
    for wrong in ("phone=12", "tag=", "cursor=x", "q=%00", "limit=0"):
        assert api.get(f"/contacts?{wrong}").status == 422, wrong


def test_a_page_stays_right_while_contacts_come_and_go(api: Api) -> None:
    first, *_ = [make(api, f"+97250000000{n}") for n in range(1, 6)]
    page = api.get("/contacts?limit=2").json
    api.call("DELETE", f"/api/whatsapp/contacts/{first}")
    make(api, "+972500000009")
    rest = api.get(f"/contacts?limit=500&cursor={page['next_cursor']}").json["items"]
    assert [item["phone"][-1] for item in rest] == ["3", "4", "5", "9"]


def test_a_csv_file_of_contacts_is_added_to_what_is_known(api: Api) -> None:
    make(api, "+972500000001", name="Old name", tags=["old"], attributes={"city": "Acre", "kept": "yes"})
    csv = (
        'phone,name,tags,city,"Note, long"\n'
        "0500000001,Dana,vip;North,Haifa,\n"
        '0500000002,,"a|b","Tel ""Aviv""\\n",x\n'
        "12,Nobody,,,\n"
        "0500000003,Too,many,fields,here,now\n"
        "0500000002,Noa,c,,\n"
    )
    done = bring(api, csv, "?default_country=IL&tag=newsletter")
    assert done.status == 200, done.body
    counts = {key: value for key, value in done.json.items() if key.endswith("_count")}
    assert counts == {
        "accepted_count": 3,
        "created_count": 1,
        "updated_count": 1,
        "rejected_count": 2,
        "opted_out_count": 0,
        "still_opted_out_count": 0,
    }
    assert done.json["rejected"] == [
        {"row": 4, "phone": "12", "reason": "not a phone number"},
        {"row": 5, "phone": "0500000003", "reason": "it has 6 fields, and there are 5 columns"},
    ]
    one, two = api.get("/contacts").json["items"]
    assert (one["name"], one["tags"]) == ("Dana", ["newsletter", "north", "old", "vip"])
    assert one["attributes"] == {"city": "Haifa", "kept": "yes"}
    assert (two["name"], two["tags"]) == ("Noa", ["a", "b", "c", "newsletter"])
    assert two["attributes"] == {"city": 'Tel "Aviv"\\n', "Note, long": "x"}

    again = bring(api, csv, "?default_country=IL&tag=newsletter").json
    assert (again["created_count"], again["updated_count"], again["accepted_count"]) == (0, 0, 3)


def test_columns_with_other_names_can_be_named(api: Api) -> None:
    csv = "mobile,other phone,who,groups\n+972500000001,1,Dana,vip\n"
    done = bring(api, csv, "?phone_column=mobile&name_column=who&tags_column=Groups")
    assert done.json["created_count"] == 1, done.body
    (item,) = api.get("/contacts").json["items"]
    assert (item["name"], item["tags"], item["attributes"]) == ("Dana", ["vip"], {"other phone": "1"})
    wrong = bring(api, csv, "?phone_column=mobile&name_column=nobody")
    assert (wrong.status, wrong.json["errors"][0]["pointer"]) == (422, "query: name_column")
    reserved = bring(api, "mobile,phone\n+972500000001,2\n", "?phone_column=mobile")
    assert (reserved.status, reserved.json["detail"]) == (
        422,
        'A column cannot be used: "phone" is a field of its own and cannot be an attribute. Give it another name.',
    )
    for query in ("?default_country=XX", "?tag=a;b", "?phone_column=nobody"):
        assert bring(api, "phone\n+972500000001\n", query).status == 422, query


def test_a_json_object_on_each_line_is_a_contact(api: Api) -> None:
    lines = "\n".join(
        [
            '{"phone": 972500000001, "name": "Dana", "tags": ["vip"], "city": "Haifa", "age": 31, "left": null}',
            "",
            '{"phone": "+972500000002", "attributes": {"city": "Acre"}, "tags": "a;b", "opt_out": true}',
            '{"phone": "+972500000003", "nested": {"a": 1}}',
            "not json",
            '{"phone": "+972500000004", "name": "\\u0000"}',
            '{"name": "no phone"}',
            '{"deep": ' + "[" * 50_000,
        ]
    )
    done = bring(api, lines, "?default_country=IL", "application/x-ndjson").json
    assert (done["created_count"], done["opted_out_count"]) == (2, 1)
    assert [(item["row"], item["reason"]) for item in done["rejected"]] == [
        (4, '"nested" should be a text, a number, true or false'),
        (5, "it is no JSON object in UTF-8"),
        (6, "it has a NUL character"),
        (7, "not a phone number"),
        (8, "it is no JSON object in UTF-8"),
    ]
    one, two = api.get("/contacts").json["items"]
    assert (one["attributes"], one["opted_out"]) == ({"city": "Haifa", "age": "31"}, False)
    assert (two["tags"], two["opted_out"]) == (["a", "b"], True)
    objects = bring(api, '{"contacts": [{"phone": "+972500000009"}]}', "", "application/json")
    assert objects.json["created_count"] == 1


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("", "text/csv"),
        ("phone\n12\n", "text/csv"),
        ("a,b\n1,2\n", "text/csv"),
        ("phone,mobile number\n1,2\n", "text/csv"),
        ("phone,opt out,unsubscribed\n+972500000001,no,yes\n", "text/csv"),
        ("phone no,phone,\n+972500000001,1\n", "text/csv"),
        ("", "application/x-ndjson"),
        ("[]", "application/json"),
        ('{"contacts": []}', "application/json"),
        ("\xff", "application/json"),
        ("[" * 50_000, "application/json"),
        ('{"contacts": [{"phone": "12"}]}', "application/json"),
    ],
)
def test_a_list_without_one_good_row_is_refused(api: Api, body: str, content_type: str) -> None:
    assert bring(api, body, "", content_type).status == 422
    assert api.get("/contacts").json["items"] == []


def test_a_list_may_opt_people_out_and_brings_nobody_back(api: Api) -> None:
    stopped = make(api, "+972500000001")
    api.post(f"/contacts/{stopped}/opt-out")
    csv = (
        "phone,opt_in_at,opt_in_source,opt_in_note,opt_out\n"
        "+972500000001,2026-01-01,shop,box ticked,no\n"
        "+972500000002,2026-01-01T10:00:00+02:00,shop,box ticked,\n"
        "+972500000003,,,,yes\n"
        "+972500000004,2999-01-01,,,\n"
        "+972500000005,,,,maybe\n"
    )
    done = bring(api, csv).json
    assert (done["opted_out_count"], done["still_opted_out_count"]) == (1, 1)
    assert [item["reason"] for item in done["rejected"]] == [
        '"2999-01-01" lies in the future',
        '"maybe" is neither yes nor no',
    ]
    assert phones(api, "&opted_out=true") == ["1", "3"]
    (second,) = api.get("/contacts?phone=+972500000002").json["items"]
    (proof,) = api.get(f"/contacts/{second['id']}/consents").json["items"]
    assert (proof["wish"], proof["source"], proof["note"], proof["at"]) == (
        "start", "shop", "box ticked", "2026-01-01T08:00:00Z",
    )  # fmt: skip
    assert bring(api, csv).json["opted_out_count"] == 0


def test_an_opt_out_and_an_opt_in_are_kept_with_their_proof(api: Api) -> None:
    contact = make(api, "+972500000001")
    path = f"/contacts/{contact}"
    out = api.post(f"{path}/opt-out", {"source": "phone call", "note": "asked twice"})
    assert (out.status, out.json["opted_out"], out.json["opted_out_reason"]) == (200, True, "phone call")
    back = api.post(f"{path}/opt-in", {"ip": "203.0.113.7", "message_id": "wamid.1"}).json
    assert (back["opted_out"], back["opted_out_at"]) == (False, None)
    newest, oldest = api.get(f"{path}/consents").json["items"]
    assert (newest["wish"], newest["ip"], newest["message_id"]) == ("start", "203.0.113.7", "wamid.1")
    assert (oldest["wish"], oldest["note"], oldest["ip"]) == ("stop", "asked twice", "127.0.0.1")
    page = api.get(f"{path}/consents?limit=1").json
    rest = api.get(f"{path}/consents?limit=1&cursor={page['next_cursor']}").json
    assert (rest["items"], rest["next_cursor"]) == ([oldest], None)


def test_the_latest_wish_by_its_own_time_holds(api: Api) -> None:
    path = f"/contacts/{make(api, '+972500000001')}"
    assert api.post(f"{path}/opt-out", {"at": "2026-03-01T00:00:00Z"}).json["opted_out"]
    assert api.post(f"{path}/opt-in", {"at": "2026-02-01T00:00:00Z"}).json["opted_out"]
    assert not api.post(f"{path}/opt-in", {"at": "2026-04-01T00:00:00Z"}).json["opted_out"]
    assert not api.post(f"{path}/opt-out", {"at": "2026-03-15T00:00:00Z"}).json["opted_out"]
    assert api.post(f"{path}/opt-out", {"at": "2999-01-01T00:00:00Z"}).status == 422


def test_who_is_forgotten_stays_opted_out(api: Api) -> None:
    contact = make(api, "+972500000001", name="Dana")
    api.post(f"/contacts/{contact}/opt-out")
    assert api.call("DELETE", f"/api/whatsapp/contacts/{contact}").status == 204
    back = api.get(f"/contacts/{make(api, '+972500000001')}").json
    assert (back["name"], back["opted_out"]) == (None, True)


def test_another_business_sees_no_contact_and_changes_none(api: Api, other: Api) -> None:
    path = f"/contacts/{make(api, '+972500000001', tags=['vip'])}"
    for look in ("", "/consents", "/messages"):
        assert other.get(path + look).status == 404, look
    for move in ("/opt-out", "/opt-in"):
        assert other.post(path + move).status == 404, move
    assert other.call("PATCH", f"/api/whatsapp{path}", {"name": "x"}).status == 404
    assert other.call("DELETE", f"/api/whatsapp{path}").status == 404
    assert other.get("/contacts").json["items"] == []
    assert bring(other, "phone,opt_out\n+972500000001,yes\n").status == 200
    assert api.get(path).json["opted_out"] is False
