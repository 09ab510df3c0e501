"""A local share of the limits, for the time in which the coordinator is away.

Every process that is given a share enforces it by itself: N processes with a share of 1/N together stay
within the limits. Requests and tokens are counted over an exact rolling window that is kept GUARD_S longer than
the provider's, calls in flight as they are, and budgets without a near end as what was left of them when the
coordinator was last heard. What was charged stays charged: local leases are not trued up.

The coordinator never learns of them: it has no way to book what was not granted by it. So what was granted here is
counted, and told in the log when the coordinator is back.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections import deque
from dataclasses import dataclass
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Tuple

from ._ask import Ask, Grant, State
from ._errors import WaitTimeout, WouldWait

GUARD_S = 0.25
TURN_S = 0.05  # while requests wait for their share
LEASE_PREFIX = "local-"

Use = Dict[str, Dict[str, float]]  # by resource and unit

log = logging.getLogger("sluice")


@dataclass(frozen=True)
class LocalShare:
    """What one process may use of each resource while the coordinator is away.

    Either amounts (requests per minute, tokens per minute, calls in flight), or a `share` of the limits that
    the coordinator last reported.
    """

    rpm: Optional[int] = None
    tpm: Optional[int] = None
    concurrency: Optional[int] = None
    share: Optional[float] = None

    def __post_init__(self) -> None:
        amounts = (self.rpm, self.tpm, self.concurrency)
        if (self.share is None) == all(amount is None for amount in amounts):
            raise ValueError("give either amounts (rpm, tpm, concurrency) or a share")
        if self.share is not None and not 0 < self.share <= 1:
            raise ValueError("a share is more than 0 and at most 1")
        if any(amount is not None and amount < 1 for amount in amounts):
            raise ValueError("amounts are at least 1")

    def counters(self, view: Optional[Mapping[str, Any]]) -> List[Counter]:
        """The counters for a resource of which the coordinator last said `view`."""
        if self.share is not None:
            return [c for c in (_counter_of(limit, self.share) for limit in (view or {}).get("limits", ())) if c]
        given = (("requests", self.rpm, 60.0), ("tokens", self.tpm, 60.0), ("slots", self.concurrency, None))
        return [Counter(unit, amount, per_s) for unit, amount, per_s in given if amount is not None]


class Counter:
    """One limit's local share. `per_s` is None for calls in flight, infinite for what does not come back."""

    def __init__(self, unit: str, amount: float, per_s: Optional[float]) -> None:
        self.unit = unit
        self.amount = amount
        self.per_s = per_s
        self.used: float = 0
        self._log: Deque[Tuple[float, float]] = deque()

    def free(self, now: float) -> float:
        while self._log and self.per_s is not None and self._log[0][0] + self.per_s + GUARD_S <= now:
            self.used -= self._log.popleft()[1]
        return self.amount - self.used

    def charge(self, n: float, now: float) -> None:
        self.used += n
        if self.per_s is not None and n:
            self._log.append((now, n))

    def is_like(self, other: Counter) -> bool:
        return (self.unit, self.per_s) == (other.unit, other.per_s)

    def give_back(self, n: float) -> None:
        """The call has ended; only calls in flight come back by that."""
        if self.per_s is None:
            self.used -= n


def _counter_of(limit: Mapping[str, Any], share: float) -> Optional[Counter]:
    """The local share of a limit as the coordinator shows it; None for limits of single tenants, sessions
    or labels, of which one process cannot know its share, and for those that the provider has not told yet."""
    if limit.get("scope") != "resource" or limit.get("amount") is None:
        return None
    unit, window = str(limit.get("unit")), limit.get("window")
    if window in ("rolling", "bucket"):
        return Counter(unit, math.floor(limit["amount"] * share), limit["per_ms"] / 1000)
    if window == "none":
        return Counter(unit, math.floor(limit["amount"] * share), None)
    return Counter(unit, max(0, limit.get("remaining", 0)) * share, math.inf)


def _carried_over(old: List[Counter], new: List[Counter]) -> List[Counter]:
    """The counters of a resource whose limits were read again."""
    left = list(old)
    result = []
    for counter in new:
        same = next((c for c in left if c.is_like(counter)), None)
        if same is not None:
            left.remove(same)
            same.amount = counter.amount
        result.append(same or counter)
    return result


def add_use(use: Use, resource: str, amounts: Mapping[str, float]) -> None:
    """Adds to what was used of a resource."""
    sums = use.setdefault(resource, {})
    for unit, amount in amounts.items():
        if unit != "slots":  # calls in flight are over when they are over
            sums[unit] = sums.get(unit, 0) + amount


def complete_load(load: Any) -> Dict[str, float]:
    """Every unit's amount, filled in the way the coordinator does."""
    given = {"tokens": load} if isinstance(load, (int, float)) else dict(load or {})
    parts = [given[unit] for unit in ("input_tokens", "output_tokens") if unit in given]
    tokens = given.get("tokens", sum(parts))
    return {
        "requests": given.get("requests", 1),
        "slots": 1,
        "tokens": tokens,
        "input_tokens": given.get("input_tokens", 0 if parts else tokens),
        "output_tokens": given.get("output_tokens", 0 if parts else tokens),
        "usd": given.get("usd", 0),
    }


