"""All that one process (or one event loop) shares: its line, its outbox, its heartbeat.

An engine lives in one event loop and one process. What other threads want of it they post into its inbox.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import threading
import uuid
import warnings
from collections import deque
from dataclasses import dataclass
from typing import Any, AsyncGenerator, Callable, Deque, Dict, Optional, Tuple, Union

import httpx

from ._ask import Ask, Grant, Place
from ._errors import ClientClosed, InvalidRequest, SluiceError, UnsettledLeaseWarning
from ._heartbeat import Heartbeat, Held
from ._line import Line
from ._local import LEASE_PREFIX, LocalJudge, LocalShare, Use
from ._outage import Outage
from ._outbox import Outbox, Parcel
from ._wire import TROUBLE, Answer, Wire, encode, refusal

CLOSE_S = 2.0  # how long a close waits for the last releases to be delivered
LEARN_EVERY_S = 60.0

Done = Callable[[Optional[Dict[str, Any]], Optional[SluiceError]], None]
OnUnreachable = Union[str, LocalShare]

log = logging.getLogger("sluice")
_warned: Dict[Any, Any] = {}  # so that the same place warns once


@dataclass(frozen=True)
class Settings:
    """What a client was told."""

    url: str
    api_key: Optional[str]
    on_unreachable: OnUnreachable
    transport: Optional[httpx.AsyncBaseTransport]


def warn_unsettled(place: Place, message: str) -> None:
    warnings.warn_explicit(message, UnsettledLeaseWarning, place[0], place[1], registry=_warned)


class Engine:
    """Made inside the event loop that it then lives in."""

    def __init__(self, settings: Settings) -> None:
        self.loop = asyncio.get_running_loop()
        self.home = (settings.url, settings.api_key)  # whose leases these are
        self.closed = False
        self._hung_up = False
        self._pid = os.getpid()
        self._thread = threading.get_ident()
        self._inbox: Deque[Tuple[Callable[..., None], Tuple[Any, ...]]] = deque()
        self._inbox_poked = False
        self._prefix = uuid.uuid4().hex
        self._count = itertools.count(1)
        self._wire = Wire(settings.url, settings.api_key, settings.transport)
        self._outage = Outage(self.loop, self._wire, self._back)
        self._releases = Outbox(self.loop, self._wire, self._outage, "/v1/release", arrays=True)
        self._cancels = Outbox(self.loop, self._wire, self._outage, "/v1/cancel", arrays=False)
        self._heartbeat = Heartbeat(self.loop, self._wire, self._outage)
        self._line = Line(self.loop, self._wire, self._outage, self._withdraw, self._granted)
        self._held: Dict[str, Held] = {}
        self._judge: Optional[LocalJudge] = None
        self._learner: Optional[asyncio.Task[None]] = None
        self._guard: Optional[AsyncGenerator[None, None]] = None
        self._choose(settings.on_unreachable)

    def _choose(self, rule: OnUnreachable) -> None:
        if rule == "refuse":
            self._line.refuse_when_away = True
        elif isinstance(rule, LocalShare):
            self._judge = self._line.fallback = LocalJudge(self.loop, rule, self._line.forget)
            if self._judge.wants_limits:
                self._learner = self.loop.create_task(self._learn(self._judge))

    async def close_with_loop(self) -> None:
        """Arranges that a loop which is shut down without closing the engine closes it all the same: loops
        close the asynchronous generators that were begun in them."""
        self._guard = self._until_loop_ends()
        await self._guard.asend(None)

    async def _until_loop_ends(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self._guard = None
            await self.aclose()

    # --- From any thread ---

    @property
    def gone(self) -> bool:
        """Whether nothing can be told through it any more: closed, its loop ended, or left behind by a fork."""
        return self.closed or self.loop.is_closed() or os.getpid() != self._pid

    def new_id(self) -> str:
        return f"{self._prefix}-{next(self._count)}"

    def post(self, function: Callable[..., None], *args: Any) -> None:
        """Runs a function in the engine's loop: now if this is its thread, soon otherwise."""
        if os.getpid() != self._pid:
            raise ClientClosed("this lease belongs to the parent process")
        if threading.get_ident() == self._thread:
            function(*args)
        else:
            self.post_later(function, *args)

    def post_later(self, function: Callable[..., None], *args: Any) -> None:
        """The same, but never now: for finalizers, which run in the middle of anything."""
        self._inbox.append((function, args))
        if not self._inbox_poked:
            self._inbox_poked = True
            try:
                self.loop.call_soon_threadsafe(self._read_inbox)
            except RuntimeError:
                raise ClientClosed("the client's event loop is closed") from None

    def _read_inbox(self) -> None:
        self._inbox_poked = False
        while self._inbox:
            function, args = self._inbox.popleft()
            function(*args)

    # --- In the loop ---

    def submit(self, ask: Ask) -> None:
        if self.closed:
            ask.fail(ClientClosed("the client is closed"))
        else:
            self._line.submit(ask)

    def abandon(self, ask: Ask) -> None:
        """The caller of an acquire is gone, before the answer or in the same moment."""
        if ask.lease is not None:
            self.cancel(ask.lease, ask.id)
        else:
            self._line.abandon(ask)

    @property
    def local_use(self) -> Use:
        """What was granted from the local share, read from any thread."""
        return {} if self._judge is None else {name: dict(use) for name, use in list(self._judge.use.items())}

    def held(self, lease: str) -> Optional[Held]:
        return self._held.get(lease)

    def release(self, lease: str, facts: Dict[str, Any], done: Done) -> None:
        """Settles a lease; `facts` is all of the release but the lease."""
        self.drop(lease)
        if lease.startswith(LEASE_PREFIX) and self._judge is not None:
            done({"settled": self._judge.settle(lease)}, None)
        elif self.closed:
            done(None, ClientClosed("the client was closed before the lease was settled"))
        else:
            self._releases.post(Parcel(encode({"lease": lease, **facts}), _Retrying(self, lease, facts, done)))

    def cancel(self, lease: str, ask_id: str) -> None:
        """Ends a lease as if nothing had been used."""
        self.drop(lease)
        if lease.startswith(LEASE_PREFIX) and self._judge is not None:
            self._judge.settle(lease)
        elif not self.closed:
            self._withdraw(ask_id)

    def decline(self, ticket: str) -> None:
        """Gives up a place in line that nobody will come back to; told of also while the client closes."""
        if not self._hung_up:
            self._cancels.post(Parcel(encode({"ticket": ticket}), _ignore))

    async def flush(self) -> None:
        """Returns when all releases and cancels so far were delivered."""
        await self._releases.drained()
        await self._cancels.drained()

    async def get(self, path: str) -> Answer:
        return await self._wire.ask(path)

    async def aclose(self) -> None:
        """Ends what waits and what is held, delivers what is left to tell, and hangs up."""
        if self.closed:
            return
        self._line.fail_all(ClientClosed("the client was closed"))
        for held in self._heartbeat.take_all():
            warn_unsettled(held.place, f"a lease on {held.resource!r} was still held when the client closed: charged in full")
            self.release(held.lease, {}, _ignore)
        self.closed = True
        if self._learner is not None:
            self._learner.cancel()
        try:
            await asyncio.wait_for(self.flush(), CLOSE_S)
        except asyncio.TimeoutError:
            log.warning("closed before all releases were delivered; their leases will expire")
        self._hung_up = True
        for part in (self._line, self._releases, self._cancels, self._heartbeat, self._outage):
            part.close()
        if self._judge is not None:
            self._judge.close()
        await self._wire.aclose()
        if self._guard is not None:
            await self._guard.aclose()

    def _back(self) -> None:
        """The coordinator answers again."""
        self._line.resume()
        self._releases.resume()
        self._cancels.resume()
        self._heartbeat.resume()

    def _granted(self, ask: Ask, grant: Grant) -> None:
        lease_ms = ask.fields["lease_ms"]
        self._held[grant.lease] = self._heartbeat.add(grant.lease, grant.resource, grant.place, lease_ms)

    def drop(self, lease: str) -> None:
        if self._held.pop(lease, None) is not None:
            self._heartbeat.drop(lease)

    def _withdraw(self, ask_id: str) -> None:
        self._cancels.post(Parcel(encode({"id": ask_id}), _ignore))

    async def _learn(self, judge: LocalJudge) -> None:
        """Keeps an eye on the coordinator's limits, to have a share of when it is away."""
        while True:
            if not self._outage.away:
                try:
                    answer = await self._wire.ask("/v1/resources")
                    if answer.status == 200:
                        judge.learn(answer.body)
                    else:
                        log.warning("the limits cannot be read, so there is no local share of them: %s", refusal(answer))
                except TROUBLE as e:
                    self._outage.begin(str(e) or type(e).__name__)
            await asyncio.sleep(LEARN_EVERY_S)


class _Retrying:
    """Takes the answer to a release. Usage that the coordinator cannot read must not leave the lease open: it is
    then settled without, which charges it in full."""

    __slots__ = ("_done", "_engine", "_facts", "_lease")

    def __init__(self, engine: Engine, lease: str, facts: Dict[str, Any], done: Done) -> None:
        self._engine = engine
        self._lease = lease
        self._facts = facts
        self._done = done

    def __call__(self, answer: Optional[Dict[str, Any]], error: Optional[SluiceError]) -> None:
        if isinstance(error, InvalidRequest) and self._facts:
            log.warning("a release was refused, its lease is charged in full: %s", error)
            self._engine.release(self._lease, {}, self._done)
        else:
            self._done(answer, error)


def _ignore(_answer: Optional[Dict[str, Any]], _error: Optional[SluiceError]) -> None:
    pass
