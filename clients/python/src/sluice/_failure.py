"""How a call failed, read from the exception it raised.

Nothing of the providers' packages is imported: an exception counts by its shape. What the provider wrote goes to
the coordinator as it came, for the coordinator knows one refusal from another; but no more of it than BODY_CHARS_MAX
in all, DEPTH_MAX deep, since a stranger wrote it.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, Dict, Iterator, List, Mapping, Optional

from ._errors import SluiceError
from ._usage import headers_of

TEXT_CHARS_MAX = 500
NAME_CHARS_MAX = 64
BODY_CHARS_MAX = 8000
DEPTH_MAX = 8
ITEMS_MAX = 32
NUMBER_MAX = 10**18
CAUSES_MAX = 8

# What the packages that speak HTTP call an exception for an answer that did not come, or not in time.
_CUT_OFF = frozenset(
    (
        "APIConnectionError",  # openai, anthropic
        "TransportError",  # httpx, and its forks
        "ConnectionError",  # requests
        "ChunkedEncodingError",
        "ClientConnectionError",  # aiohttp
        "ClientPayloadError",
        "HTTPClientError",  # botocore
    )
)
_TOO_LATE = frozenset(
    ("APITimeoutError", "TimeoutException", "Timeout", "ServerTimeoutError", "ConnectTimeoutError", "ReadTimeoutError")
)


def report_of(error: BaseException) -> Dict[str, Any]:
    """What a release says of a call that ended in an exception."""
    report: Dict[str, Any] = {"error": _told(error)}
    if isinstance(error, SluiceError):
        return report
    status = status_of(error)
    if status is not None:
        report["status"] = status
    headers = headers_of(_headers(error))
    if headers:
        report["headers"] = headers
    return report


def status_of(error: BaseException) -> Optional[int]:
    """The HTTP status that an exception tells of."""
    response = getattr(error, "response", None)
    aws = response.get("ResponseMetadata") if isinstance(response, Mapping) else None
    told = (
        getattr(error, "status_code", None),
        getattr(response, "status_code", None),
        aws.get("HTTPStatusCode") if isinstance(aws, Mapping) else None,
        getattr(error, "code", None),  # google-genai
        getattr(error, "status", None),  # aiohttp
    )
    for status in told:
        if isinstance(status, int) and not isinstance(status, bool) and 100 <= status <= 599:
            return status
    return None


def is_the_calls(error: BaseException) -> bool:
    """Whether the provider, or the way to it, is what an exception speaks of. Otherwise it is the worker's own."""
    if isinstance(error, SluiceError):
        return False
    return status_of(error) is not None or _body(error) is not None or _cut(error) is not None


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """An exception and what caused it."""
    at: Optional[BaseException] = error
    for _ in range(CAUSES_MAX):
        if at is None:
            return
        yield at
        at = at.__cause__


def _headers(error: BaseException) -> Any:
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        aws = response.get("ResponseMetadata")
        return aws.get("HTTPHeaders") if isinstance(aws, Mapping) else None
    headers = getattr(response, "headers", None)
    return getattr(error, "headers", None) if headers is None else headers


def _told(error: BaseException) -> Any:
    if isinstance(error, SluiceError):
        # A refusal of the coordinator's, met inside of the call, says nothing of the provider: not even that it was late.
        return "SluiceError"
    body = _body(error)
    if body is not None:
        inner = body.get("error", body) if isinstance(body, Mapping) else body
        told = _Room().fit(inner if isinstance(inner, (Mapping, list)) else body)
        if told:
            return told
    cut = _cut(error)
    return f"{'' if cut is None else cut + ': '}{type(error).__name__}: {error}"[:TEXT_CHARS_MAX]


def _body(error: BaseException) -> Any:
    """What the provider wrote, where the exception has kept it: a mapping, or a list as Gemini sends at times."""
    response = getattr(error, "response", None)
    for body in (getattr(error, "body", None), getattr(error, "details", None), response):
        if isinstance(body, (Mapping, list)) and body:
            return {k: v for k, v in body.items() if k != "ResponseMetadata"} if isinstance(body, Mapping) else body
    read = getattr(response, "json", None)
    if callable(read):
        try:
            body = read()
        except Exception:  # not JSON, or a stream that was not read
            return None
        if isinstance(body, (Mapping, list)) and body:
            return body
    return None


def _cut(error: BaseException) -> Optional[str]:
    """The word for an answer that did not come; None where the exception is of another kind."""
    names = {kind.__name__ for kind in type(error).__mro__ if kind.__module__ != "builtins"}
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)) or names & _TOO_LATE:
        return "timeout"
    return "connection_error" if isinstance(error, ConnectionError) or names & _CUT_OFF else None


class _Room:
    """Takes as much of what a stranger wrote as there is room for."""

    def __init__(self) -> None:
        self._left = BODY_CHARS_MAX

    def fit(self, value: Any, depth: int = DEPTH_MAX) -> Any:
        """The value, or what fits of it; None where that is nothing."""
        if isinstance(value, str):
            return self._take(value[: max(0, min(TEXT_CHARS_MAX, self._left))])
        if isinstance(value, (bool, int, float)):
            return self._take(value) if abs(value) <= NUMBER_MAX else None  # not of those that are no number, either
        if depth == 0:
            return None
        if isinstance(value, Mapping):
            return self._fit_mapping(value, depth - 1)
        if isinstance(value, (list, tuple)):
            items: List[Any] = [self.fit(item, depth - 1) for item in value[:ITEMS_MAX]]
            return [item for item in items if item is not None] or None
        return None

    def _fit_mapping(self, value: Mapping[Any, Any], depth: int) -> Optional[Dict[str, Any]]:
        fitting: Dict[str, Any] = {}
        for name in itertools.islice(value, ITEMS_MAX):
            if isinstance(name, str) and len(name) <= NAME_CHARS_MAX:
                self._left -= len(name)
                inner = self.fit(value[name], depth)
                if inner is not None:
                    fitting[name] = inner
        return fitting or None

    def _take(self, value: Any) -> Any:
        self._left -= len(str(value))
        return value if self._left >= 0 else None
