"""The acquires of one process, on their way to the coordinator and back.

Acquires made in the same moment travel as one array on one connection, and the answers come back
on it as they are decided. An array stays open until its last request is decided, which may take a
minute, so later acquires open further streams. The number of streams is kept small the way a
log-structured store keeps its files few: when STREAMS_SOFT_MAX are open, the smallest ones of similar
size are asked again, under their old ids, together with what is new. The coordinator answers whoever asked
last for an id and keeps the request's place in line, so nothing is lost by moving. Each
request is moved a logarithmic number of times, and ten thousand waiting requests take some
ten connections.

"Last" is what the coordinator saw last, and connections overtake each other: a stream whose connection is
still being made may arrive after the one its requests were moved to. It then takes their places, and the newer
stream is told that they were cancelled. Every stream says one thing of each of its requests, so while an older
one has not, a cancel is taken for its doing and the request is asked again, which takes the place back.

Every request carries an id, so that after a lost connection it is asked again without ever being
granted twice.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from typing import Any, Callable, Deque, Dict, Iterable, List, Optional, Protocol, Set

import httpx

from ._ask import HOLD_S, Ask, Grant, State
from ._errors import Cancelled, LineFull, ShuttingDown, SluiceError, UnknownLease, UnknownTicket, Unreachable, WaitTimeout, error_from
from ._gather import Gather
from ._outage import Outage
from ._wire import TROUBLE, Answer, Wire, is_away, read_json, read_lines, refusal

log = logging.getLogger("sluice")

ARRAY_MAX = 1024
STREAMS_SOFT_MAX = 8
STREAMS_MAX = 48
ASKS_MAX = 100_000
SIZE_RATIO = 4  # streams are merged with ones up to this many times larger
SILENCE_S = HOLD_S + 15.0  # the coordinator says something of each request within HOLD_S
SWEEP_AWAY_S = 0.05
SWEEP_S = 1.0
GRACE_S = 5.0  # an answer that is this late will not come


class Stream:
    """An array on its way: the asks it will bring the answers of."""

    def __init__(self, asks: List[Ask]) -> None:
        self.asks = asks
        self.waiting = len(asks)

    def left(self) -> List[Ask]:
        """Those that still wait for this stream's answer."""
        return [ask for ask in self.asks if ask.stream is self and ask.state is State.WAITING]


class Fallback(Protocol):
    """What decides while the coordinator is away."""

    def take(self, ask: Ask) -> bool: ...

    def give_back(self) -> List[Ask]: ...


