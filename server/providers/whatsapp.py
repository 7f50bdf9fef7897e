"""The Cloud API over HTTP: one call to send, which ends in one `Outcome`, and the few look-ups that sending needs.

Sending twice is the one mistake that cannot be taken back, so the question of every failed call is whether the request
may have been taken. The HTTP library's exception classes do not answer it: its `ConnectError` and
`ConnectTimeoutError` are raised as well when the request was read and only the answer is missing. Its list of causes
does: a cause that says `client error (Connect)` comes from making the connection (hyper-util gives it to nothing that
happens once a connection has the request), and on a connection that was never made no byte of a request can have left.
Everything else without an answer is `Ambiguous`. tests/providers/ asks every kind of server that misbehaves; were the
words to change, all would be ambiguous: the safe side.

One rule is stricter than Meta's table. There, a 5xx without JSON is retried. But the gateway that answers 502 or 504
may have passed the request on, so a 5xx that does not carry WhatsApp's own error is `Ambiguous` here.

Never retried, never redirected: a request leaves at most once for each call. Tokens are in no exception, reason or log.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import BuilderError, DetailedPyreqwestError, PoolTimeoutError, PyreqwestError
from pyreqwest.request import ConsumedRequest, RequestBody
from pyreqwest.response import Response

from server.domain.errors import ProviderAway, ProviderRefuses
from server.domain.meanings import explain_stop
from server.domain.outcomes import Accepted, Ambiguous, NeverLeft, Outcome, Refused
from server.domain.sentences import said
from server.providers.wire import (
    AppPage,
    BareErrorBody,
    ErrorBody,
    GraphError,
    PhoneNumberNode,
    PhoneNumberPage,
    SendResponse,
    TemplateNode,
    TemplatePage,
    details_of,
)

T = TypeVar("T")

_NOT_CONNECTED: Final = "client error (Connect)"
_HELD: Final = frozenset({"held_for_quality_assessment", "paused"})
# Meta may ask for a longer wait than this; asking again in an hour does no harm, and a wrong header none for ever.
_LONGEST_RETRY_AFTER_SECONDS: Final = 3_600.0
_LONGEST_TEXT: Final = 500
_MOST_REQUESTS_KEPT: Final = 256
_MOST_PAGES: Final = 1_000
# Servers close connections that were idle for a while. One that closes while a request is on its way makes a person
# `unknown`, so connections are given up before that is likely.
_IDLE_SECONDS: Final = 15.0

_decode_sent: Final = msgspec.json.Decoder(SendResponse).decode
_decode_error: Final = msgspec.json.Decoder(ErrorBody, strict=False).decode
_decode_bare_error: Final = msgspec.json.Decoder(BareErrorBody, strict=False).decode
# Not only msgspec's own errors: text that is not UTF-8 is a ValueError, and nesting without end a RecursionError.
_NOT_DECODED: Final = (ValueError, RecursionError)

_TEMPLATE_FIELDS: Final = (
    "id,name,language,status,category,components,parameter_format,quality_score,rejected_reason,previous_category,"
    "correct_category,message_send_ttl_seconds,last_updated_time,sub_category"
)
_PHONE_NUMBER_FIELDS: Final = (
    "id,display_phone_number,verified_name,quality_rating,name_status,status,code_verification_status,platform_type,"
    "account_mode,throughput,whatsapp_business_manager_messaging_limit,health_status"
)


class WhatsAppClient:
    """The Cloud API of one base URL. An async context manager: its connections belong to the loop that entered it.

    base_url: such as `https://graph.facebook.com`; a loopback address (`is_local`) is reached without the environment's
    proxy.
    api_version: such as `v25.0`. request_timeout_seconds: from connecting to the last byte of the answer.
    connect_timeout_seconds: name look-up, connection and TLS together; kept below half of the whole, because a request
    that runs out of time altogether is ambiguous, and one that could not connect is not.
    """

    def __init__(
        self,
        base_url: str,
        api_version: str,
        *,
        connect_timeout_seconds: float = 5.0,
        request_timeout_seconds: float = 30.0,
    ) -> None:
        self._root = f"{base_url.rstrip('/')}/{quote(api_version, safe='')}"
        self.is_local = _is_loopback(urlsplit(base_url).hostname or "")
        self._request_timeout_seconds = request_timeout_seconds
        self._connect_timeout_seconds = min(connect_timeout_seconds, request_timeout_seconds / 2)
        self._open: Client | None = None
        self._requests: dict[tuple[str, str], ConsumedRequest] = {}

    async def __aenter__(self) -> Self:
        builder = (
            ClientBuilder()
            .user_agent("clarion")
            .follow_redirects(False)
            .connect_timeout(timedelta(seconds=self._connect_timeout_seconds))
            .timeout(timedelta(seconds=self._request_timeout_seconds))
            .pool_idle_timeout(timedelta(seconds=_IDLE_SECONDS))
            .gzip(False)  # answers are a few hundred bytes
            .brotli(False)
            .zstd(False)
            .deflate(False)
        )
        if self.is_local:
            builder = builder.no_proxy()
        self._open = builder.build()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._requests.clear()
        if self._open is not None:
            await self._open.close()

    async def send(self, phone_number_id: str, token: str, body: bytes) -> Outcome:
        """Ask WhatsApp once to send one message, and say what became of it. Never raises for trouble on the way.

        body: the JSON of `POST /{phone_number_id}/messages`.
        A send that is cancelled raises `CancelledError` like any other task; its caller must count it as `Ambiguous`.
        """
        try:
            # A copy of a finished request costs a third less than building it again: URL, headers and token stay.
            request = (self._requests.get((phone_number_id, token)) or self._prepare(phone_number_id, token)).copy()
            request.body = RequestBody.from_bytes(body)
        except ValueError as error:
            return NeverLeft(said("the request could not be built: %(why)s", why=error))
        try:
            response = await request.send()
            answer = await response.bytes()
        except PyreqwestError as error:
            return _without_answer(error)
        if 200 <= response.status < 300:
            try:
                message = _decode_sent(answer).messages[0]
            except (*_NOT_DECODED, IndexError):
                pass
            else:
                return _accepted(message.id, message.message_status)
        return _not_accepted(response.status, bytes(answer), response)

    async def list_templates(self, waba_id: str, token: str) -> list[TemplateNode]:
        """Every template of a WhatsApp Business Account, in every language and state.

        Raises `ProviderAway` where WhatsApp does not answer (`ProviderRefuses` where it does, and refuses), or the list
        does not end.
        """
        templates: list[TemplateNode] = []
        query = {"fields": _TEMPLATE_FIELDS, "limit": "100"}
        seen: set[str] = set()
        for _ in range(_MOST_PAGES):
            page = await self._get(f"{quote(waba_id, safe='')}/message_templates", query, token, TemplatePage)
            templates += page.data
            after = _next_cursor(page)
            if after is None:
                return templates
            if after in seen:
                break
            seen.add(after)
            query["after"] = after
        raise ProviderAway("WhatsApp's list of templates does not end. Try again later.")

    async def phone_number(self, phone_number_id: str, token: str) -> PhoneNumberNode:
        """The number that sends, with its `health_status`. Raises `ProviderAway`, as `list_templates` does."""
        return await self._get(
            quote(phone_number_id, safe=""), {"fields": _PHONE_NUMBER_FIELDS}, token, PhoneNumberNode
        )

    async def numbers_of(self, waba_id: str, token: str) -> Sequence[str] | None:
        """The ids of an account's numbers; None where it has more than one page of them. Raises `ProviderAway`."""
        query = {"fields": "id", "limit": "100"}
        page = await self._get(f"{quote(waba_id, safe='')}/phone_numbers", query, token, PhoneNumberPage)
        if page.paging is not None and page.paging.next:
            return None
        return [node.id for node in page.data]

    async def has_subscribers(self, waba_id: str, token: str) -> bool:
        """Whether an account tells any app of its events. Raises `ProviderAway`."""
        return bool((await self._get(f"{quote(waba_id, safe='')}/subscribed_apps", {}, token, AppPage)).data)

    def _client(self) -> Client:
        if self._open is None:
            raise RuntimeError("WhatsAppClient is used before `async with`")
        return self._open

    def _prepare(self, phone_number_id: str, token: str) -> ConsumedRequest:
        """The request that all sends of a number are copies of. Raises ValueError where it cannot be one."""
        if len(self._requests) >= _MOST_REQUESTS_KEPT:
            self._requests.clear()
        request = (
            self._client()
            .post(f"{self._root}/{quote(phone_number_id, safe='')}/messages")
            .header("authorization", f"Bearer {token}", is_sensitive=True)
            .header("content-type", "application/json")
            .build()
        )
        self._requests[phone_number_id, token] = request
        return request

    async def _get(self, path: str, query: Mapping[str, str], token: str, kind: type[T]) -> T:
        try:
            request = self._client().get(f"{self._root}/{path}").query(query)
            response = await request.header("authorization", f"Bearer {token}", is_sensitive=True).build().send()
            answer = bytes(await response.bytes())
        except PyreqwestError as error:
            raise ProviderAway(
                said("WhatsApp cannot be reached: %(why)s.", why=_without_answer(error).reason)
            ) from None
        except ValueError as error:
            raise ProviderAway(said("The request to WhatsApp could not be built: %(why)s.", why=error)) from None
        if 200 <= response.status < 300:
            try:
                return msgspec.json.decode(answer, type=kind, strict=False)
            except _NOT_DECODED as error:
                raise ProviderAway(said("WhatsApp's answer could not be read: %(why)s", why=error)) from None
        match _not_accepted(response.status, answer, response):
            case Refused() as refusal:
                raise ProviderRefuses(explain_stop(refusal), refusal)
            case Ambiguous(reason=reason):
                raise ProviderAway(said("WhatsApp is away: %(why)s.", why=reason))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _accepted(message_id: str, status: str | None) -> Accepted | Ambiguous:
    if not message_id or "\x00" in message_id:
        return Ambiguous(said("WhatsApp answered that it took the message, but gave it no id"))
    return Accepted(message_id, status in _HELD)


