"""Plain HTTP straight on asyncio.

The transport that httpx brings costs some ten times the CPU of the bytes it moves, which is fine
for a call to a model and too much for asking leave before each one. This one does what a
coordinator on the same machine or network needs: HTTP/1.1, kept-alive connections, answers whose next
line may be a minute away, and httpx's own errors, without the objects of httpx around a request. For https,
proxies and the like there are httpx's own transports, which the client takes in place of this one.

A transport belongs to the event loop it is first used on.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, AsyncIterator, Awaitable, Dict, List, Optional, Set, Tuple

import httpx

from ._http1 import BadResponse, ResponseParser

CONNECTIONS_MAX = 96
IDLE_MAX = 8
CONNECT_TIMEOUT_S = 5.0
BUFFERED_BYTES_MAX = 1 << 20
KEEPALIVE_IDLE_S = 15
KEEPALIVE_PROBES = 3

Home = Tuple[str, int]  # host and port


class _Connection(asyncio.Protocol):
    """One connection: idle, or busy with one exchange."""

    def __init__(self, owner: WireTransport) -> None:
        self._owner = owner
        self._parser = ResponseParser()
        self._pipe: Optional[asyncio.Transport] = None
        self._waiter: Optional[asyncio.Future[None]] = None
        self._error: Optional[Exception] = None
        self._paused = False
        self.busy = False
        self.home: Home = ("", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._pipe = transport
        sock = transport.get_extra_info("socket")
        if sock is not None:
            _keep_alive(sock)

    def data_received(self, data: bytes) -> None:
        if not self.busy:
            self.abort()
            return
        try:
            self._parser.feed(data)
        except BadResponse as e:
            self._fail(httpx.RemoteProtocolError(str(e)))
            return
        if not self._paused and sum(map(len, self._parser.body)) > BUFFERED_BYTES_MAX:
            self._paused = True
            assert self._pipe is not None
            self._pipe.pause_reading()
        self._wake()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self._owner.forget(self)
        try:
            self._parser.end()
        except BadResponse as e:
            self._error = self._error or httpx.ReadError(str(exc or e))
        self._wake()

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self.abort()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _news(self, timeout: Optional[float]) -> None:
        """Waits until bytes or an error have come."""
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = None
        if timeout is not None:
            timer = loop.call_later(timeout, self._fail, httpx.ReadTimeout("no answer in time"))
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    async def send(self, data: bytes, timeout: Optional[float]) -> ResponseParser:
        """Sends a request and waits for the head of its answer."""
        assert self._pipe is not None and not self.busy
        self.busy = True
        self._parser.start()
        self._pipe.write(data)
        while not self._parser.has_head:
            if self._error is not None:
                raise self._error
            await self._news(timeout)
        return self._parser

    async def read(self, timeout: Optional[float]) -> bytes:
        """The next part of the body; empty at its end."""
        parser = self._parser
        while not parser.body:
            if parser.done:
                return b""
            if self._error is not None:
                raise self._error
            await self._news(timeout)
        data = b"".join(parser.body)
        parser.body.clear()
        if self._paused and self._pipe is not None:
            self._paused = False
            self._pipe.resume_reading()
        return data

    def finish(self) -> None:
        """The answer was read, or is no longer wanted: hanging up is how the peer learns the latter."""
        parser = self._parser
        if parser.done and parser.keep_alive and parser.clean and self._error is None:
            self.busy = False
            self._owner.keep(self)
        else:
            self.abort()

    def abort(self) -> None:
        self._owner.forget(self)
        if self._pipe is not None:
            self._pipe.abort()

    @property
    def usable(self) -> bool:
        return self._error is None and self._pipe is not None and not self._pipe.is_closing()


class Reply:
    """An answer whose head is here: its status, and its body as it comes."""

    def __init__(self, status: int, connection: _Connection, timeout: Optional[float]) -> None:
        self.status_code = status
        self._connection = connection
        self._timeout = timeout
        self._open = True

    @property
    def stream(self) -> Reply:
        return self  # what httpx's responses have under that name

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            data = await self._connection.read(self._timeout)
            if not data:
                return
            yield data

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._connection.finish()


class WireTransport:
    """Connections to plain-HTTP hosts, or all to one Unix socket, kept alive between requests."""

    def __init__(self, *, unix_path: Optional[str] = None, connections_max: int = CONNECTIONS_MAX) -> None:
        self._unix_path = unix_path
        self._connections_max = connections_max
        self._idle: Dict[Home, List[_Connection]] = {}
        self._all: Set[_Connection] = set()
        self._connecting = 0

    async def exchange(self, host: str, port: int, request: bytes, timeout: float) -> Reply:
        """Sends a request and returns when the head of its answer is here. The caller closes the reply."""
        connection = await self._connection(host, port)
        try:
            parser = await connection.send(request, timeout)
        except BaseException:
            connection.abort()
            raise
        return Reply(parser.status, connection, timeout)

    async def _connection(self, host: str, port: int) -> _Connection:
        idle = self._idle.get((host, port))
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        if len(self._all) + self._connecting >= self._connections_max:
            raise httpx.PoolTimeout("too many connections to the coordinator")
        self._connecting += 1
        try:
            return await self._connect(host, port)
        finally:
            self._connecting -= 1

    async def _connect(self, host: str, port: int) -> _Connection:
        loop = asyncio.get_running_loop()
        made = _Connection(self)
        make: Awaitable[Any] = (
            loop.create_connection(lambda: made, host, port)
            if self._unix_path is None
            else loop.create_unix_connection(lambda: made, self._unix_path)
        )
        try:
            await asyncio.wait_for(make, CONNECT_TIMEOUT_S)
        except asyncio.TimeoutError:
            raise httpx.ConnectTimeout("no connection in time") from None
        except OSError as e:
            raise httpx.ConnectError(str(e)) from e
        made.home = (host, port)
        self._all.add(made)
        return made

    def keep(self, connection: _Connection) -> None:
        idle = self._idle.setdefault(connection.home, [])
        if connection.usable and len(idle) < IDLE_MAX:
            idle.append(connection)
        else:
            connection.abort()

    def forget(self, connection: _Connection) -> None:
        self._all.discard(connection)
        idle = self._idle.get(connection.home, [])
        if connection in idle:
            idle.remove(connection)

    async def aclose(self) -> None:
        for connection in list(self._all):
            connection.abort()
        self._idle.clear()


def _keep_alive(sock: socket.socket) -> None:
    """A peer that vanished without a word is noticed in under half a minute."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", KEEPALIVE_IDLE_S),
            ("TCP_KEEPINTVL", KEEPALIVE_IDLE_S // KEEPALIVE_PROBES),
            ("TCP_KEEPCNT", KEEPALIVE_PROBES),
        ):
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    except OSError:
        pass  # not a TCP socket: nothing to keep alive
