"""Leases as their holders see them, and what settling them says.

A lease ends once: by `settle`, by `cancel`, by an exception that leaves its block, or at the end of its block, where it
is charged in full with a warning.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field
from decimal import Decimal
from types import TracebackType
from typing import Any, AsyncIterable, AsyncIterator, Dict, Generator, Iterable, Iterator, Mapping, Optional, Type, TypeVar

from ._ask import Ask, Grant
from ._engine import Engine, warn_unsettled
from ._errors import SluiceError
from ._failure import is_the_calls, report_of
from ._heartbeat import Held
from ._nested import Entered, enter_block, leave_block
from ._wire import encode
from ._usage import headers_in, headers_of, merge_usage, usage_of

T = TypeVar("T")

_settling = threading.Lock()  # guards the hand-over of an answer to a thread that waits for it


@dataclass(frozen=True)
class Advice:
    """What to do after the call: `action` is done, retry, fallback or give_up; `after` is in seconds."""

    action: str
    after: float
    reason: str
    ticket: Optional[str]
    resource: Optional[str] = None  # the one to go on with, where it is another
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)  # all that was said, as of a route that has ended

    @property
    def finally_(self) -> Optional[str]:
        """What a route ends in that has nothing left: refuse, cached or static; None where no route ended."""
        return self.facts.get("finally")

    @property
    def text(self) -> Optional[str]:
        """The static answer."""
        return self.facts.get("static_answer")


@dataclass(frozen=True)
class Settlement:
    """What the coordinator booked. `late` says that the lease had expired before."""

    settled: Dict[str, Any]
    cost_usd: Optional[Decimal]
    late: bool
    advice: Advice


def _settlement(answer: Dict[str, Any]) -> Settlement:
    cost = answer.get("cost_usd")
    advice = answer.get("advice") or {}
    return Settlement(
        settled=answer.get("settled") or {},
        cost_usd=None if cost is None else Decimal(str(cost)),
        late=bool(answer.get("late")),
        advice=Advice(
            action=str(advice.get("action", "done")),
            after=advice.get("after_ms", 0) / 1000,
            reason=str(advice.get("reason", "")),
            ticket=advice.get("ticket"),
            resource=advice.get("resource"),
            facts=advice,
        ),
    )


class _Outcome:
    """The answer to a release, which comes later or never."""

    def __init__(self) -> None:
        self._known = False
        self._settlement: Optional[Settlement] = None
        self._error: Optional[SluiceError] = None

    def _set(self, answer: Optional[Dict[str, Any]], error: Optional[SluiceError]) -> None:
        self._error = error
        self._settlement = None if answer is None else _settlement(answer)
        self._known = True

    def _get(self) -> Settlement:
        if self._error is not None:
            raise self._error
        assert self._settlement is not None
        return self._settlement


class Receipt(_Outcome):
    """What `Lease.settle` gives: the coordinator's answer for those who want it."""

    def __init__(self) -> None:
        super().__init__()
        self._event: Optional[threading.Event] = None

    def _take(self, answer: Optional[Dict[str, Any]], error: Optional[SluiceError]) -> None:
        with _settling:
            self._set(answer, error)
            if self._event is not None:
                self._event.set()

    def result(self, timeout: Optional[float] = None) -> Settlement:
        """Waits for the answer. Raises TimeoutError where it does not come in time."""
        with _settling:
            if not self._known and self._event is None:
                self._event = threading.Event()
        if self._event is not None and not self._event.wait(timeout):
            raise TimeoutError("the coordinator has not answered yet")
        return self._get()


class AsyncReceipt(_Outcome):
    """What `AsyncLease.settle` gives: may be awaited by those who want the coordinator's answer."""

    def __init__(self) -> None:
        super().__init__()
        self._future: Optional[asyncio.Future[None]] = None

    def _take(self, answer: Optional[Dict[str, Any]], error: Optional[SluiceError]) -> None:
        self._set(answer, error)
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def __await__(self) -> Generator[Any, None, Settlement]:
        if not self._known:
            if self._future is None:
                self._future = asyncio.get_running_loop().create_future()
            yield from asyncio.shield(self._future).__await__()
        return self._get()


