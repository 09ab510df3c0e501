"""Keeps the leases of the process alive, with one renewal for all of them.

A lease is renewed when a third of its life is over; most calls end before, and cost nothing here. Nothing
runs while no lease is held.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Dict, List, Optional, Tuple

from ._ask import Place
from ._outage import Outage
from ._wire import TROUBLE, Wire, encode

ARRAY_MAX = 1024
LEAST_S = 0.01

log = logging.getLogger("sluice")


class Held:
    """A lease this process holds. `lost` is set when it ended without our word."""

    __slots__ = ("due", "lease", "lease_ms", "lost", "place", "resource")

    def __init__(self, lease: str, resource: str, place: Place, lease_ms: int, due: float) -> None:
        self.lease = lease
        self.resource = resource
        self.place = place
        self.lease_ms = lease_ms
        self.due = due
        self.lost = False


class Heartbeat:
    """Renews what it was given until it is told to drop it. Lives in one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, wire: Wire, outage: Outage) -> None:
        self._loop = loop
        self._wire = wire
        self._outage = outage
        self._held: Dict[str, Held] = {}
        self._timer: Optional[asyncio.TimerHandle] = None
        self._timer_due = 0.0
        self._task: Optional[asyncio.Task[None]] = None

    def add(self, lease: str, resource: str, place: Place, lease_ms: int) -> Held:
        due = self._loop.time() + max(lease_ms / 3000, LEAST_S)
        held = self._held[lease] = Held(lease, resource, place, lease_ms, due)
        self._set_timer(held.due)
        return held

    def drop(self, lease: str) -> None:
        self._held.pop(lease, None)
        if not self._held and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def take_all(self) -> List[Held]:
        """What is held, to be ended by the caller."""
        held, self._held = self._held, {}
        return list(held.values())

    def resume(self) -> None:
        """The coordinator is back: what came due meanwhile is renewed now."""
        if self._held:
            self._set_timer(self._loop.time())

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _set_timer(self, due: float) -> None:
        if self._task is not None or (self._timer is not None and self._timer_due <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_at(due, self._beat)

    def _beat(self) -> None:
        self._timer = None
        if self._outage.away or not self._held:
            return
        now = self._loop.time()
        # What is due soon comes along: a little early once is cheaper than a request each.
        due = [held for held in self._held.values() if held.due - now <= held.lease_ms / 6000]
        if due:
            self._task = self._loop.create_task(self._renew(due))
        else:
            self._set_timer(min(held.due for held in self._held.values()))

    async def _renew(self, due: List[Held]) -> None:
        by_life: Dict[int, List[Held]] = {}
        for held in due:
            by_life.setdefault(held.lease_ms, []).append(held)
        try:
            for lease_ms, helds in by_life.items():
                for at in range(0, len(helds), ARRAY_MAX):
                    await self._renew_some(lease_ms, helds[at : at + ARRAY_MAX])
        except TROUBLE as e:
            self._outage.begin(str(e) or type(e).__name__)
        except Exception:  # whatever it was, the other leases must live on
            log.exception("leases could not be renewed; trying again")
        finally:
            self._task = None
        if self._held and not self._outage.away:
            self._set_timer(min(held.due for held in self._held.values()))

    async def _renew_some(self, lease_ms: int, helds: List[Held]) -> None:
        payload = {"leases": [held.lease for held in helds], "lease_ms": lease_ms}
        status, body = await self._wire.ask("/v1/renew", encode(payload))
        due = self._loop.time() + max(lease_ms / 3000, LEAST_S)
        for held in helds:
            held.due = due
        if status != 200:
            log.warning("leases could not be renewed: %s %.200r", status, body)
            return
        for lease, lost in _lost_in(body):
            if lost and lease in self._held:
                self._held[lease].lost = True
                self.drop(lease)
                log.warning("lease %s had expired before it could be renewed", lease)


def _lost_in(body: Any) -> List[Tuple[str, bool]]:
    answers = body.get("leases") if isinstance(body, dict) else None
    return [(a.get("lease", ""), "error" in a) for a in answers or () if isinstance(a, dict)]
