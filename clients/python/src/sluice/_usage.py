"""What a call used, read from what the call returned.

Nothing of the providers' packages is imported: an object counts by its shape. The provider's usage object
goes to the coordinator as it came, for the coordinator knows what counts as what.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional

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
        "prompt_token_count",
        "candidates_token_count",
        "total_token_count",
        "inputTokens",
        "outputTokens",
        "totalTokens",
    )
)
# Words that tell Anthropic's shape from the coordinator's own, but occur elsewhere too.
_BESIDE = frozenset(("cache_creation", "service_tier", "server_tool_use"))
# Where a response, or an event of a stream, keeps it.
_HOLDERS = ("usage", "usage_metadata", "usageMetadata", "response", "message", "http_response")
_HEADER_PARTS = ("ratelimit", "retry-after", "should-retry")
_HEADER_NAMES = frozenset(("x-amzn-errortype",))
_HEADER_BESIDE = "date"  # tells a time in another header what to be held against, and nothing by itself


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
    metadata = value.get("metadata")  # of Bedrock's streams; of others it is whatever their user wrote there
    if isinstance(metadata, Mapping) and isinstance(metadata.get("usage"), Mapping):
        return _deeper(metadata["usage"], depth)
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
    told = {str(name).lower(): str(value)[:HEADER_CHARS_MAX] for name, value in items}
    kept = {name: value for name, value in told.items() if name in _HEADER_NAMES or any(p in name for p in _HEADER_PARTS)}
    if kept and _HEADER_BESIDE in told:
        kept = {_HEADER_BESIDE: told[_HEADER_BESIDE], **kept}
    return dict(list(kept.items())[:HEADERS_MAX])


def headers_in(value: Any) -> Any:
    """The headers of the answer that a returned value came in, where it has kept them."""
    for name in ("headers", "sdk_http_response", "response"):  # httpx; google-genai; streams of openai and anthropic
        inner = getattr(value, name, None)
        found = inner if name == "headers" else getattr(inner, "headers", None)
        if found is not None:
            return found
    if isinstance(value, Mapping) and isinstance(value.get("ResponseMetadata"), Mapping):  # botocore
        return value["ResponseMetadata"].get("HTTPHeaders")
    return None
