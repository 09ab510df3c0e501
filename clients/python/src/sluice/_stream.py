"""A stream that a function given to `call` returned, passed on event by event.

It settles its lease when it is through or breaks. Its first event is fetched before the call returns, so a stream
that fails before it began is a failed call like any other; once an event was passed on nothing is tried again,
for the caller has seen a part of the answer: it gets the exception.
"""

from __future__ import annotations

from typing import Any, List

from ._lease import AsyncLease, Lease
from ._usage import headers_in


def is_stream(value: Any) -> bool:
    return hasattr(type(value), "__next__")


def is_async_stream(value: Any) -> bool:
    return hasattr(type(value), "__anext__")


class _Passing:
    """What both kinds have. Whatever else the provider's stream can do is asked of it."""

    def __init__(self, lease: Any, stream: Any) -> None:
        self._lease = lease
        self._stream = stream
        self._first: List[Any] = []
        self._over = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _end(self, error: Any = None) -> None:
        self._over = True
        self._lease._see_headers(headers_in(self._stream))
        self._lease._leave(error)

    def _abandon(self) -> None:
        """The caller wants no more of it: what was not read was paid for all the same."""
        if not self._over and not self._lease.ended:
            self._over = True
            self._lease.settle(status=200, headers=headers_in(self._stream))


class PassedStream(_Passing):
    """A stream on its way to the caller."""

    def __init__(self, lease: Lease, stream: Any) -> None:
        super().__init__(lease, stream)
        try:
            self._first.append(next(stream))
        except StopIteration:
            self._end()

    def __iter__(self) -> PassedStream:
        return self

    def __next__(self) -> Any:
        if not self._first and self._over:
            raise StopIteration
        try:
            event = self._first.pop() if self._first else next(self._stream)
        except StopIteration:
            self._end()
            raise
        except BaseException as error:
            self._end(error)
            raise
        self._lease.note(event)
        return event

    def close(self) -> None:
        self._abandon()
        close = getattr(self._stream, "close", None)
        if callable(close):
            close()

    def __enter__(self) -> PassedStream:
        return self

    def __exit__(self, *_error: Any) -> None:
        self.close()


class PassedAsyncStream(_Passing):
    """The same with asyncio. `begin` comes first."""

    def __init__(self, lease: AsyncLease, stream: Any) -> None:
        super().__init__(lease, stream)

    async def begin(self) -> PassedAsyncStream:
        try:
            self._first.append(await self._stream.__anext__())
        except StopAsyncIteration:
            self._end()
        return self

    def __aiter__(self) -> PassedAsyncStream:
        return self

    async def __anext__(self) -> Any:
        if not self._first and self._over:
            raise StopAsyncIteration
        try:
            event = self._first.pop() if self._first else await self._stream.__anext__()
        except StopAsyncIteration:
            self._end()
            raise
        except BaseException as error:
            self._end(error)
            raise
        self._lease.note(event)
        return event

    async def close(self) -> None:
        self._abandon()
        close = getattr(self._stream, "close", None) or getattr(self._stream, "aclose", None)
        if callable(close):
            await close()

    aclose = close

    async def __aenter__(self) -> PassedAsyncStream:
        return self

    async def __aexit__(self, *_error: Any) -> None:
        await self.close()
