"""The loop around one call: acquire, call, settle, and what the coordinator advises after a failure.

A retry asks again with the ticket of the advice, at once: its place is kept, and the coordinator answers when its time has
come. It asks under the id of the lease before, for the place has that id; so a connection that breaks meanwhile does not
cost the place, nor a second lease.

An exception is followed up only where it is the call's: a status, a body of the provider's, a connection that broke, an
answer that was late. Any other is the function's own, and goes through as it is.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import Any, Awaitable, Callable, List, Optional, Tuple, Union

from ._errors import GaveUp, RouteExhausted, SluiceError
from ._failure import is_the_calls
from ._lease import Advice, AsyncLease, Lease, Settlement, _LeaseBase
from ._nested import working_under
from ._stream import PassedAsyncStream, PassedStream, is_async_stream, is_stream
from ._usage import headers_in, usage_of
from ._watch import warn_of_retries
from ._words import Words

ADVICE_S = 15.0  # how long an advice is waited for at least
ATTEMPTS_MAX = 100  # whatever is advised
ROUTE_FACTS = ("route", "passed", "finally", "static_answer")


class Course:
    """What was tried for one call, and what is to be tried next."""

    def __init__(self, words: Words, timeout: Optional[float], last: LastResort, usage: Optional[Callable[[Any], Any]]) -> None:
        self.words = words
        self._last = last
        self._usage = usage
        self._timeout = timeout
        self._attempts_max = min(words.optional.get("max_attempts") or ATTEMPTS_MAX, ATTEMPTS_MAX)
        self._waited = 0.0
        self._leases: List[str] = []
        self._tried: List[Tuple[str, str, str]] = []
        self.error: Optional[Exception] = None

    def begins(self, lease: _LeaseBase) -> bool:
        """Whether a lease is a new one: no call goes out on one that has ended, whatever its id is answered with."""
        if lease.id in self._leases:
            lease._disown()
            self.words = self.words.again(ticket=None, id=None, timeout=self._left())
            return False
        self._leases.append(lease.id)
        self._waited += lease.waited
        return True

    def refused(self, refusal: SluiceError) -> Any:
        """There is no lease: what the route ends in, or the refusal."""
        if isinstance(refusal, RouteExhausted) and self._last.has(refusal):
            return self._last.answer(refusal)
        if self.error is not None:
            refusal.__cause__ = self.error
        raise refusal

    @property
    def advice_timeout(self) -> Optional[float]:
        left = self._left()
        return None if left is None else max(left, ADVICE_S)

    def ends(self, advice: Advice) -> bool:
        """Whether there is no further attempt, and the route ends in an answer that the caller has."""
        return advice.action == "give_up" and self._last.has(advice)

    def last(self, advice: Advice) -> Any:
        return self._last.answer(advice)

    def follow(self, advice: Advice, lease: _LeaseBase, error: Exception) -> float:
        """Prepares the next attempt, and says how many seconds before it. Raises where there is none."""
        self._tried.append((lease.resource, lease.model, advice.reason))
        if advice.action not in ("retry", "fallback"):
            raise self._gave_up(advice.reason, lease, advice) from error
        if len(self._tried) >= self._attempts_max:
            lease._decline(advice)
            raise self._gave_up("attempts", lease, advice) from error
        self.error = error
        id = None if advice.ticket is None else lease._ask_id
        self.words = self.words.again(ticket=advice.ticket, id=id, timeout=self._left())
        return advice.after if advice.ticket is None else 0.0

    def settle(self, lease: Any, result: Any) -> None:
        """The call was served."""
        if lease.ended:
            return
        try:
            value = result if self._usage is None else self._usage(result)
            if self._usage is None and lease._noted is not None and usage_of(value) is None:
                value = lease._noted
            lease.settle(value, headers=headers_in(result))
        except BaseException as error:
            lease._leave(error)
            raise

    def _left(self) -> Optional[float]:
        """Seconds that it may still stand in line."""
        if not self._timeout:
            return self._timeout
        return max(self._timeout - self._waited, 0.001)

    def _gave_up(self, reason: str, lease: _LeaseBase, advice: Advice) -> GaveUp:
        n = len(self._tried)
        of_route = {key: advice.facts[key] for key in ROUTE_FACTS if key in advice.facts}
        facts = {"reason": reason, "tried": self._tried, "resource": lease.resource, **of_route}
        return GaveUp(f"gave up on {lease.resource!r} after {n} attempt{'' if n == 1 else 's'}: {reason}", code="gave_up", facts=facts)


class LastResort:
    """What stands in for an answer where a route has none left: the caller's, by what the route ends in."""

    def __init__(self, cached: Any, static: Optional[Callable[[str], Any]]) -> None:
        self._cached = cached
        self._static = static

    def has(self, end: Union[RouteExhausted, Advice]) -> bool:
        if end.finally_ == "cached":
            return self._cached is not None
        return end.finally_ == "static" and self._static is not None

    def answer(self, end: Union[RouteExhausted, Advice]) -> Any:
        if end.finally_ == "cached":
            return self._cached() if callable(self._cached) else self._cached
        assert self._static is not None
        return self._static(end.text or "")


