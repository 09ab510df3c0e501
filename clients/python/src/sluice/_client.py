"""`Client` and `AsyncClient`: the same words, for threads and for asyncio.

An AsyncClient has an engine for each event loop it is used in. A Client has one in a thread of its own. Both start
afresh in a forked process: what the parent holds stays with the parent.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import functools
import inspect
import os
import threading
import weakref
from types import TracebackType
from typing import Any, Awaitable, Callable, Dict, Generator, List, Mapping, Optional, Set, Type, TypeVar, cast
from urllib.parse import quote

import httpx

from ._ask import Load
from ._engine import CLOSE_S, Engine, OnUnreachable
from ._errors import ClientClosed, Unreachable
from ._lease import AsyncLease, Lease
from ._local import Use, add_use
from ._wire import TROUBLE, Answer, refusal
from ._words import (
    LEASE_DEFAULT_S,
    TIMEOUT_DEFAULT_S,
    UNSET,
    Defaults,
    Timeout,
    Words,
    caller,
    check_words,
    evaluate,
    place_of,
)

F = TypeVar("F", bound=Callable[..., Any])
AF = TypeVar("AF", bound=Callable[..., Awaitable[Any]])

# Engines of a parent process: closing them here would disturb the parent, so they are kept from being collected.
_left_to_parent: List[Any] = []


class _EngineThread:
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


class _Told:
    """What both clients are told."""

    def __init__(
        self,
        url: Optional[str] = None,
        *,
        api_key: Optional[str] = None,
        timeout: Optional[float] = TIMEOUT_DEFAULT_S,
        lease_seconds: float = LEASE_DEFAULT_S,
        on_unreachable: OnUnreachable = "wait",
        transport: Optional[httpx.AsyncBaseTransport] = None,
    ) -> None:
        self._defaults = Defaults(url, api_key, timeout, lease_seconds, on_unreachable, transport)
        self._closed = False
        self._start_afresh()

    def _start_afresh(self) -> None:
        """Begins with no engine: at first, and in a forked process."""
        raise NotImplementedError


class Client(_Told):
    """A client for threads. One is enough for a process; all of its threads may use it at once.

    `url` defaults to SLUICE_URL or http://127.0.0.1:7411, `api_key` to SLUICE_API_KEY. `timeout` is how many
    seconds an acquire waits in line unless it says otherwise (None: as long as it takes), `lease_seconds` how
    long a lease outlives a process that vanished. `on_unreachable` says what to do while the
    coordinator is away: "wait", "refuse", or a `LocalShare`. `transport` replaces the connection by one of
    httpx's, for proxies or TLS of one's own.
    """

    def _start_afresh(self) -> None:
        self._lock = threading.Lock()
        self._thread: Optional[_EngineThread] = None
        self._pid = os.getpid()
        _clients.add(self)

    def _engine(self) -> Engine:
        if os.getpid() != self._pid:
            _left_to_parent.append(self._thread)
            self._start_afresh()
        thread = self._thread
        if thread is None:
            with self._lock:
                if self._closed:
                    raise ClientClosed("the client is closed")
                thread = self._thread = self._thread or _EngineThread(self._defaults)
        return thread.engine

    def acquire(
        self,
        resource: str,
        *,
        input_tokens: Optional[int] = None,
        max_output_tokens: Optional[int] = None,
        tokens: Optional[int] = None,
        load: Optional[Load] = None,
        priority: Optional[int] = None,
        tenant: Optional[str] = None,
        session: Optional[str] = None,
        labels: Optional[Mapping[str, str]] = None,
        parent: Any = None,
        timeout: Timeout = UNSET,
        id: Optional[str] = None,
        ticket: Optional[str] = None,
    ) -> Lease:
        """Waits in line for a lease on `resource`.

        `timeout` is in seconds; 0 does not wait at all. `parent` is the lease of the agent that asks. An `id` of
        your own makes an acquire that is repeated, even by another process, get the same lease.
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
                priority=priority,
                tenant=tenant,
                session=session,
                labels=labels,
                id=id,
                ticket=ticket,
            ),
        )

    def _acquire(self, resource: str, words: Words) -> Lease:
        engine = self._engine()
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        ask = self._defaults.ask(engine, resource, words, future)
        try:
            engine.post(engine.submit, ask)
            return Lease(engine, ask, future.result())
        except BaseException:
            engine.post(engine.abandon, ask)
            raise

    def limited(
        self, resource: str, *, load: Any = None, usage: Optional[Callable[[Any], Any]] = None, **words: Any
    ) -> Callable[[F], F]:
        """Decorates a function: each call acquires first, and settles with what the function returns.

        The words are those of `acquire`; each may be a callable of the function's arguments. `usage` picks what to
        settle with from the returned value.
        """
        check_words(words)

        def decorate(function: F) -> F:
            if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
                raise TypeError("an asynchronous function is limited by an AsyncClient")
            _refuse_generator(function)
            place = place_of(function)

            @functools.wraps(function)
            def call(*args: Any, **kwargs: Any) -> Any:
                given = evaluate({"load": load, **words}, args, kwargs)
                with self._acquire(resource, Words(place, **given)) as lease:
                    result = function(*args, **kwargs)
                    lease.settle(result if usage is None else usage(result))
                    return result

            return cast(F, call)

        return decorate

    def resources(self, name: Optional[str] = None) -> Dict[str, Any]:
        """What stands where, as the coordinator shows it: all resources, or one."""
        engine = self._engine()
        return _shown(asyncio.run_coroutine_threadsafe(_get(engine, _path(name)), engine.loop).result())

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


