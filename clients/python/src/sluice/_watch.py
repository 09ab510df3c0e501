"""What the providers' packages do behind a function's back: retries of their own, and headers that they keep to
themselves.

openai and anthropic try a failed call up to three times. Each is a request to the provider, of which the coordinator knows
one: so a client that does that is warned of, once.
"""

from __future__ import annotations

import asyncio
import inspect
import warnings
import weakref
from typing import Any, Iterator, TypeVar

from ._errors import SdkRetriesWarning
from ._failure import chain_of
from ._nested import seen_by_current

T = TypeVar("T")

_CLIENT_HOMES = ("openai", "anthropic")
_RETRY_HEADER = "x-stainless-retry-count"
_warned = False
_looked_at: weakref.WeakSet[Any] = weakref.WeakSet()  # code of functions


def watch(ai: T) -> T:
    """A copy of an openai or anthropic client for calls under leases: it leaves retries to the coordinator, and the
    headers of each answer reach the lease that the call is made under, and with it the coordinator.

    Without it the coordinator sees the headers of failed calls and of streams alone, for the packages return
    answers without them.
    """
    if not _is_providers(ai):
        raise TypeError("a client of the openai or anthropic package is watched; others need not be")
    watched: Any = ai.with_options(max_retries=0)  # type: ignore[attr-defined]
    hooks = watched._client.event_hooks  # the httpx client, which copies share
    hook = _see_async if asyncio.iscoroutinefunction(watched._client.send) else _see
    if hook not in hooks["response"]:
        watched._client.event_hooks = {**hooks, "response": [*hooks["response"], hook]}
    return watched  # type: ignore[no-any-return]


def _see(response: Any) -> None:
    seen_by_current(response)


async def _see_async(response: Any) -> None:
    seen_by_current(response)


def _is_providers(value: Any) -> bool:
    home = type(value).__module__.partition(".")[0]
    return home in _CLIENT_HOMES and isinstance(getattr(value, "max_retries", None), int)


def warn_of_clients(function: Any) -> None:
    """Looks for a client with retries of its own among what a function is made of."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    if _warned or code in _looked_at:
        return
    if code is not None:
        _looked_at.add(code)
        for value in _parts(function):
            if _is_providers(value) and value.max_retries > 0:
                _warn(f"{type(value).__module__.partition('.')[0]} client has max_retries={value.max_retries}")
                return


def warn_of_retries(error: BaseException) -> None:
    """Looks for traces of retries in a failed call."""
    if not _warned:
        for one in chain_of(error):
            request = getattr(one, "request", None) if not hasattr(one, "_request") or one._request else None
            headers: Any = getattr(request, "headers", None)
            count = headers.get(_RETRY_HEADER, "0") if hasattr(headers, "get") else "0"
            if count not in ("0", b"0"):
                _warn(f"provider's package tried a call {count} times again")
                return


def _warn(what: str) -> None:
    global _warned
    _warned = True
    warnings.warn(
        f"a {what}: the coordinator counts one request where the provider gets several; use max_retries=0, or sluice.watch(…)",
        SdkRetriesWarning,
        stacklevel=4,
    )


def _parts(function: Any) -> Iterator[Any]:
    """What a function refers to directly: its closure, its globals, its object, the arguments it is bound to."""
    function = inspect.unwrap(function) if callable(function) else function
    for bound in (getattr(function, "args", ()), (getattr(function, "keywords", None) or {}).values()):  # functools.partial
        yield from bound
    function = getattr(function, "func", function)
    owner = getattr(function, "__self__", None)
    yield owner
    yield from (vars(owner) if hasattr(owner, "__dict__") else {}).values()
    for cell in getattr(function, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not bound yet
            continue
    code, names = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    for name in code.co_names if code is not None else ():
        yield names.get(name)
