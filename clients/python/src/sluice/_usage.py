"""What a call used, and how it failed, read from what the call returned or raised.

Nothing of the providers' packages is imported: an object counts by its shape. The provider's usage object
goes to the coordinator as it came, for the coordinator knows what counts as what.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

ERROR_CHARS_MAX = 500
HEADER_CHARS_MAX = 256
HEADERS_MAX = 32

# What tells a usage object from others, as the providers and the coordinator spell it.
_NORMAL = frozenset(
    ("requests", "tokens", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "usd")
)
_MARKERS = frozenset(
    (
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "input_tokens_details",
        "output_tokens_details",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "promptTokenCount",
        "candidatesTokenCount",
        "totalTokenCount",
    )
)
# Words that tell Anthropic's shape from the coordinator's own, but occur elsewhere too.
_BESIDE = frozenset(("cache_creation", "service_tier", "server_tool_use"))
# Where a response, or an event of a stream, keeps it.
_HOLDERS = ("usage", "usage_metadata", "usageMetadata", "response", "message")
_HEADER_PARTS = ("ratelimit", "retry-after", "should-retry")


def usage_of(value: Any) -> Optional[Dict[str, Any]]:
    """The usage in a number of tokens, a usage object, a response, an event of a stream, or any of them as a
    dict; None where there is none."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return {"tokens": value}
    if isinstance(value, Mapping):
        return _usage_in_mapping(value, depth=0)
    return _usage_in_object(value, depth=0)


def merge_usage(so_far: Optional[Dict[str, Any]], more: Mapping[str, Any]) -> Dict[str, Any]:
    """Usage told in parts along a stream: what a later part says replaces what an earlier one said."""
    merged = dict(so_far or {})
    merged.update({name: amount for name, amount in more.items() if amount is not None})
    return merged


def _usage_in_mapping(value: Mapping[str, Any], depth: int) -> Optional[Dict[str, Any]]:
    for name in _HOLDERS:
        found = _deeper(value.get(name), depth)
        if found is not None:
            return found
    given = {name: amount for name, amount in value.items() if amount is not None}
    if not given or any(name in given for name in _MARKERS) or all(name in _NORMAL for name in given):
        return given or None
    if "input_tokens" not in given and "output_tokens" not in given:
        return None
    if any(name in given for name in _BESIDE):
        return given
    # A provider's object without a word that says whose it is: what the normal form knows of it.
    return {name: amount for name, amount in given.items() if name in _NORMAL}


def _usage_in_object(value: Any, depth: int) -> Optional[Dict[str, Any]]:
    for name in _HOLDERS:
        found = _deeper(getattr(value, name, None), depth)
        if found is not None:
            return found
    dump = getattr(value, "model_dump", None)
    if callable(dump) and _looks_like_usage(value):
        return _usage_in_mapping(dump(mode="json", by_alias=True, exclude_none=True), depth=2)
    if hasattr(value, "status_code") and callable(getattr(value, "json", None)):
        return _usage_in_body(value, depth)
    return None


def _deeper(value: Any, depth: int) -> Optional[Dict[str, Any]]:
    if value is None or depth >= 2 or isinstance(value, (str, int, float, list)):
        return None
    if isinstance(value, Mapping):
        return _usage_in_mapping(value, depth + 1)
    return _usage_in_object(value, depth + 1)


def _looks_like_usage(value: Any) -> bool:
    return any(hasattr(value, name) for name in ("prompt_tokens", "input_tokens", "output_tokens", "prompt_token_count"))


def _usage_in_body(response: Any, depth: int) -> Optional[Dict[str, Any]]:
    """A plain HTTP response whose body is the provider's."""
    try:
        return _deeper(response.json(), depth)
    except Exception:  # not JSON, or not read: then it says nothing of usage
        return None


def headers_of(headers: Any) -> Dict[str, str]:
    """Those of a provider's headers that speak of limits."""
    items = headers.items() if hasattr(headers, "items") else ()
    kept = {
        str(name).lower(): str(value)[:HEADER_CHARS_MAX]
        for name, value in items
        if any(part in str(name).lower() for part in _HEADER_PARTS)
    }
    return dict(list(kept.items())[:HEADERS_MAX])


def report_of(error: BaseException) -> Dict[str, Any]:
    """What a release says of a call that ended in an exception."""
    response = getattr(error, "response", None)
    report: Dict[str, Any] = {"error": _error_of(error, response)}
    status = getattr(error, "status_code", None)
    if not isinstance(status, int):
        status = getattr(response, "status_code", None)
    if isinstance(status, int) and 100 <= status <= 599:
        report["status"] = status
    headers = headers_of(getattr(response, "headers", None))
    if headers:
        report["headers"] = headers
    return report


def _error_of(error: BaseException, response: Any) -> Any:
    body = getattr(error, "body", None)
    if not isinstance(body, Mapping) and callable(getattr(response, "json", None)):
        try:
            body = response.json()
        except Exception:  # not JSON, or a stream that was not read
            body = None
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        if isinstance(inner, Mapping):
            facts = {k: v for k, v in inner.items() if v is None or isinstance(v, (str, int, float, bool))}
            return {k: v[:ERROR_CHARS_MAX] if isinstance(v, str) else v for k, v in facts.items() if v is not None}
    return f"{type(error).__name__}: {error}"[:ERROR_CHARS_MAX]