class Acquiring:
    """An acquire of an AsyncClient: await it for the lease, or use it as an asynchronous context manager."""

    __slots__ = ("_client", "_lease", "_resource", "_words")

    def __init__(self, client: AsyncClient, resource: str, words: Words) -> None:
        self._client = client
        self._resource = resource
        self._words = words
        self._lease: Optional[AsyncLease] = None

    def __await__(self) -> Generator[Any, None, AsyncLease]:
        return self._client._acquire(self._resource, self._words).__await__()

    async def __aenter__(self) -> AsyncLease:
        self._lease = await self._client._acquire(self._resource, self._words)
        return self._lease

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        assert self._lease is not None
        await self._lease.__aexit__(kind, error, trace)


class AsyncClient(_Told):
    """A client for asyncio, with the words of `Client`. One is enough for a process."""

    def _start_afresh(self) -> None:
        self._engines: Dict[asyncio.AbstractEventLoop, Engine] = {}
        self._pid = os.getpid()

    async def _engine(self) -> Engine:
        if os.getpid() != self._pid:
            _left_to_parent.append(self._engines)
            self._start_afresh()
        engine = self._engines.get(asyncio.get_running_loop())
        if engine is None or engine.closed:
            engine = await self._new_engine()
        return engine

    async def _new_engine(self) -> Engine:
        if self._closed:
            raise ClientClosed("the client is closed")
        for loop in [loop for loop in self._engines if loop.is_closed()]:
            del self._engines[loop]
        engine = self._engines[asyncio.get_running_loop()] = Engine(self._defaults.settings)
        await engine.close_with_loop()
        return engine

    def acquire(
        self,
        resource: str,
        *,
        input_tokens: Optional[int] = None,
        max_output_tokens: Optional[int] = None,
        tokens: Optional[int] = None,
        load: Optional[Load] = None,
        priority: Optional[int] = None,
        tenant: Optional[str] = None,
        session: Optional[str] = None,
        labels: Optional[Mapping[str, str]] = None,
        parent: Any = None,
        timeout: Timeout = UNSET,
        id: Optional[str] = None,
        ticket: Optional[str] = None,
    ) -> Acquiring:
        """As `Client.acquire`: await it, or enter it with `async with`."""
        words = Words(
            caller(),
            input_tokens,
            max_output_tokens,
            tokens,
            load,
            timeout,
            parent,
            priority=priority,
            tenant=tenant,
            session=session,
            labels=labels,
            id=id,
            ticket=ticket,
        )
        return Acquiring(self, resource, words)

    async def _acquire(self, resource: str, words: Words) -> AsyncLease:
        engine = await self._engine()
        future: asyncio.Future[Any] = engine.loop.create_future()
        ask = self._defaults.ask(engine, resource, words, future)
        engine.submit(ask)
        try:
            return AsyncLease(engine, ask, await future)
        except BaseException:
            engine.abandon(ask)
            raise

    def limited(
        self, resource: str, *, load: Any = None, usage: Optional[Callable[[Any], Any]] = None, **words: Any
    ) -> Callable[[AF], AF]:
        """Decorates an asynchronous function, as `Client.limited` does a plain one."""
        check_words(words)

        def decorate(function: AF) -> AF:
            if not inspect.iscoroutinefunction(function):
                raise TypeError("a function that is not asynchronous is limited by a Client")
            place = place_of(function)

            @functools.wraps(function)
            async def call(*args: Any, **kwargs: Any) -> Any:
                given = evaluate({"load": load, **words}, args, kwargs)
                async with Acquiring(self, resource, Words(place, **given)) as lease:
                    result = await function(*args, **kwargs)
                    lease.settle(result if usage is None else usage(result))
                    return result

            return cast(AF, call)

        return decorate

    async def resources(self, name: Optional[str] = None) -> Dict[str, Any]:
        """What stands where, as the coordinator shows it: all resources, or one."""
        return _shown(await _get(await self._engine(), _path(name)))

    def local_use(self) -> Use:
        """As `Client.local_use`, of all event loops."""
        total: Use = {}
        for engine in list(self._engines.values()):
            for resource, amounts in engine.local_use.items():
                add_use(total, resource, amounts)
        return total

    async def flush(self) -> None:
        """Returns when everything settled so far was delivered."""
        await (await self._engine()).flush()

    async def aclose(self) -> None:
        """Ends what waits, settles what is held, delivers what is left to tell, and hangs up."""
        self._closed = True
        engine = self._engines.pop(asyncio.get_running_loop(), None)
        if engine is not None and os.getpid() == self._pid:
            await engine.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        await self.aclose()


def _refuse_generator(function: Callable[..., Any]) -> None:
    if inspect.isgeneratorfunction(function):
        raise TypeError("a generator runs after its call has returned: acquire inside of it, and follow() the stream")


def _path(name: Optional[str]) -> str:
    return "/v1/resources" if name is None else f"/v1/resources/{quote(name, safe='')}"


async def _get(engine: Engine, path: str) -> Answer:
    try:
        return await engine.get(path)
    except TROUBLE as e:
        raise Unreachable(f"the coordinator does not answer: {e}", code="unreachable") from e


def _shown(answer: Answer) -> Dict[str, Any]:
    if answer.status != 200 or not isinstance(answer.body, dict):
        raise refusal(answer)
    return answer.body


# Engine threads live until their client is closed or the process ends, so that a lease may outlive its client's name.
_threads: Set[_EngineThread] = set()
_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _close_all() -> None:
    for thread in list(_threads):
        thread.close()


def _after_fork() -> None:
    """In the child: its parent's threads are not here, and a lock they held would be held for ever."""
    _left_to_parent.extend(_threads)
    _threads.clear()
    for client in list(_clients):
        client._start_afresh()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