class _LeaseBase:
    """What both kinds of lease have."""

    def __init__(self, engine: Engine, ask: Ask, grant: Grant) -> None:
        self._engine = engine
        self._ask_id = ask.id
        self._grant = grant
        self._held: Optional[Held] = None
        self._since = time.monotonic()
        self._noted: Optional[Dict[str, Any]] = None
        self._began = False  # a stream was served in part
        self._seen: Dict[str, str] = {}
        self._asked_output = _output_of(ask.fields.get("load"))
        self._entered: Optional[Entered] = None
        self._ended = False

    @property
    def id(self) -> str:
        """The lease's name."""
        return self._grant.lease

    @property
    def resource(self) -> str:
        """The resource that serves the call."""
        return self._grant.resource

    @property
    def model(self) -> str:
        """The model's name at the provider."""
        return self._grant.model

    @property
    def account(self) -> Optional[str]:
        """The account to call with, where the resource has several."""
        account = self._grant.facts.get("account")
        return None if account is None else str(account)

    @property
    def max_output_tokens(self) -> Optional[int]:
        """The longest answer to ask the provider for: what was asked for, or less where the route says so."""
        capped = self._grant.facts.get("max_output_tokens")
        return capped if isinstance(capped, int) else self._asked_output

    @property
    def facts(self) -> Dict[str, Any]:
        """All that the coordinator said of the grant: of a route also why its earlier resources did not serve."""
        return dict(self._grant.facts)

    @property
    def held(self) -> Dict[str, Any]:
        """What is held of each unit."""
        return self._grant.held

    @property
    def waited(self) -> float:
        """Seconds spent in line."""
        return self._grant.waited_s

    @property
    def attempt(self) -> int:
        return self._grant.attempt

    @property
    def local(self) -> bool:
        """Whether it was granted from the local share, the coordinator being away."""
        return self._grant.local

    @property
    def lost(self) -> bool:
        """Whether it expired while it was held: its share may have gone to others."""
        if self._held is None:
            self._held = self._engine.held(self.id)
        return self._held is not None and self._held.lost

    @property
    def ended(self) -> bool:
        return self._ended

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} on {self.resource!r}{' ended' if self._ended else ''}>"

    def note(self, event: Any) -> None:
        """Notes the usage that an event of a stream carries, if any. The block's end settles with it."""
        self._began = True
        usage = usage_of(event)
        if usage is not None:
            self._noted = merge_usage(self._noted, usage)

    def _see(self, response: Any) -> None:
        """Notes what an answer of the provider's says of limits, for the settlement."""
        self._see_headers(getattr(response, "headers", None))

    def _see_headers(self, headers: Any) -> None:
        self._seen = headers_of(headers) or self._seen

    def cancel(self) -> None:
        """The call was never made: ends the lease as if nothing had been used."""
        if not self._ended:
            self._ended = True
            self._held = self._engine.held(self.id)
            self._engine.post(self._engine.cancel, self.id, self._ask_id)

    def _facts(self, value: Any, amounts: Dict[str, Any], status: Optional[int], headers: Any) -> Dict[str, Any]:
        """All that a release says, but the lease."""
        if value is not None and amounts:
            raise TypeError("give either what the call returned or amounts by name")
        usage = amounts or usage_of(value)
        if usage is None and value is not None:
            self._warn(f"was settled with a {type(value).__name__} that says nothing of usage")
        facts: Dict[str, Any] = {"elapsed_ms": self._elapsed_ms()}
        if usage is not None and self._can_send(usage):
            facts["usage"] = usage
        if status is None and value is not None:
            status = getattr(value, "status_code", None)
        if isinstance(status, int):
            facts["status"] = status
        kept = headers_of(headers_in(value) if headers is None else headers) or self._seen
        if kept:
            facts["headers"] = kept
        return facts

    def _facts_of(self, error: BaseException) -> Dict[str, Any]:
        """What a release says of a call that ended in an exception."""
        report = report_of(error)
        if self._seen and is_the_calls(error):
            report.setdefault("headers", self._seen)
        if self._began:
            report.setdefault("status", 200)
        return {"elapsed_ms": self._elapsed_ms(), **report}

    def _can_send(self, usage: Dict[str, Any]) -> bool:
        """An answer that was paid for must not be lost to its caller over a number that cannot be told."""
        try:
            encode(usage)
        except (TypeError, ValueError) as e:
            self._warn(f"was settled with usage that cannot be sent ({e})")
            return False
        return True

    def _elapsed_ms(self) -> int:
        return min(int((time.monotonic() - self._since) * 1000), 86_400_000)

    def _end(self, facts: Dict[str, Any], take: Any) -> None:
        self._ended = True
        self._held = self._engine.held(self.id)
        self._engine.post(self._engine.release, self.id, facts, take)

    def _leave(self, error: Optional[BaseException]) -> None:
        """The end of the lease's block."""
        if self._ended or self._engine.gone:
            return
        facts: Dict[str, Any] = {"elapsed_ms": self._elapsed_ms()}
        if error is not None:
            facts = self._facts_of(error)
        elif self._noted is not None and self._can_send(self._noted):
            facts["usage"] = self._noted
        if self._seen:
            facts.setdefault("headers", self._seen)
        self._end(facts, _Declined(self._engine))
        if error is None and self._noted is None:
            self._warn("ended without settle()")

    def _decline(self, advice: Advice) -> None:
        """Nobody will follow it."""
        if advice.ticket is not None:
            self._engine.post(self._engine.decline, advice.ticket)

    def _disown(self) -> None:
        """It turned out to have ended before: there is nothing to tell of it."""
        self._ended = True
        self._engine.post(self._engine.drop, self.id)

    def _warn(self, what: str) -> None:
        warn_unsettled(self._grant.place, f"a lease on {self.resource!r} {what}: charged in full")

    def __del__(self) -> None:
        if getattr(self, "_ended", True) or self._engine.gone:
            return
        try:
            self._ended = True
            self._engine.post_later(self._engine.release, self.id, {}, _nobody)
            self._warn("was forgotten without settle()")
        except Exception:  # the interpreter or the loop is going down; the lease will expire
            pass