class LocalJudge:
    """Grants from the local share, in order of arrival for each resource. Lives in one event loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, share: LocalShare, decided: Callable[[Ask], None]
    ) -> None:
        self._loop = loop
        self._decided = decided
        self._share = share
        self._views: Dict[str, Mapping[str, Any]] = {}
        self._counters: Dict[str, List[Counter]] = {}
        self._queues: Dict[str, Deque[Ask]] = {}
        self._held: Dict[str, Tuple[str, Dict[str, float], List[Counter]]] = {}
        self._number = itertools.count(1)
        self.use: Use = {}  # all that was granted here
        self._untold: Use = {}  # of it, what the log does not have yet
        self._timer: Optional[asyncio.TimerHandle] = None

    @property
    def wants_limits(self) -> bool:
        """Whether it needs to be told what the coordinator's limits are."""
        return self._share.share is not None

    def learn(self, resources: Any) -> None:
        """Takes over what GET /v1/resources said. Counters go on counting, by the new amounts."""
        for view in (resources or {}).get("resources", ()):
            name = view["resource"]
            self._views[name] = view
            if name in self._counters:
                self._counters[name] = _carried_over(self._counters[name], self._share.counters(view))

    def take(self, ask: Ask) -> bool:
        """Judges an ask here. False where there is no share to judge by, or it could never fit."""
        resource = ask.fields.get("resource")
        if resource is None:
            return False  # what a route leads to, the coordinator alone knows
        counters = self._counters.get(resource)
        if counters is None:
            counters = self._counters[resource] = self._share.counters(self._views.get(resource))
        load = complete_load(ask.fields.get("load"))
        if not counters or any(load[c.unit] > c.amount for c in counters):
            return False
        ask.judged = True
        queue = self._queues.setdefault(resource, deque())
        queue.append(ask)
        self._run(resource)
        if ask.late(self._loop.time()) and ask.state is State.WAITING:
            queue.pop()
            self._refuse(ask)
        return True

    def settle(self, lease: str) -> Dict[str, float]:
        resource, load, counters = self._held.pop(lease, ("", {}, []))
        for counter in counters:
            counter.give_back(load[counter.unit])
        self._run(resource)
        return load

    def give_back(self) -> List[Ask]:
        """The coordinator is back: those that still wait, for its line."""
        self._tell_use()
        asks = [ask for queue in self._queues.values() for ask in queue if ask.state is State.WAITING]
        self._queues.clear()
        for ask in asks:
            ask.judged = False
        return asks

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _run(self, resource: str) -> None:
        """Grants as many of a resource's queue as fit now."""
        queue = self._queues.get(resource)
        now = self._loop.time()
        while queue and (queue[0].state is not State.WAITING or self._grant(queue[0], now)):
            self._decided(queue.popleft())
        if queue and self._timer is None:
            self._timer = self._loop.call_later(TURN_S, self._turn)

    def _turn(self) -> None:
        """Those whose time is up leave, wherever they stand; then whoever fits is granted."""
        self._timer = None
        now = self._loop.time()
        for resource, queue in list(self._queues.items()):
            late = [ask for ask in queue if ask.late(now)]
            if late:
                self._queues[resource] = deque(ask for ask in queue if not ask.late(now))
                for ask in late:
                    self._refuse(ask)
            self._run(resource)

    def _refuse(self, ask: Ask) -> None:
        if ask.patient:
            ask.fail(WaitTimeout("the time to wait for the local share was up", code="wait_timeout"))
        else:
            ask.fail(WouldWait("the local share is used up for now", code="would_wait"))
        self._decided(ask)

    def _grant(self, ask: Ask, now: float) -> bool:
        resource = ask.fields["resource"]
        load = complete_load(ask.fields.get("load"))
        counters = self._counters[resource]
        if any(load[c.unit] > c.free(now) for c in counters):
            return False
        lease = f"{LEASE_PREFIX}{next(self._number)}"
        held = {unit: amount for unit, amount in load.items() if amount}
        model = str(self._views.get(resource, {}).get("model", resource))
        grant = Grant(lease, resource, model, held, 0.0, 1, True, ask.place)
        if ask.grant(grant):
            for counter in counters:
                counter.charge(load[counter.unit], now)
            self._held[lease] = (resource, load, counters)
            for use in (self.use, self._untold):
                add_use(use, resource, held)
        return True

    def _tell_use(self) -> None:
        for resource, use in self._untold.items():
            amounts = ", ".join(f"{amount} {unit}" for unit, amount in use.items())
            log.warning("the coordinator was away, and does not book what was granted of %r meanwhile: %s", resource, amounts)
        self._untold = {}
