"""Secrets at rest: stored tokens are encrypted, API keys are only hashed.

MultiFernet rotates: the first key of `CLARION_SECRET_KEY` encrypts, every key decrypts.
"""

import base64
import hashlib
import secrets as random_source
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from server.domain.errors import BadInput

API_KEY_PREFIX = "clr_"
_KEY_FILE = "secret.key"


class Vault:
    """Encrypts what must be read back: tokens, app secrets."""

    def __init__(self, keys: Sequence[str]) -> None:
        # Any string may be a key: its SHA-256 is the 32 bytes that Fernet wants.
        self._fernet = MultiFernet(
            [Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest())) for key in keys]
        )

    def encrypt(self, secret: str) -> str:
        """The secret as it may be stored."""
        return self._fernet.encrypt(secret.encode()).decode()

    def decrypt(self, stored: str) -> str:
        """The secret again. Raises `BadInput` where none of the keys fits."""
        try:
            return self._fernet.decrypt(stored.encode()).decode()
        except InvalidToken as error:
            raise BadInput(
                "A stored token cannot be read: CLARION_SECRET_KEY is not the key it was stored with. "
                "Put the old key behind the new one, separated by a comma."
            ) from error


def new_api_key() -> str:
    """A new key: `clr_` and 256 random bits. It is shown once and never stored."""
    return API_KEY_PREFIX + random_source.token_urlsafe(32)


def hash_api_key(key: str) -> str:
    """What is stored of a key, and looked up by: equal hashes, equal keys, so no comparison leaks its progress."""
    return hashlib.sha256(key.encode()).hexdigest()


def key_of_data_dir(data_dir: Path) -> str:
    """The secret key kept in a data folder; made at first use, readable by its owner alone."""
    path = data_dir / _KEY_FILE
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        data_dir.mkdir(parents=True, exist_ok=True)
    draft = data_dir / f".{_KEY_FILE}.{random_source.token_hex(4)}"
    draft.touch(mode=0o600)
    draft.write_text(random_source.token_urlsafe(48) + "\n")
    try:
        # A link, not a rename: of two commands that start at once, the first one's key must stay.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    return path.read_text().strip()
