"""Whether the coordinator is away, and when it is back.

One probe asks for the whole process: ten thousand waiting acquires do not become ten thousand
attempts. Between attempts it waits at random up to a span that doubles (full jitter), so that the
clients of a restarted coordinator do not all come back in the same moment.
"""

from __future__ import annotations

import asyncio
import random
from typing import Callable, Optional

from ._wire import TROUBLE, Wire

FIRST_SPAN_S = 0.1
SPAN_MAX_S = 5.0


class Outage:
    """Away or not; calls `on_back` when an absence has ended."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wire: Wire, on_back: Callable[[], None]) -> None:
        self._loop = loop
        self._wire = wire
        self._on_back = on_back
        self._task: Optional[asyncio.Task[None]] = None
        self.away = False
        self.cause = ""
        self._span = FIRST_SPAN_S

    def begin(self, cause: str, not_before: float = 0.0) -> None:
        """The coordinator does not answer; `not_before` seconds from now it asked not to be asked."""
        if self.away:
            return
        self.away = True
        self.cause = cause
        self._task = self._loop.create_task(self._watch(not_before))

    def proven(self) -> None:
        """The coordinator did some real work: the next outage is a new one."""
        self._span = FIRST_SPAN_S

    async def _watch(self, not_before: float) -> None:
        await asyncio.sleep(not_before)
        while True:
            await asyncio.sleep(random.uniform(0, self._span))
            self._span = min(self._span * 2, SPAN_MAX_S)
            if await self._answers():
                break
        self.away = False
        self._task = None
        self._on_back()

    async def _answers(self) -> bool:
        try:
            answer = await self._wire.ask("/readyz")
        except TROUBLE as e:
            self.cause = str(e) or type(e).__name__
            return False
        return answer.status < 500

    def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
