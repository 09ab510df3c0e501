"""`Client`: for threads.

It has an engine in a thread of its own, and starts afresh in a forked process: what the parent holds stays with the parent.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import os
import threading
import weakref
from types import TracebackType
from typing import Any, Callable, Dict, Mapping, Optional, Type, TypeVar, Union, cast

from ._ask import Load
from ._course import run
from ._engine import Engine
from ._engine_thread import EngineThread, leave_to_parent, left_to_parent
from ._errors import ClientClosed
from ._lease import Lease
from ._local import Use
from ._told import Told, get_from, path_of, shown
from ._watch import warn_of_clients
from ._words import UNSET, Timeout, Words, caller, check_words, evaluate, lease_passer, place_of, refuse_generator

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class Client(Told):
    """A client for threads. One is enough for a process; all of its threads may use it at once.

    `url` defaults to SLUICE_URL or http://127.0.0.1:7411, `api_key` to SLUICE_API_KEY. `timeout` is how many
    seconds an acquire waits in line unless it says otherwise (None: as long as it takes), `lease_seconds` how
    long a lease outlives a process that vanished. `on_unreachable` says what to do while the
    coordinator is away: "wait", "refuse", or a `LocalShare`. `transport` replaces the connection by one of
    httpx's, for proxies or TLS of one's own. `find_parent` says whether an acquire names the lease that its caller works
    under as its parent.
    """

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._thread: Optional[EngineThread] = None
        self._pid = os.getpid()
        _clients.add(self)

    def _engine(self) -> Engine:
        if os.getpid() != self._pid:
            left_to_parent.append(self._thread)
            self._start_afresh()
        thread = self._thread
        if thread is None:
            with self._lock:
                if self._closed:
                    raise ClientClosed("the client is closed")
                thread = self._thread = self._thread or EngineThread(self._defaults)
        return thread.engine

    def acquire(
        self,
        resource: Optional[str] = None,
        *,
        route: Optional[str] = None,
        input_tokens: Optional[int] = None,
        max_output_tokens: Optional[int] = None,
        tokens: Optional[int] = None,
        load: Optional[Load] = None,
        input_bytes: Optional[int] = None,
        priority: Optional[int] = None,
        tenant: Optional[str] = None,
        session: Optional[str] = None,
        labels: Optional[Mapping[str, str]] = None,
        parent: Any = UNSET,
        timeout: Timeout = UNSET,
        max_attempts: Optional[int] = None,
        id: Optional[str] = None,
        ticket: Optional[str] = None,
    ) -> Lease:
        """Waits in line for a lease on `resource`, or on the first of a `route` that will do.

        `timeout` is in seconds; 0 does not wait at all. `parent` is the lease of the agent that asks; unless it is given, the
        lease that the caller works under. An `id` of your own makes an acquire that is repeated, even by another
        process, get the same lease.
        """
        return self._acquire(
            resource,
            Words(
                caller(),
                input_tokens,
                max_output_tokens,
                tokens,
                load,
                timeout,
                parent,
                route,
                input_bytes=input_bytes,
                priority=priority,
                tenant=tenant,
                session=session,
                labels=labels,
                id=id,
                ticket=ticket,
                max_attempts=max_attempts,
            ),
        )

    def _acquire(self, resource: Optional[str], words: Words) -> Lease:
        engine = self._engine()
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        ask = self._defaults.ask(engine, resource, words, future)
        try:
            engine.post(engine.submit, ask)
            return Lease(engine, ask, future.result())
        except BaseException:
            engine.post(engine.abandon, ask)
            raise

    def call(
        self,
        function: Callable[[Lease], T],
        resource: Optional[str] = None,
        *,
        route: Optional[str] = None,
        usage: Optional[Callable[[T], Any]] = None,
        cached: Union[Callable[[], T], T, None] = None,
        static: Optional[Callable[[str], T]] = None,
        **words: Any,
    ) -> T:
        """Calls `function` with a lease, as often as the coordinator advises, and returns what it returned.

        The lease says what to call (`model`, `account`, `max_output_tokens`), and each attempt has its own. It is settled with
        what the function returned, or what `usage` picks from that, and with the exception it raised. The words are
        those of `acquire`. Raises `GaveUp` from the last exception where trying again does not help. `cached` (an answer, or
        a function that has one) and `static` (a function of the route's text) stand in where the route ends in that.
        """
        check_words(words)
        warn_of_clients(function)
        given = Words(caller(), route=route, **words)
        return self._run(function, resource, given, {"usage": usage, "cached": cached, "static": static})

    def _run(self, function: Callable[[Lease], T], resource: Optional[str], words: Words, choices: Mapping[str, Any]) -> T:
        course = self._course(words, choices)
        try:
            return cast(T, run(lambda words: self._acquire(resource, words), function, course))
        finally:
            course.error = None

    def limited(
        self,
        resource: Optional[str] = None,
        *,
        route: Optional[str] = None,
        load: Any = None,
        usage: Optional[Callable[[Any], Any]] = None,
        cached: Any = None,
        static: Optional[Callable[[str], Any]] = None,
        **words: Any,
    ) -> Callable[[F], F]:
        """Decorates a function: each call of it is a `call`, whose lease the function gets as `lease` where it has a
        parameter of that name.

        The words are those of `acquire`; each may be a callable of the function's arguments.
        """
        check_words(words)
        choices = {"usage": usage, "cached": cached, "static": static}

        def decorate(function: F) -> F:
            if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
                raise TypeError("an asynchronous function is limited by an AsyncClient")
            refuse_generator(function)
            place, with_lease = place_of(function), lease_passer(function)

            @functools.wraps(function)
            def call(*args: Any, **kwargs: Any) -> Any:
                warn_of_clients(function)
                given = evaluate({"load": load, **words}, args, kwargs)
                return self._run(
                    lambda lease: function(*args, **with_lease(kwargs, lease)), resource, Words(place, route=route, **given), choices
                )

            return cast(F, call)

        return decorate

    def resources(self, name: Optional[str] = None) -> Dict[str, Any]:
        """What stands where, as the coordinator shows it: all resources, or one."""
        engine = self._engine()
        return shown(asyncio.run_coroutine_threadsafe(get_from(engine, path_of(name)), engine.loop).result())

    def local_use(self) -> Use:
        """What this client granted by itself while the coordinator was away, by resource and unit: the coordinator's
        budgets and its ledger do not have it."""
        return self._engine().local_use

    def flush(self, timeout: Optional[float] = None) -> None:
        """Returns when everything settled so far was delivered. Raises TimeoutError where that takes longer."""
        engine = self._engine()
        delivered = asyncio.run_coroutine_threadsafe(engine.flush(), engine.loop)
        try:
            delivered.result(timeout)
        except concurrent.futures.TimeoutError:
            delivered.cancel()
            raise TimeoutError("not everything was delivered in time") from None

    def close(self) -> None:
        """Ends what waits, settles what is held, delivers what is left to tell, and hangs up."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        if thread is not None and os.getpid() == self._pid:
            thread.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _after_fork() -> None:
    """In the child: a lock that a thread of the parent held would be held for ever."""
    leave_to_parent()
    for client in list(_clients):
        client._start_afresh()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