class _Declined:
    """Takes the answer to a release where nobody follows the advice: a place that was kept is given up."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, answer: Optional[Dict[str, Any]], _error: Optional[SluiceError]) -> None:
        ticket = ((answer or {}).get("advice") or {}).get("ticket")
        if ticket is not None:
            self._engine.decline(ticket)


def _output_of(load: Any) -> Optional[int]:
    output = load.get("output_tokens") if isinstance(load, dict) else None
    return output if isinstance(output, int) else None


def _nobody(_answer: Optional[Dict[str, Any]], _error: Optional[SluiceError]) -> None:
    pass


class Lease(_LeaseBase):
    """A grant: its load is held until it is settled. Use it as a context manager."""

    def settle(
        self, value: Any = None, *, status: Optional[int] = None, headers: Any = None, **amounts: Any
    ) -> Receipt:
        """Replaces what was held by what the call used.

        `value` is what the call returned (a response of the openai or anthropic package, the last event of
        a stream, a usage object, a dict) or a number of tokens; or give amounts by name: `input_tokens`,
        `cached_input_tokens`, `cache_write_tokens`, `output_tokens`, `tokens`, `requests`, `usd`. Without
        any, what was held counts as used. Does not wait; the receipt's `result()` does. A second time changes nothing.
        """
        receipt = Receipt()
        if self._ended:
            receipt._take(None, SluiceError("the lease has ended already", code="ended"))
        else:
            self._end(self._facts(value, amounts, status, headers), receipt._take)
        return receipt

    def _report(self, error: BaseException) -> Receipt:
        """Settles with how the call failed."""
        receipt = Receipt()
        self._end(self._facts_of(error), receipt._take)
        return receipt

    def follow(self, stream: Iterable[T]) -> Iterator[T]:
        """Passes a stream's events on, and settles with the usage they carried when it is through."""
        for event in stream:
            self.note(event)
            yield event
        if self._noted is not None and not self._ended:
            self.settle(self._noted)

    def __enter__(self) -> Lease:
        self._entered = enter_block(self)
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        leave_block(self._entered)
        self._leave(error)


class AsyncLease(_LeaseBase):
    """A grant: its load is held until it is settled. Use it as an asynchronous context manager."""

    def settle(
        self, value: Any = None, *, status: Optional[int] = None, headers: Any = None, **amounts: Any
    ) -> AsyncReceipt:
        """As `Lease.settle`. Does not need to be awaited; awaiting the receipt gives the coordinator's answer."""
        receipt = AsyncReceipt()
        if self._ended:
            receipt._take(None, SluiceError("the lease has ended already", code="ended"))
        else:
            self._end(self._facts(value, amounts, status, headers), receipt._take)
        return receipt

    def _report(self, error: BaseException) -> AsyncReceipt:
        """Settles with how the call failed."""
        receipt = AsyncReceipt()
        self._end(self._facts_of(error), receipt._take)
        return receipt

    async def follow(self, stream: AsyncIterable[T]) -> AsyncIterator[T]:
        """Passes a stream's events on, and settles with the usage they carried when it is through."""
        async for event in stream:
            self.note(event)
            yield event
        if self._noted is not None and not self._ended:
            self.settle(self._noted)

    async def __aenter__(self) -> AsyncLease:
        self._entered = enter_block(self)
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        leave_block(self._entered)
        self._leave(error)
