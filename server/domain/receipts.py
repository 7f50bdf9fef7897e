"""The receipt of a broadcast: numbers that must agree, the chain of its history, and a signature over all of it. Pure.

Signed is the whole document but `signature`, as canonical JSON (RFC 8785), with Ed25519 (RFC 8032). Whoever has the
public key checks a receipt without Clarion's database; docs/receipt.md says what it proves and what it does not.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from server.domain.errors import BadInput
from server.domain.history import break_in
from server.domain.states import FINAL

FORMAT: Final = "clarion-receipt-1"
ALGORITHM: Final = "Ed25519"


class Check(NamedTuple):
    """Two numbers of a receipt that must be the same, each with what it counts."""

    name: str
    left: str
    left_count: int
    right: str
    right_count: int

    @property
    def holds(self) -> bool:
        """Whether they are."""
        return self.left_count == self.right_count

    def as_json(self) -> dict[str, Any]:
        """As the receipt has it."""
        return {**self._asdict(), "holds": self.holds}

    def difference(self) -> str:
        """What is wrong, in a sentence."""
        return f"{self.name}: {self.left} {self.left_count:,}, {self.right} {self.right_count:,}."


_COUNTED: Final = {
    "sent_count": ("sent", "delivered", "read"),
    "delivered_count": ("delivered", "read"),
    "read_count": ("read",),
    "failed_count": ("failed",),
    "cancelled_count": ("cancelled",),
    "skipped_count": ("skipped",),
    "unknown_count": ("unknown",),
    "processed_count": ("sent", "delivered", "read", "failed", "cancelled", "skipped"),
}


def checks_of(counts: Mapping[str, Any]) -> list[Check]:
    """What must agree in the counts of a receipt. Raises `KeyError` or `TypeError` where a count is missing or none."""
    row, people, attempts = counts["counters"], counts["recipients"], counts["attempts"]
    messages, statuses = counts["messages"], counts["statuses"]
    by_status = people["by_status"]
    accepted = sum(by_status[status] for status in _COUNTED["sent_count"])
    checks = [
        Check("audience", "people on the list", row["total_recipients"], "recipients", people["count"]),
        Check("phones", "recipients", people["count"], "different phones", people["different_phones"]),
        Check("rows", "recipients", people["count"], "recipients by status", sum(by_status.values())),
        *(
            Check(name, "the counter says", row[name], "the recipients say", sum(by_status[status] for status in which))
            for name, which in _COUNTED.items()
        ),
        Check("attempts", "attempts that were counted", attempts["count"], "attempts with an end",
              sum(attempts["ended"].values())),
        Check("attempts of each", "recipients whose own attempts do not add up", attempts["unexplained"], "allowed", 0),
        Check("message ids", "accepted recipients", accepted, "with a message id, settled by hand or adopted",
              messages["with_id"] + messages["without_id_settled_by_hand"] + messages["without_id_adopted"]),
        Check("different message ids", "message ids", messages["ids"], "different ones", messages["different_ids"]),
        Check("unknowns", "recipients by status", by_status["unknown"], "people who are unknown", counts["unknowns"]),
        Check("doubles", "people with more than one accepted message", counts["doubles"], "allowed", 0),
    ]  # fmt: skip
    if statuses["are_all_kept"]:
        delivered = sum(by_status[status] for status in _COUNTED["delivered_count"])
        told = statuses["delivered_with_a_report"]
        checks.append(Check("statuses", "delivered recipients", delivered, "with a report of WhatsApp", told))
    return checks


# --- keys and signatures


def public_text(key: Ed25519PublicKey) -> str:
    """A public key as it is given out: its 32 bytes in base64."""
    return base64.b64encode(key.public_bytes_raw()).decode()


def fingerprint(public_key: str) -> str:
    """What people compare: the SHA-256 of a public key. Raises `ValueError` where it is none."""
    return "SHA256:" + hashlib.sha256(_read_base64(public_key, 32)).hexdigest()


def named(key: Ed25519PrivateKey) -> dict[str, str]:
    """What a receipt says of the key that signs it."""
    public_key = public_text(key.public_key())
    return {"algorithm": ALGORITHM, "public_key": public_key, "fingerprint": fingerprint(public_key)}


def sign(receipt: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The receipt with its signature."""
    unsigned = {**receipt, "key": named(key)}
    return {**unsigned, "signature": base64.b64encode(key.sign(rfc8785.dumps(unsigned))).decode()}


def read(text: str | bytes) -> dict[str, Any]:
    """A receipt from its file. Raises `BadInput` where it is none, or says anything twice."""
    try:
        receipt = json.loads(text, object_pairs_hook=_each_once)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"This is no receipt: {error}.") from error
    if not isinstance(receipt, dict) or receipt.get("format") != FORMAT:
        raise BadInput(f'This is no receipt of a kind that is known here: its "format" should be "{FORMAT}".')
    return receipt


def differences(receipt: Mapping[str, Any], public_key: str | None = None) -> list[str]:
    """Everything that does not hold in a receipt, in plain words; nothing where it does.

    public_key: whose signature it must be, in base64; None takes the key that the receipt names.
    """
    return [*_of_signature(receipt, public_key), *_of_content(receipt)]


def _of_signature(receipt: Mapping[str, Any], public_key: str | None) -> Iterator[str]:
    key, unsigned = receipt.get("key"), {name: value for name, value in receipt.items() if name != "signature"}
    if not isinstance(key, Mapping):
        yield "It names no key."
        return
    if public_key is not None and key.get("public_key") != public_key.strip():
        yield "It is signed with another key than the one given."
    try:
        own = str(key.get("public_key"))
        if key.get("fingerprint") != fingerprint(own):
            yield "The fingerprint in it is not that of its key."
        signature = _read_base64(receipt.get("signature"), 64)
        Ed25519PublicKey.from_public_bytes(_read_base64(own, 32)).verify(signature, rfc8785.dumps(unsigned))
    except InvalidSignature:
        yield "The signature does not fit: something in it was changed after it was signed."
    except (ValueError, TypeError, RecursionError) as error:
        yield f"The signature cannot be checked: {error}."


def _of_content(receipt: Mapping[str, Any]) -> Iterator[str]:
    try:
        for check in checks_of(receipt["counts"]):
            if not check.holds:
                yield check.difference()
        broadcast, history = receipt["broadcast"], receipt["history"]
        is_final = broadcast["status"] in FINAL and receipt["counts"]["unknowns"] == 0
        if receipt["final"] is not is_final:
            yield "final: it says something else than the status of the broadcast and its unknowns."
        if any(event["broadcast_id"] != broadcast["id"] for event in history["events"]):
            yield "history: it is that of another broadcast."
        broken = break_in(history["events"], history["head"])
        if broken is not None:
            yield f"history: {broken}."
        if len(history["events"]) != history["count"]:
            yield f"history: it is said to have {history['count']} events, and has {len(history['events'])}."
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        yield f"Something is missing in it, or is not what it should be: {error}."


def _read_base64(text: object, size: int) -> bytes:
    """So many bytes in the one form that base64 has for them, so that no character can be changed unseen."""
    if not isinstance(text, str):
        raise ValueError("a key or a signature is missing")  # noqa: TRY004 - what a file says, not a wrong call
    try:
        found = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("a key or a signature is no base64") from error
    if len(found) != size or base64.b64encode(found).decode() != text:
        raise ValueError(f"a key or a signature should be {size} bytes in base64")
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("it says something twice")
    return found