def _without_answer(error: PyreqwestError) -> NeverLeft | Ambiguous:
    """Whether a request that got no answer can have been taken: only a connection that was never made says no."""
    causes = [cause["message"] for cause in _causes(error)]
    # The first cause names the URL; the last says what it was.
    why = causes[-1] if len(causes) > 1 else error.message
    if isinstance(error, (BuilderError, PoolTimeoutError)):
        return NeverLeft(said("the request was not started: %(why)s", why=why))
    if _NOT_CONNECTED in causes:
        return NeverLeft(said("no connection could be made: %(why)s", why=why))
    return Ambiguous(said("the request went out and no whole answer came back: %(why)s", why=why))


def _causes(error: PyreqwestError) -> list[Any]:
    return list(error.details.get("causes") or []) if isinstance(error, DetailedPyreqwestError) else []


def _not_accepted(status: int, answer: bytes, response: Response) -> Refused | Ambiguous:
    """What an answer means that is no acceptance. An error of WhatsApp's own counts, whatever the HTTP status is."""
    error = _graph_error(answer)
    if error is None or error.code is None:
        if status >= 500:
            return Ambiguous(said("HTTP %(status)s without an error of WhatsApp's own", status=status))
        if status < 300:
            return Ambiguous(said("HTTP %(status)s with an answer that cannot be read", status=status))
        error = error or GraphError()
    return Refused(
        error.code,
        _text(error.message),
        status,
        subcode=error.error_subcode,
        details=_text(details_of(error)),
        retry_after_seconds=_retry_after_seconds(response),
        is_transient=bool(error.is_transient),
        trace_id=_text(error.fbtrace_id),
    )


