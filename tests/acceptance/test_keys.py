"""Keys by the command line, and whether the wall between businesses stands."""

import json

from psycopg import connect

from tests.support.clarion import Clarion


def test_a_key_is_made_listed_and_revoked(clarion: Clarion) -> None:
    made = clarion.run("api-key", "create", "--business", "Acme", "--name", "shop", "--scope", "read", "--json")
    assert made.code == 0, made.stderr
    assert made.json["scope"] == "read"
    listed = clarion.run("api-key", "list", "--business", "Acme")
    assert "shop" in listed.stdout
    assert made.json["api_key"] not in listed.stdout
    assert "+00:00" not in listed.stdout  # instants to the minute, as in every list
    number = str(made.json["id"])
    assert clarion.run("api-key", "revoke", number, "--business", "Acme").code == 0
    assert "shop" not in clarion.run("api-key", "list", "--business", "Acme").stdout
    again = clarion.run("api-key", "revoke", number, "--business", "Acme")
    assert (again.code != 0, again.stderr.strip()) == (True, f"Error: There is no key {number}.")


def test_a_scope_that_there_is_not_is_refused(clarion: Clarion) -> None:
    done = clarion.run("api-key", "create", "--business", "Acme", "--name", "shop", "--scope", "owner")
    assert done.code == 2
    assert "owner" in done.stderr
    assert "Value error" not in done.stderr


def test_the_doctor_finds_a_hole_in_the_wall(clarion: Clarion) -> None:
    def found() -> dict[str, str]:
        (item,) = [item for item in json.loads(clarion.run("doctor", "--json").stdout) if item["what"] == "businesses"]
        return dict(item)

    assert found()["found"] == "kept apart"
    with connect(clarion.database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE templates DISABLE ROW LEVEL SECURITY")
        assert (found()["state"], found()["found"]) == ("wrong", "no policy guards templates")
        connection.execute("ALTER TABLE templates ENABLE ROW LEVEL SECURITY")
