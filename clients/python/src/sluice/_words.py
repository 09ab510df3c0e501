"""The words of an acquire, the same for both clients and the decorator."""

from __future__ import annotations

import enum
import inspect
import os
import sys
from typing import Any, Callable, Dict, Mapping, Optional, Union

import httpx

from ._ask import Answerable, Ask, Load, Place, fields_of, load_of
from ._engine import Engine, OnUnreachable, Settings
from ._local import LocalShare
from ._nested import parent_at
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
        find_parent: bool = True,
    ) -> None:
        if not isinstance(on_unreachable, LocalShare) and on_unreachable not in ("wait", "refuse"):
            raise ValueError('on_unreachable is "wait", "refuse" or a LocalShare')
        address = url or os.environ.get("SLUICE_URL") or URL_DEFAULT
        read_address(address)
        if lease_seconds < 0.001:
            raise ValueError("a lease lives at least a millisecond")
        self.timeout = timeout
        self.find_parent = find_parent
        self.lease_ms = int(lease_seconds * 1000)
        self.settings = Settings(
            url=address,
            api_key=api_key or os.environ.get("SLUICE_API_KEY"),
            on_unreachable=on_unreachable,
            transport=transport,
        )

    def fields(self, engine: Engine, resource: Optional[str], words: Words) -> Dict[str, Any]:
        load = load_of(words.load, words.tokens, words.input_tokens, words.max_output_tokens)
        return fields_of(resource, words.route, load, words.optional, self.lease_ms, engine.new_id)

    def timeout_of(self, words: Words) -> Optional[float]:
        """How many seconds an acquire may stand in line; None: as long as it takes."""
        timeout = self.timeout if isinstance(words.timeout, Unset) else words.timeout
        if timeout is not None and timeout < 0:
            raise ValueError("a timeout is not negative")
        return timeout

    def ask(self, engine: Engine, resource: Optional[str], words: Words, future: Answerable) -> Ask:
        """Called where the acquire is, for its parent is found there."""
        timeout = self.timeout_of(words)
        deadline = None if timeout is None else engine.loop.time() + timeout
        fields = self.fields(engine, resource, words)
        found = None
        if isinstance(words.parent, Unset):
            found = parent_at(engine.home) if self.find_parent else None
            if found is not None:
                fields["parent"] = found
        elif words.parent is not None:
            fields["parent"] = getattr(words.parent, "id", words.parent)
        ask = Ask(fields, future, deadline, words.place, patient=timeout != 0)
        ask.parent_found = found is not None
        return ask


class Words:
    """The words of one acquire, as its caller gave them."""

    __slots__ = ("input_tokens", "load", "max_output_tokens", "optional", "parent", "place", "route", "timeout", "tokens")

    def __init__(
        self,
        place: Place,
        input_tokens: Optional[int] = None,
        max_output_tokens: Optional[int] = None,
        tokens: Optional[int] = None,
        load: Optional[Load] = None,
        timeout: Timeout = UNSET,
        parent: Any = UNSET,
        route: Optional[str] = None,
        **optional: Any,
    ) -> None:
        self.place = place
        self.input_tokens = input_tokens
        self.max_output_tokens = max_output_tokens
        self.tokens = tokens
        self.load = load
        self.timeout = timeout
        self.parent = parent
        self.route = route
        self.optional: Mapping[str, Any] = optional

    def again(self, *, ticket: Optional[str], id: Optional[str], timeout: Optional[float]) -> Words:
        """The same for another attempt."""
        words = Words(
            self.place,
            self.input_tokens,
            self.max_output_tokens,
            self.tokens,
            self.load,
            timeout,
            self.parent,
            self.route,
            **self.optional,
        )
        words.optional = {**self.optional, "ticket": ticket, "id": id}
        return words


WORDS = frozenset(
    "input_tokens max_output_tokens tokens load input_bytes priority tenant session labels parent timeout max_attempts id ticket".split()
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


def refuse_generator(function: Callable[..., Any]) -> None:
    if inspect.isgeneratorfunction(function):
        raise TypeError("a generator runs after its call has returned: acquire inside of it, and follow() the stream")


def lease_passer(function: Callable[..., Any]) -> Callable[[Dict[str, Any], Any], Dict[str, Any]]:
    """How a decorated function gets its lease: as `lease`, where it has a parameter of that name."""
    if "lease" in inspect.signature(function).parameters:
        return lambda kwargs, lease: {**kwargs, "lease": lease}
    return lambda kwargs, lease: kwargs


def evaluate(words: Mapping[str, Any], args: Any, kwargs: Any) -> Dict[str, Any]:
    """The words of a decorator, those that are callables called with the arguments of the call."""
    return {name: value(*args, **kwargs) if callable(value) else value for name, value in words.items()}
