"""An engine in a thread of its own, for callers that block.

It lives until its client is closed or the process ends, so that a lease may outlive its client's name.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import threading
from typing import Any, List, Set

from ._engine import CLOSE_S, Engine
from ._words import Defaults

# Engines of a parent process: closing them here would disturb the parent, so they are kept from being collected.
left_to_parent: List[Any] = []


class EngineThread:
    """An engine in a thread of its own, for callers that block."""

    def __init__(self, defaults: Defaults) -> None:
        self._ready: concurrent.futures.Future[Engine] = concurrent.futures.Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._main(defaults)), name="sluice", daemon=True
        )
        self._thread.start()
        self.engine = self._ready.result()
        _threads.add(self)

    async def _main(self, defaults: Defaults) -> None:
        try:
            engine = Engine(defaults.settings)
        except BaseException as e:
            self._ready.set_exception(e)
            return
        self._stop = asyncio.Event()
        self._ready.set_result(engine)
        await self._stop.wait()
        await engine.aclose()

    def close(self) -> None:
        _threads.discard(self)
        if self._thread.is_alive():
            self.engine.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(CLOSE_S + 1.0)


_threads: Set[EngineThread] = set()


def _close_all() -> None:
    for thread in list(_threads):
        thread.close()


def leave_to_parent() -> None:
    """In a forked process: its parent's threads are not here."""
    left_to_parent.extend(_threads)
    _threads.clear()


atexit.register(_close_all)
