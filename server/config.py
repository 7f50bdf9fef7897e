"""Every setting, read once from the environment or `.env`, checked at the start.

Nothing below the doors reads the environment. `.env.example` and docs/configuration.md are written from this class;
a test compares them.
"""

import os
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from platformdirs import user_data_path
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from server.domain.errors import BadInput

LogFormat = Literal["auto", "console", "json"]
UnknownPolicy = Literal["evidence", "assume_failed", "resend"]

MEGABYTE = 1024 * 1024


class Settings(BaseSettings):
    """Clarion's settings. Durations are in seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix="CLARION_", env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True
    )

    database_url: Annotated[
        str, Field(validation_alias="DATABASE_URL", description="your own PostgreSQL; empty: an embedded one")
    ] = ""
    redis_url: Annotated[
        str, Field(validation_alias="REDIS_URL", description="your own Valkey or Redis; empty: an embedded one")
    ] = ""
    data_dir: Annotated[Path, Field(description="embedded servers and generated keys")] = user_data_path("clarion")
    secret_key: Annotated[
        str,
        Field(
            description="signs sessions and encrypts stored tokens; a comma-separated list rotates keys, newest first; "
            "generated into the data folder when embedded, required with an own DATABASE_URL"
        ),
    ] = ""

    graph_api_url: Annotated[str, Field(description="base of the Cloud API")] = "https://graph.facebook.com"
    graph_api_version: Annotated[
        str, Field(pattern=r"^v\d+\.\d+$", description="version of the Cloud API, such as v25.0")
    ] = "v25.0"

    host: Annotated[str, Field(min_length=1, description="address the web process listens on")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="port the web process listens on; 0 takes a free one")] = (
        8000
    )
    workers: Annotated[int, Field(ge=1, le=64, description="RQ workers that `up` starts")] = 2
    only_business: Annotated[
        int,
        Field(
            ge=0,
            description="number of the one business whose broadcasts this process starts and runs, as the worker and "
            "the steward of a `send` do; 0: all",
        ),
    ] = 0
    log_format: Annotated[LogFormat, Field(description="console or json; auto: console on a terminal, else json")] = (
        "auto"
    )

    batch_size: Annotated[int, Field(ge=1, le=5_000, description="recipients claimed in one transaction, at most")] = (
        500
    )
    throttle_ms: Annotated[
        int, Field(ge=0, le=60_000, description="least milliseconds between two messages of a broadcast; 0: none")
    ] = 0
    max_runtime_seconds: Annotated[
        int, Field(ge=5, le=1_700, description="seconds after which a run hands over to the next; RQ kills at 1800")
    ] = 1_500
    max_attempts: Annotated[int, Field(ge=1, le=20, description="requests for one recipient, at most")] = 5
    max_batch_failures: Annotated[
        int, Field(ge=1, le=10_000, description="consecutive recipients failing alike before the broadcast pauses")
    ] = 5
    max_concurrency: Annotated[int, Field(ge=1, le=4_096, description="requests in flight of one run, at most")] = 1_024
    lease_seconds: Annotated[
        int, Field(ge=2, le=300, description="a runner that has not renewed its lease for so long is taken for dead")
    ] = 10
    steward_interval_seconds: Annotated[int, Field(ge=1, le=60, description="how often the steward looks")] = 2
    unknown_grace_seconds: Annotated[
        int, Field(ge=0, le=604_800, description="how long an unknown recipient waits for a status at least")
    ] = 900
    unknown_max_wait_seconds: Annotated[
        int, Field(ge=0, le=2_592_000, description="how long an unknown recipient waits for evidence at most")
    ] = 21_600
    bulk_starts_per_minute: Annotated[
        int, Field(ge=1, le=10_000, description="broadcasts a business may start in a minute")
    ] = 60
    calls_per_minute: Annotated[
        int,
        Field(ge=1, le=1_000_000, description="changing calls (POST, PATCH, PUT, DELETE) a minute for each API key"),
    ] = 600
    request_timeout_seconds: Annotated[
        float, Field(ge=1, le=120, description="how long one send may take before it counts as unanswered")
    ] = 30.0
    webhooks_allow_private: Annotated[
        bool, Field(description="let events go to http:// and to addresses of this machine and its network, too")
    ] = False
    webhooks_timeout_seconds: Annotated[
        float, Field(ge=1, le=30, description="how long a receiver of events may take to answer")
    ] = 10.0

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, value: str) -> str:
        if value and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("it should be a URL like postgresql://user:password@host:5432/clarion")
        return value

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("it should be a URL like redis://host:6379/0")
        return value

    @field_validator("graph_api_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise ValueError("it should be a URL like https://graph.facebook.com")
        return value.rstrip("/")

    @field_validator("data_dir")
    @classmethod
    def _is_absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @model_validator(mode="after")
    def _agree(self) -> "Settings":
        if self.unknown_max_wait_seconds < self.unknown_grace_seconds:
            raise ValueError(
                f"CLARION_UNKNOWN_MAX_WAIT_SECONDS is {self.unknown_max_wait_seconds}; it should be at least "
                f"CLARION_UNKNOWN_GRACE_SECONDS, which is {self.unknown_grace_seconds}."
            )
        if self.database_url and not self.secret_key:
            raise ValueError(
                "CLARION_SECRET_KEY is empty; it should be a long random string, "
                "because with an own DATABASE_URL every process must share it."
            )
        return self

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """The keys, newest first."""
        return tuple(key.strip() for key in self.secret_key.split(",") if key.strip())


def variable_name(field: str) -> str:
    """The environment variable of a field of `Settings`."""
    alias = Settings.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"CLARION_{field.upper()}"


def _should_be(field: str, error: dict[str, Any]) -> str:
    """What the value should have been, in words."""
    info = Settings.model_fields[field]
    bounds = {type(part).__name__: part for part in info.metadata}
    low, high = getattr(bounds.get("Ge"), "ge", None), getattr(bounds.get("Le"), "le", None)
    if info.annotation in (int, float) and low is not None and high is not None:
        kind = "a whole number" if info.annotation is int else "a number"
        return f"it should be {kind} from {low} to {high}"
    if info.annotation is bool:
        return "it should be true or false"
    if error["type"] == "literal_error":
        return f"it should be {error['ctx']['expected']}".replace("'", "")
    if error["type"] == "string_pattern_mismatch":
        return "it should look like v25.0"
    return str(error["msg"]).removeprefix("Value error, ")


def explain(error: ValidationError) -> str:
    """The first thing wrong, in one line that names the variable, what it is and what it should be."""
    first: dict[str, Any] = dict(error.errors()[0])
    if not first["loc"]:
        return str(first["msg"]).removeprefix("Value error, ")
    named = str(first["loc"][0])
    field = next((name for name in Settings.model_fields if named in (name, variable_name(name))), named)
    return f'{variable_name(field)} is "{first["input"]}"; {_should_be(field, first)}.'


@cache
def settings() -> Settings:
    """The settings of this process.

    Raises `BadInput` with one line where a value is wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise BadInput(explain(error)) from error


def export(**values: str) -> None:
    """Hand values to the processes this one starts, through their environment, and to this process's own settings."""
    os.environ.update(values)
    settings.cache_clear()
