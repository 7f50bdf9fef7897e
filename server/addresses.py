"""Where this process finds its database, its queue and its keys: from the settings, or from the embedded servers."""

from typing import NamedTuple

from server.config import Settings
from server.domain.errors import DatabaseAway, QueueAway
from server.embedded import running_addresses
from server.secrets import Vault, key_of_data_dir


class Addresses(NamedTuple):
    """URLs as psycopg and redis-py take them."""

    database_url: str
    redis_url: str


def addresses(settings: Settings) -> Addresses:
    """The database and the queue in use. Looks at the embedded servers only where a URL is not set; starts nothing.

    Raises `DatabaseAway` or `QueueAway` where an embedded server is needed and none is running.
    """
    if settings.database_url and settings.redis_url:
        return Addresses(settings.database_url, settings.redis_url)
    running = running_addresses(settings.data_dir)
    database_url = settings.database_url or (running.database_url if running else None)
    redis_url = settings.redis_url or (running.redis_url if running else None)
    if not database_url:
        raise DatabaseAway(f"No database is running in {settings.data_dir}. Start Clarion with `clarion up`.")
    if not redis_url:
        raise QueueAway(f"No queue is running in {settings.data_dir}. Start Clarion with `clarion up`.")
    return Addresses(database_url, redis_url)


def vault(settings: Settings) -> Vault:
    """What encrypts stored tokens: by CLARION_SECRET_KEY, or by the key that the data folder keeps."""
    return Vault(settings.secret_keys or (key_of_data_dir(settings.data_dir),))