def _raise_for_status(result: Any) -> None:
    """A plain HTTP response may be a refusal that nobody raised."""
    status = getattr(result, "status_code", None)
    if isinstance(status, int) and status >= 400 and callable(getattr(result, "raise_for_status", None)):
        result.raise_for_status()


def _is_followed_up(lease: _LeaseBase, error: Exception) -> bool:
    return not lease.ended and is_the_calls(error)


def run(acquire: Callable[[Words], Lease], function: Callable[[Lease], Any], course: Course) -> Any:
    """One call, in a thread."""
    while True:
        try:
            lease = acquire(course.words)
        except SluiceError as refusal:
            return course.refused(refusal)
        if not course.begins(lease):
            continue
        try:
            with working_under(lease):
                result = function(lease)
                _raise_for_status(result)
                if is_stream(result) and not lease.ended:
                    return PassedStream(lease, result)
        except Exception as error:
            warn_of_retries(error)
            advice = _advice(lease, error, course) if _is_followed_up(lease, error) else None
            if advice is None or advice.action == "done":
                lease._leave(error)
                raise
            if course.ends(advice):
                return course.last(advice)
            pause = course.follow(advice, lease, error)
        except BaseException as error:
            lease._leave(error)
            raise
        else:
            course.settle(lease, result)
            return result
        if pause > 0:
            time.sleep(pause)


def _advice(lease: Lease, error: Exception, course: Course) -> Optional[Advice]:
    """What to do next; None where the coordinator does not say."""
    try:
        return lease._report(error).result(course.advice_timeout).advice
    except (SluiceError, TimeoutError):
        return None


async def run_async(acquire: Callable[[Words], Awaitable[AsyncLease]], function: Callable[[AsyncLease], Any], course: Course) -> Any:
    """One call, in a task."""
    while True:
        try:
            lease = await acquire(course.words)
        except SluiceError as refusal:
            return await _awaited(course.refused(refusal))
        if not course.begins(lease):
            continue
        try:
            with working_under(lease):
                result = await _awaited(function(lease))
                _raise_for_status(result)
                if is_async_stream(result) and not lease.ended:
                    return await PassedAsyncStream(lease, result).begin()
        except Exception as error:
            warn_of_retries(error)
            advice = await _async_advice(lease, error, course) if _is_followed_up(lease, error) else None
            if advice is None or advice.action == "done":
                lease._leave(error)
                raise
            if course.ends(advice):
                return await _awaited(course.last(advice))
            pause = course.follow(advice, lease, error)
        except BaseException as error:
            lease._leave(error)
            raise
        else:
            course.settle(lease, result)
            return result
        if pause > 0:
            await asyncio.sleep(pause)


async def _async_advice(lease: AsyncLease, error: Exception, course: Course) -> Optional[Advice]:
    try:
        settlement: Settlement = await asyncio.wait_for(lease._report(error), course.advice_timeout)
        return settlement.advice
    except (SluiceError, asyncio.TimeoutError):
        return None


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