def _graph_error(answer: bytes) -> GraphError | None:
    try:
        return _decode_error(answer).error
    except _NOT_DECODED:
        pass
    try:
        return GraphError(code=_decode_bare_error(answer).error.code)
    except _NOT_DECODED:
        return None


def _text(said: str | None) -> str:
    """Somebody else's words, of a length and kind that a row can keep."""
    return (said or "")[:_LONGEST_TEXT].replace("\x00", "")


def _retry_after_seconds(response: Response) -> float | None:
    """The wait that Meta asks for: `Retry-After` in seconds, or the minutes of its usage headers, the longer one."""
    waits = [float(after)] if (after := response.get_header("retry-after") or "").isdecimal() else []
    if usage := response.get_header("x-business-use-case-usage"):
        waits += (minutes * 60.0 for minutes in _minutes_to_regain_access(usage))
    longest = max(waits, default=0.0)
    return min(longest, _LONGEST_RETRY_AFTER_SECONDS) if longest > 0 else None


def _minutes_to_regain_access(usage: str) -> Iterator[float]:
    """From `{"<waba_id>": [{"estimated_time_to_regain_access": 5, …}]}`; anything else is as if it were not there."""
    try:
        by_account = msgspec.json.decode(usage, type=dict[str, list[dict[str, Any]]])
    except _NOT_DECODED:
        return
    for entries in by_account.values():
        for entry in entries:
            minutes = entry.get("estimated_time_to_regain_access")
            if isinstance(minutes, int | float):
                yield min(minutes, _LONGEST_RETRY_AFTER_SECONDS)


def _next_cursor(page: TemplatePage) -> str | None:
    """Where the next page begins; None on the last. The `next` URL itself is not followed: it may hold a token."""
    if page.paging is None or not page.paging.next:
        return None
    if page.paging.cursors is not None and page.paging.cursors.after:
        return page.paging.cursors.after
    after = parse_qs(urlsplit(page.paging.next).query).get("after")
    if not after:
        # Half a list must not pass for a whole one: what is not in it would count as deleted.
        raise ProviderAway("WhatsApp's list of templates goes on, but does not say where. Try again later.")
    return after[0]
