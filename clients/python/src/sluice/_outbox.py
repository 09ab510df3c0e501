"""What is told to the coordinator without waiting for it: releases and cancels.

Releases that come together travel as one array; while IN_FLIGHT_MAX arrays are unanswered, further ones
gather. What could not be delivered is kept and sent again: a repeated release changes nothing, so twice
is harmless, and never would charge the call in full.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, Callable, Deque, Dict, List, Optional, Set

import httpx

from ._errors import ShuttingDown, SluiceError, StoreFailed, error_from
from ._gather import Gather
from ._outage import Outage
from ._wire import TROUBLE, Answer, Wire, is_away, read_json, read_lines, refusal

ARRAY_MAX = 256
IN_FLIGHT_MAX = 2
PARCELS_MAX = 100_000
RETRY_S = 1.0

log = logging.getLogger("sluice")


class Parcel:
    """One thing to tell, in JSON. `done` gets the answer, or the error that kept it from being taken."""

    __slots__ = ("done", "text")

    def __init__(
        self, text: str, done: Callable[[Optional[Dict[str, Any]], Optional[SluiceError]], None]
    ) -> None:
        self.text = text
        self.done = done


class Outbox:
    """Delivers parcels to one path of the API. Lives in one event loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, wire: Wire, outage: Outage, path: str, *, arrays: bool
    ) -> None:
        self._loop = loop
        self._wire = wire
        self._outage = outage
        self._path = path
        self._array_max = ARRAY_MAX if arrays else 1
        self._arrays = arrays
        self._parcels: Deque[Parcel] = deque()
        self._tasks: Set[asyncio.Task[None]] = set()
        self._gather = Gather(loop, self._flush)
        self._broken = 0  # connections that broke in a row
        self._closed = False
        self._idle = asyncio.Event()
        self._idle.set()

    def post(self, parcel: Parcel) -> None:
        if len(self._parcels) >= PARCELS_MAX:
            parcel.done(None, SluiceError(f"{PARCELS_MAX} messages to the coordinator wait already"))
            return
        self._idle.clear()
        self._parcels.append(parcel)
        if len(self._tasks) < IN_FLIGHT_MAX:
            self._gather.poke()

    def resume(self) -> None:
        self._gather.poke()

    async def drained(self) -> None:
        """Returns when everything was delivered."""
        await self._idle.wait()

    def close(self) -> None:
        self._closed = True
        self._gather.close()
        for task in self._tasks:
            task.cancel()

    def _flush(self) -> None:
        while self._parcels and len(self._tasks) < IN_FLIGHT_MAX and not self._outage.away:
            batch = [self._parcels.popleft() for _ in range(min(len(self._parcels), self._array_max))]
            left: List[Optional[Parcel]] = [*batch]
            task = self._loop.create_task(self._deliver(batch, left))
            self._tasks.add(task)
            task.add_done_callback(lambda task, left=left: self._delivered(task, left))  # type: ignore[misc]

    def _delivered(self, task: asyncio.Task[None], left: List[Optional[Parcel]]) -> None:
        """A delivery is over, also by being cancelled before it began: what is left goes back to the front."""
        self._tasks.discard(task)
        self._parcels.extendleft(reversed([parcel for parcel in left if parcel is not None]))
        if self._parcels and not self._closed:
            self._gather.poke()
        elif not self._tasks:
            self._idle.set()

    async def _deliver(self, batch: List[Parcel], left: List[Optional[Parcel]]) -> None:
        try:
            await self._exchange(batch, left)
            self._broken = 0
            self._outage.proven()
        except Exception as e:
            if not isinstance(e, TROUBLE):
                log.exception("an answer to %s could not be understood", self._path)
            self._broken += 1
            # A kept-alive connection may break for reasons of its own; the second time tells.
            if self._broken > 1 or isinstance(e, (httpx.ConnectError, httpx.ConnectTimeout)):
                self._outage.begin(str(e) or type(e).__name__)

    async def _exchange(self, batch: List[Parcel], left: List[Optional[Parcel]]) -> None:
        """Sends a batch; takes out of `left` what was answered for good."""
        payload = ",".join([parcel.text for parcel in batch])
        if self._arrays:
            payload = f"[{payload}]"
        response = await self._wire.open(self._path, payload)
        try:
            if self._arrays and response.status_code == 200:
                async for line in read_lines(response):
                    self._settle(left, line.get("index", -1), line, line.get("status", 200))
                return
            answer = Answer(response.status_code, await read_json(response))
        finally:
            await response.aclose()
        if is_away(answer):
            error = refusal(answer)
            self._outage.begin(error.message, error.retry_after or 0.0)
        elif answer.status == 413 and len(batch) > 1:
            self._array_max = max(1, len(batch) // 2)
        else:
            for index in range(len(batch)):
                self._settle(left, index, answer.body, answer.status)

    def _settle(self, left: List[Optional[Parcel]], index: int, body: Any, status: int) -> None:
        if not 0 <= index < len(left):
            raise httpx.RemoteProtocolError("an answer to nothing that was told")
        parcel = left[index]
        if parcel is None:
            return
        if status < 300:
            left[index] = None
            parcel.done(body, None)
            return
        error = error_from(body, status)
        if isinstance(error, (ShuttingDown, StoreFailed)):
            self._outage.begin(error.message, error.retry_after or RETRY_S)
            return
        left[index] = None
        parcel.done(None, error)
