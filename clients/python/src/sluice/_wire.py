"""The coordinator's address: requests out, JSON answers in.

Knows the URL, the key and the transport, and nothing of leases.
"""

from __future__ import annotations

import json
from typing import Any, AsyncIterator, Dict, Mapping, NamedTuple, Optional, Protocol, Tuple, Union

import httpx

from ._errors import SluiceError, error_from
from ._transport import WireTransport

ANSWER_TIMEOUT_S = 15.0
CONNECT_TIMEOUT_S = 5.0
LINE_BYTES_MAX = 1 << 20
PATHS_MAX = 64

# What says that the coordinator itself did not answer.
AWAY_STATUSES = frozenset((502, 504))
TROUBLE = (httpx.TransportError, OSError)


class Answer(NamedTuple):
    """A whole answer."""

    status: int
    body: Any


def _plain(value: Any) -> Any:
    """What JSON does not know, but numbers and mappings of other packages are."""
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "__index__"):
        return value.__index__()
    if hasattr(value, "__float__"):
        return float(value)
    raise TypeError(f"a {type(value).__name__} cannot be sent to the coordinator")


# Raises TypeError or ValueError for what cannot be sent: called while the caller can still be told.
encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_plain).encode


class Reply(Protocol):
    """An answer whose head is here, of httpx or of our own transport."""

    @property
    def status_code(self) -> int: ...

    @property
    def stream(self) -> Any: ...

    async def aclose(self) -> None: ...


class Wire:
    """Talks to one coordinator. Belongs to the event loop it is first used on."""

    def __init__(self, url: str, api_key: Optional[str], transport: Optional[httpx.AsyncBaseTransport]) -> None:
        base, unix_path = read_address(url)
        self._base = base
        self._urls: Dict[str, httpx.URL] = {}
        self._headers = [(b"Host", base.netloc), (b"Content-Type", b"application/json")]
        if api_key:
            self._headers.append((b"Authorization", f"Bearer {api_key}".encode()))
        self._transport = transport or _transport_for(base, unix_path)
        self._heads: Dict[str, bytes] = {}

    def _head(self, method: str, path: str) -> bytes:
        """The head of a request, all but the length of its body."""
        head = self._heads.get(path)
        if head is None:
            lines = [f"{method} ".encode() + self._url(path).raw_path + b" HTTP/1.1"]
            lines += [name + b": " + value for name, value in self._headers]
            head = b"\r\n".join([*lines, b"Content-Length: "])
            if len(self._heads) < PATHS_MAX:
                self._heads[path] = head
        return head

    def _url(self, path: str) -> httpx.URL:
        url = self._urls.get(path)
        if url is None:
            url = self._base.copy_with(raw_path=(self._base.path.rstrip("/") + path).encode())
            if len(self._urls) < PATHS_MAX:
                self._urls[path] = url
        return url

    async def open(
        self, path: str, payload: Optional[str] = None, *, timeout: float = ANSWER_TIMEOUT_S
    ) -> Reply:
        """Sends a request (a POST where there is a payload, in JSON) and returns when the head of the answer is here.

        `timeout` is how long the coordinator may stay silent. The caller closes the response.
        """
        body = b"" if payload is None else payload.encode()
        method = "GET" if payload is None else "POST"
        if isinstance(self._transport, WireTransport):
            data = b"%s%d\r\n\r\n%s" % (self._head(method, path), len(body), body)
            return await self._transport.exchange(self._base.host, self._base.port or 80, data, timeout)
        request = httpx.Request(
            method,
            self._url(path),
            headers=[*self._headers, (b"Content-Length", b"%d" % len(body))],
            stream=httpx.ByteStream(body),
            extensions={"timeout": {"connect": CONNECT_TIMEOUT_S, "read": timeout, "write": timeout, "pool": timeout}},
        )
        return await self._transport.handle_async_request(request)

    async def ask(self, path: str, payload: Optional[str] = None) -> Answer:
        """One request, one JSON answer, whatever its status."""
        response = await self.open(path, payload)
        return Answer(response.status_code, await read_json(response))

    async def aclose(self) -> None:
        await self._transport.aclose()


def read_address(url: str) -> Tuple[httpx.URL, Optional[str]]:
    """The base of all requests, and the path of the Unix socket where there is one."""
    unix_path = url[len("unix:") :] if url.startswith("unix:") else None
    try:
        base = httpx.URL("http://localhost" if unix_path else url)
    except httpx.InvalidURL:
        base = httpx.URL("")
    if base.scheme not in ("http", "https") or not base.host:
        raise ValueError(f"not the address of a coordinator: {url!r}; write http://HOST:PORT or unix:PATH")
    return base, unix_path


def _transport_for(url: httpx.URL, unix_path: Optional[str]) -> Union[WireTransport, httpx.AsyncBaseTransport]:
    if url.scheme == "http":
        return WireTransport(unix_path=unix_path)
    return httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=96, max_keepalive_connections=16))


async def read_json(response: Reply) -> Any:
    """The whole body as JSON; None where it is none. Closes the response."""
    try:
        data = b"".join([part async for part in response.stream])
    finally:
        await response.aclose()
    try:
        return json.loads(data)
    except ValueError:
        return None


async def read_lines(response: Reply) -> AsyncIterator[Any]:
    """The JSON values of an NDJSON body, each as it comes. The caller closes the response."""
    rest = b""
    async for part in response.stream:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if line.strip():
                yield _parse(line)
        if len(rest) > LINE_BYTES_MAX:
            raise httpx.RemoteProtocolError("a line of the answer is too long")


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        raise httpx.RemoteProtocolError("a line of the answer is not JSON") from None


def refusal(answer: Answer) -> SluiceError:
    """The exception an answer that is not a success stands for."""
    return error_from(answer.body, answer.status)


def is_away(answer: Answer) -> bool:
    """Whether nobody answered but a proxy in between, or a coordinator that is about to leave."""
    if isinstance(answer.body, dict) and isinstance(answer.body.get("error"), dict):
        return bool(answer.body["error"].get("code") == "shutting_down")
    return answer.status in AWAY_STATUSES or answer.status == 503
