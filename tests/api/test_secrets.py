"""What is secret is in no answer, file or log: tokens are planted, things go wrong, and everything is searched."""

from pathlib import Path

from tests.api.conftest import Api, an_order
from tests.support.builders import WABA_ID
from tests.support.engine import Engine

TOKEN, APP_SECRET, VERIFY_TOKEN = "planted-token-5e1c", "planted-secret-77aa", "planted-verify-90bd"
PLANTED = (TOKEN, APP_SECRET, VERIFY_TOKEN)
SECRETS = {"token": TOKEN, "app_secret": APP_SECRET, "verify_token": VERIFY_TOKEN}
PATHS = (
    "/channels", "/channels/{channel}", "/broadcasts", "/broadcasts/{broadcast}", "/broadcasts/{broadcast}/recipients",
    "/broadcasts/{broadcast}/recipients.csv", "/broadcasts/{broadcast}/recipients/1", "/broadcasts/{broadcast}/history",
    "/broadcasts/{broadcast}/preflight", "/broadcasts/{broadcast}/preview?phone=%2B972501234567",
    "/broadcasts/{broadcast}/unknowns", "/broadcasts/{broadcast}/receipt", "/templates", "/business", "/api-keys",
    "/contacts",
)  # fmt: skip


def test_planted_secrets_are_nowhere_to_be_read(api: Api, clarion: Engine, tmp_path: Path) -> None:
    number = {"phone_number_id": "990000000000001", "waba_id": WABA_ID, **SECRETS}
    made = api.post("/channels", number)
    assert made.status == 201, made.json
    channel = made.json["id"]
    clarion.simulator.order("code", code=190, times=None)
    sent = api.post("/broadcasts", an_order(channel_id=channel))
    assert sent.status == 202, sent.json
    broadcast = sent.json["id"]
    clarion.start("worker")
    clarion.until_row(broadcast, lambda row: row["status"] in {"paused", "failed"})

    answers = [made, sent, *(api.get(path.format(channel=channel, broadcast=broadcast)) for path in PATHS)]
    # What is refused is not said back.
    answers.append(api.call("PATCH", f"/api/whatsapp/channels/{channel}", {**SECRETS, "rate_per_second": "fast"}))
    answers.append(api.post("/channels", {**number, "waba_id": "no number"}))
    answers.append(api.call("GET", "/metrics"))
    told = {str(number): answer.body.decode() for number, answer in enumerate(answers)}
    told |= {"the engine's log": clarion.logs(), "the web's log": (tmp_path / "web.log").read_text()}
    told["the key"] = told["the engine's log"] + told["the web's log"]
    assert not [where for where, said in told.items() for secret in PLANTED if secret in said]
    assert api.key not in told["the key"]
    assert {answer.status for answer in answers} <= {200, 201, 202, 404, 422}