class Line:
    """Asks in, grants and errors out. Lives in one event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        wire: Wire,
        outage: Outage,
        withdraw: Callable[[str], None],
        on_grant: Callable[[Ask, Grant], None],
    ) -> None:
        self._loop = loop
        self._wire = wire
        self._outage = outage
        self._withdraw = withdraw
        self._on_grant = on_grant
        self._fresh: Deque[Ask] = deque()
        self._streams: Set[Stream] = set()
        self._tasks: Set[asyncio.Task[None]] = set()
        self._gather = Gather(loop, self._flush)
        self._sweeper: Optional[asyncio.TimerHandle] = None
        self._known: Dict[str, Ask] = {}  # all that wait, by id
        self._numbers = itertools.count(1)
        self.refuse_when_away = False
        self.fallback: Optional[Fallback] = None

    def submit(self, ask: Ask) -> None:
        if len(self._known) >= ASKS_MAX:
            ask.fail(LineFull(f"{ASKS_MAX} acquires of this process wait already", code="line_full"))
        elif ask.id in self._known:
            ask.fail(ValueError(f"an acquire with the id {ask.id!r} waits already"))
        else:
            self._known[ask.id] = ask
            ask.number = next(self._numbers)
            self._put([ask])
            self._sweep_later()

    def abandon(self, ask: Ask) -> None:
        """The caller does not wait any longer: take the request out of the line."""
        if ask.state is not State.WAITING:
            return
        ask.state = State.ABANDONED
        self.forget(ask)
        if ask.sent:
            self._withdraw(ask.id)

    def resume(self) -> None:
        """The coordinator is back."""
        if self.fallback is not None:
            self._fresh.extend(self.fallback.give_back())
        self._gather.poke()

    def fail_all(self, error: SluiceError) -> None:
        for ask in list(self._known.values()):
            self.forget(ask)
            ask.fail(error)
            if ask.sent:
                self._withdraw(ask.id)

    def close(self) -> None:
        self._gather.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for task in self._tasks:
            task.cancel()

    # --- To be sent, or to wait until the coordinator is back ---

    def _put(self, asks: Iterable[Ask]) -> None:
        """Asks that are to be sent next, or judged by the rule for a coordinator that is away."""
        if not self._outage.away:
            self._fresh.extend(asks)
            self._gather.poke()
            return
        now = self._loop.time()
        for ask in asks:
            if self.fallback is not None and self.fallback.take(ask):
                continue
            if self.refuse_when_away or ask.late(now):
                self._fail(ask, self._unreachable())
            else:
                self._fresh.append(ask)

    def _unreachable(self) -> Unreachable:
        return Unreachable.because(self._outage.cause)

    def _sweep_later(self) -> None:
        """Looks after deadlines from time to time. The coordinator keeps them itself; this is for when it is away,
        or does not answer at all."""
        if not self._known:
            return
        every = SWEEP_AWAY_S if self._outage.away else SWEEP_S
        due = self._loop.time() + every
        if self._sweeper is not None:
            if self._sweeper.when() <= due:
                return
            self._sweeper.cancel()
        self._sweeper = self._loop.call_at(due, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now = self._loop.time()
        grace = 0.0 if self._outage.away else GRACE_S
        for ask in [a for a in self._known.values() if a.late(now - grace) and not a.judged]:
            if self._outage.away:
                self._fail(ask, self._unreachable())
            else:
                self._fail(ask, WaitTimeout("the coordinator did not answer in time", code="wait_timeout"))
                self._withdraw(ask.id)
        self._sweep_later()

    def _flush(self) -> None:
        """Sends what is fresh, as arrays on as few streams as will do."""
        while self._fresh and not self._outage.away:
            if len(self._streams) >= STREAMS_MAX:
                return  # goes on when a stream ends
            batch = self._take_batch()
            if batch:
                self._open(batch)

    def _take_batch(self) -> List[Ask]:
        batch: List[Ask] = []
        now = self._loop.time()
        while self._fresh and len(batch) < ARRAY_MAX:
            ask = self._fresh.popleft()
            if ask.state is not State.WAITING or ask.future.done():
                continue  # nobody waits for it any more
            if ask.tries and ask.late(now):
                self._fail(ask, WaitTimeout("the time to wait was up while the connection was lost"))
            else:
                batch.append(ask)
        if len(self._streams) >= STREAMS_SOFT_MAX:
            self._merge_into(batch)
        return batch

    def _merge_into(self, batch: List[Ask]) -> None:
        """Adds what the smallest streams wait for to a batch that would otherwise be one stream too many."""
        for stream in sorted(self._streams, key=lambda s: s.waiting):
            if stream.waiting > SIZE_RATIO * len(batch) or stream.waiting + len(batch) > ARRAY_MAX:
                break
            for ask in stream.left():
                ask.ticket = ask.given_ticket  # else the id is what keeps the place of a request that has a caller
                ask.older.add(stream)
                batch.append(ask)
            stream.waiting = 0
            self._streams.discard(stream)  # its task still reads what is on its way
        batch.sort(key=lambda ask: ask.number)  # the coordinator may not have seen the older ones yet

    def _open(self, asks: List[Ask]) -> None:
        stream = Stream(asks)
        for ask in asks:
            ask.stream = stream
            ask.sent = True
        self._streams.add(stream)
        task = self._loop.create_task(self._run(stream))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- Answers ---

    async def _run(self, stream: Stream) -> None:
        """One array from its sending to its last answer."""
        cause: Optional[Exception] = None
        try:
            await self._exchange(stream)
        except TROUBLE as e:
            cause = e
        except Exception as e:
            log.exception("an answer to an acquire could not be understood")
            for ask in stream.left():
                self._fail(ask, SluiceError(f"the coordinator gave an unexpected answer: {e!r}"))
        finally:
            self._streams.discard(stream)
        left = stream.left()
        if left:
            self._lost(stream, left, cause)
        if self._fresh:
            self._gather.poke()

    async def _exchange(self, stream: Stream) -> None:
        now = self._loop.time()
        payload = ",".join([ask.request(now) for ask in stream.asks])
        response = await self._wire.open("/v1/acquire", f"[{payload}]", timeout=SILENCE_S)
        try:
            if response.status_code != 200:
                self._refuse_array(stream, Answer(response.status_code, await read_json(response)))
                return
            async for answer in read_lines(response):
                self._outage.proven()
                self._decide(stream, answer)
        finally:
            await response.aclose()

    def _decide(self, stream: Stream, answer: Any) -> None:
        """One line of a stream: a grant, a ticket, or a refusal."""
        index = answer.get("index") if isinstance(answer, dict) else None
        if not isinstance(index, int) or not 0 <= index < len(stream.asks):
            raise httpx.RemoteProtocolError("an answer to nothing that was asked")
        ask = stream.asks[index]
        ask.older.discard(stream)
        if "lease" in answer:
            self._granted(ask, answer)
        elif ask.stream is stream and ask.state is State.WAITING:
            self._left(ask)
            if "ticket" in answer:
                ask.ticket = answer["ticket"]
                self._put([ask])
            else:
                self._refused(ask, error_from(answer, answer.get("status")))

    def _refused(self, ask: Ask, error: SluiceError) -> None:
        if isinstance(error, ShuttingDown):
            self._outage.begin(error.message, error.retry_after or 0.0)
            ask.lose_ticket()
            self._put([ask])
        elif isinstance(error, UnknownTicket) and ask.ticket is not None:
            ask.lose_ticket()
            self._put([ask])
        elif isinstance(error, UnknownLease) and ask.parent_found:
            ask.lose_parent()
            self._put([ask])
        elif isinstance(error, Cancelled) and ask.older:
            self._put([ask])  # an older stream arrived last and took its place: asking again takes it back
        elif isinstance(error, WaitTimeout) and ask.deadline is None:
            ask.lose_ticket()  # "as long as it takes" is longer than the longest wait there is
            self._put([ask])
        else:
            self._fail(ask, error)

    def _granted(self, ask: Ask, answer: Dict[str, Any]) -> None:
        if ask.state is State.GRANTED:
            return  # the same grant, asked for twice
        grant = Grant(
            lease=answer["lease"],
            resource=answer.get("resource") or ask.name,
            model=answer.get("model", ""),
            held=answer.get("held", {}),
            waited_s=answer.get("waited_ms", 0) / 1000,
            attempt=answer.get("attempt", 1),
            local=False,
            place=ask.place,
            facts=answer,
        )
        self._left(ask)
        self.forget(ask)
        if ask.grant(grant):
            self._on_grant(ask, grant)
        elif ask.state is not State.FAILED:
            ask.state = State.ABANDONED
            self._withdraw(ask.id)

    def _refuse_array(self, stream: Stream, answer: Answer) -> None:
        """The array as a whole was refused."""
        asks = stream.left()
        error = refusal(answer)
        if is_away(answer):
            self._outage.begin(error.message, error.retry_after or 0.0)
        elif answer.status in (400, 413) and len(asks) > 1:
            # One bad request must not take the others with it.
            for half in (asks[: len(asks) // 2], asks[len(asks) // 2 :]):
                self._open(half)
        else:
            for ask in asks:
                self._fail(ask, error)

    def _lost(self, stream: Stream, asks: List[Ask], cause: Optional[Exception]) -> None:
        """The connection ended before these were decided. A connection may break for reasons of its own, so
        an answer to the second attempt is what says whether the coordinator is there."""
        sent = not isinstance(cause, (httpx.ConnectError, httpx.ConnectTimeout))
        again = sent and all(ask.tries == 0 for ask in asks)
        for ask in asks:
            ask.stream = None
            ask.tries += 1
            if sent:
                ask.older.add(stream)
        if not again:
            self._outage.begin(str(cause or "the connection was closed") or type(cause).__name__)
        self._put(asks)
        self._sweep_later()

    # --- Small moves ---

    def _left(self, ask: Ask) -> None:
        if isinstance(ask.stream, Stream):
            ask.stream.waiting -= 1
        ask.stream = None

    def forget(self, ask: Ask) -> None:
        """An ask that does not wait any longer."""
        if self._known.get(ask.id) is ask:
            del self._known[ask.id]

    def _fail(self, ask: Ask, error: Exception) -> None:
        self.forget(ask)
        ask.fail(error)

