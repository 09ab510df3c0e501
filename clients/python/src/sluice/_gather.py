"""Gathers what happens in one moment, so that it travels together.

The first thing after a quiet time leaves at the end of the event loop's turn, with all else that
turn brought. While things keep coming they leave at most once in GATHER_S.
"""

from __future__ import annotations

import asyncio
from typing import Callable, Optional

GATHER_S = 0.001


class Gather:
    """Calls `flush` soon after `poke`, once for many pokes."""

    def __init__(self, loop: asyncio.AbstractEventLoop, flush: Callable[[], None]) -> None:
        self._loop = loop
        self._flush = flush
        self._handle: Optional[asyncio.Handle] = None
        self._last = 0.0

    def poke(self) -> None:
        if self._handle is not None:
            return
        due = self._last + GATHER_S
        if self._loop.time() >= due:
            self._handle = self._loop.call_soon(self._run)
        else:
            self._handle = self._loop.call_at(due, self._run)

    def _run(self) -> None:
        self._handle = None
        self._last = self._loop.time()
        self._flush()

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
