"""The words of an acquire, the same for both clients and the decorator."""

from __future__ import annotations

import enum
import os
import sys
from typing import Any, Callable, Dict, Mapping, Optional, Union

import httpx

from ._ask import Answerable, Ask, Load, Place, fields_of, load_of
from ._engine import Engine, OnUnreachable, Settings
from ._local import LocalShare
from ._wire import read_address

URL_DEFAULT = "http://127.0.0.1:7411"
TIMEOUT_DEFAULT_S = 60.0
LEASE_DEFAULT_S = 60.0


class Unset(enum.Enum):
    """Stands for an argument that was not given, where None means something."""

    UNSET = 1


UNSET = Unset.UNSET
Timeout = Union[float, None, Unset]


class Defaults:
    """What a client was told, for all of its acquires."""

    def __init__(
        self,
        url: Optional[str],
        api_key: Optional[str],
        timeout: Optional[float],
        lease_seconds: float,
        on_unreachable: OnUnreachable,
        transport: Optional[httpx.AsyncBaseTransport],
    ) -> None:
        if not isinstance(on_unreachable, LocalShare) and on_unreachable not in ("wait", "refuse"):
            raise ValueError('on_unreachable is "wait", "refuse" or a LocalShare')
        address = url or os.environ.get("SLUICE_URL") or URL_DEFAULT
        read_address(address)
        if lease_seconds < 0.001:
            raise ValueError("a lease lives at least a millisecond")
        self.timeout = timeout
        self.lease_ms = int(lease_seconds * 1000)
        self.settings = Settings(
            url=address,
            api_key=api_key or os.environ.get("SLUICE_API_KEY"),
            on_unreachable=on_unreachable,
            transport=transport,
        )

    def fields(self, engine: Engine, resource: str, words: Words) -> Dict[str, Any]:
        load = load_of(words.load, words.tokens, words.input_tokens, words.max_output_tokens)
        return fields_of(resource, load, words.optional, self.lease_ms, engine.new_id)

    def ask(self, engine: Engine, resource: str, words: Words, future: Answerable) -> Ask:
        timeout = self.timeout if isinstance(words.timeout, Unset) else words.timeout
        if timeout is not None and timeout < 0:
            raise ValueError("a timeout is not negative")
        deadline = None if timeout is None else engine.loop.time() + timeout
        return Ask(self.fields(engine, resource, words), future, deadline, words.place, patient=timeout != 0)


class Words:
    """The words of one acquire, as its caller gave them."""

    __slots__ = ("input_tokens", "load", "max_output_tokens", "optional", "place", "timeout", "tokens")

    def __init__(
        self,
        place: Place,
        input_tokens: Optional[int] = None,
        max_output_tokens: Optional[int] = None,
        tokens: Optional[int] = None,
        load: Optional[Load] = None,
        timeout: Timeout = UNSET,
        parent: Any = None,
        **optional: Any,
    ) -> None:
        self.place = place
        self.input_tokens = input_tokens
        self.max_output_tokens = max_output_tokens
        self.tokens = tokens
        self.load = load
        self.timeout = timeout
        if parent is not None:
            optional["parent"] = getattr(parent, "id", parent)
        self.optional: Mapping[str, Any] = optional


WORDS = frozenset(
    "input_tokens max_output_tokens tokens load priority tenant session labels parent timeout id ticket".split()
)


def check_words(words: Mapping[str, Any]) -> None:
    unknown = sorted(set(words) - WORDS)
    if unknown:
        raise TypeError(f"not a word of acquire: {', '.join(unknown)}")


def caller(depth: int = 2) -> Place:
    """Where the caller of our caller stands."""
    frame = sys._getframe(depth)
    return frame.f_code.co_filename, frame.f_lineno


def place_of(function: Callable[..., Any]) -> Place:
    code = getattr(function, "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code is not None else ("<unknown>", 1)


def evaluate(words: Mapping[str, Any], args: Any, kwargs: Any) -> Dict[str, Any]:
    """The words of a decorator, those that are callables called with the arguments of the call."""
    return {name: value(*args, **kwargs) if callable(value) else value for name, value in words.items()}
