"""`AsyncClient`: for asyncio, with the words of `Client`.

It has an engine for each event loop it is used in, and starts afresh in a forked process.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
from types import TracebackType
from typing import Any, AsyncIterator, Awaitable, Callable, Dict, Generator, Mapping, Optional, Type, TypeVar, Union, cast

from ._ask import Load
from ._course import run_async
from ._engine import Engine
from ._engine_thread import left_to_parent
from ._errors import ClientClosed
from ._lease import AsyncLease
from ._local import Use, add_use
from ._told import Told, get_from, path_of, shown
from ._watch import warn_of_clients
from ._words import UNSET, Timeout, Words, caller, check_words, evaluate, lease_passer, place_of

AF = TypeVar("AF", bound=Callable[..., Awaitable[Any]])
T = TypeVar("T")


class Acquiring:
    """An acquire of an AsyncClient: await it for the lease, or use it as an asynchronous context manager."""

    __slots__ = ("_client", "_lease", "_resource", "_words")

    def __init__(self, client: AsyncClient, resource: Optional[str], words: Words) -> None:
        self._client = client
        self._resource = resource
        self._words = words
        self._lease: Optional[AsyncLease] = None

    def __await__(self) -> Generator[Any, None, AsyncLease]:
        return self._client._acquire(self._resource, self._words).__await__()

    async def __aenter__(self) -> AsyncLease:
        self._lease = await self._client._acquire(self._resource, self._words)
        return await self._lease.__aenter__()

    async def __aexit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        assert self._lease is not None
        await self._lease.__aexit__(kind, error, trace)


class AsyncClient(Told):
    """A client for asyncio, with the words of `Client`. One is enough for a process."""

    def _start_afresh(self) -> None:
        self._engines: Dict[asyncio.AbstractEventLoop, Engine] = {}
        self._pid = os.getpid()

    async def _engine(self) -> Engine:
        if os.getpid() != self._pid:
            left_to_parent.append(self._engines)
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
            route,
            input_bytes=input_bytes,
            priority=priority,
            tenant=tenant,
            session=session,
            labels=labels,
            id=id,
            ticket=ticket,
            max_attempts=max_attempts,
        )
        return Acquiring(self, resource, words)

    async def _acquire(self, resource: Optional[str], words: Words) -> AsyncLease:
        engine = await self._engine()
        future: asyncio.Future[Any] = engine.loop.create_future()
        ask = self._defaults.ask(engine, resource, words, future)
        engine.submit(ask)
        try:
            return AsyncLease(engine, ask, await future)
        except BaseException:
            engine.abandon(ask)
            raise

    async def call(
        self,
        function: Callable[[AsyncLease], Union[Awaitable[T], AsyncIterator[T]]],
        resource: Optional[str] = None,
        *,
        route: Optional[str] = None,
        usage: Optional[Callable[[T], Any]] = None,
        cached: Union[Callable[[], Awaitable[T]], Callable[[], T], T, None] = None,
        static: Union[Callable[[str], Awaitable[T]], Callable[[str], T], None] = None,
        **words: Any,
    ) -> T:
        """As `Client.call`, of an asynchronous function."""
        check_words(words)
        warn_of_clients(function)
        given = Words(caller(), route=route, **words)
        return cast(T, await self._run(function, resource, given, {"usage": usage, "cached": cached, "static": static}))

    async def _run(self, function: Callable[[AsyncLease], Any], resource: Optional[str], words: Words, choices: Mapping[str, Any]) -> Any:
        course = self._course(words, choices)
        try:
            return await run_async(lambda words: self._acquire(resource, words), function, course)
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
    ) -> Callable[[AF], AF]:
        """Decorates an asynchronous function, as `Client.limited` does a plain one."""
        check_words(words)
        choices = {"usage": usage, "cached": cached, "static": static}

        def decorate(function: AF) -> AF:
            if not inspect.iscoroutinefunction(function):
                raise TypeError("a function that is not asynchronous is limited by a Client")
            place, with_lease = place_of(function), lease_passer(function)

            @functools.wraps(function)
            async def call(*args: Any, **kwargs: Any) -> Any:
                warn_of_clients(function)
                given = evaluate({"load": load, **words}, args, kwargs)
                return await self._run(
                    lambda lease: function(*args, **with_lease(kwargs, lease)), resource, Words(place, route=route, **given), choices
                )

            return cast(AF, call)

        return decorate

    async def resources(self, name: Optional[str] = None) -> Dict[str, Any]:
        """What stands where, as the coordinator shows it: all resources, or one."""
        return shown(await get_from(await self._engine(), path_of(name)))

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
