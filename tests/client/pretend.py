"""A pretend coordinator for what a real one cannot be made to do on demand: answers that break off, that never come,
that come in pieces. It speaks the API of docs/api.md; what it decides is up to the test.
"""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any, Awaitable, Callable, Dict, List, Optional

from real import PATIENCE_S, reserve_port

Lines = Callable[[List[Dict[str, Any]], "Reply"], Awaitable[None]]


class HangUp(Exception):
    """Ends the connection on the spot."""


class Reply:
    """The answer to an array, a line at a time."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def start(self) -> None:
        self._writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
        )

    def line(self, value: Any) -> None:
        data = json.dumps(value).encode() + b"\n"
        self._writer.write(b"%x\r\n%s\r\n" % (len(data), data))

    def end(self) -> None:
        self._writer.write(b"0\r\n\r\n")


def grant(index: int, item: Dict[str, Any], lease: str) -> Dict[str, Any]:
    return {
        "index": index,
        "id": item["id"],
        "status": 200,
        "lease": lease,
        "resource": item.get("resource", "of-route"),
        "model": item.get("resource", "of-route"),
        "held": {"requests": 1, "slots": 1},
        "waited_ms": 0,
        "expires_ms": 0,
        "attempt": 1,
    }


def refusal(index: int, item: Dict[str, Any], status: int, code: str, **facts: Any) -> Dict[str, Any]:
    error = {"type": code, "code": code, "message": f"refused: {code}", **facts}
    return {"index": index, "id": item["id"], "status": status, "error": error}


class PretendCoordinator:
    """Grants everything at once, unless `on_acquire` says otherwise. Keeps what it was told."""

    def __init__(self) -> None:
        self.requests: List[Dict[str, Any]] = []
        self.arrays: List[List[Dict[str, Any]]] = []
        self.released: List[Dict[str, Any]] = []
        self.cancelled: List[Dict[str, Any]] = []
        self.renewed: List[Dict[str, Any]] = []
        self.connections = 0
        self.connections_max = 0
        self.on_acquire: Optional[Lines] = None
        self.on_release: Optional[Callable[[Dict[str, Any]], Dict[str, Any]]] = None
        self.status: Optional[Dict[str, Any]] = None  # answers every POST: {"status":, "error": {...}}
        self.resources: Dict[str, Any] = {"resources": []}
        self._leases = 0
        self._thread: Optional[threading.Thread] = None
        self._reserve = reserve_port()
        self.port: int = self._reserve.getsockname()[1]  # the same after a stop and a start

    # --- Life cycle, from the test's thread ---

    def start(self) -> "PretendCoordinator":
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main(started)), daemon=True)
        self._thread.start()
        assert started.wait(PATIENCE_S)
        return self

    def stop(self) -> None:
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(PATIENCE_S)
            assert not self._thread.is_alive()
            self._thread = None

    def close(self) -> None:
        self.stop()
        self._reserve.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def _main(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._tasks: set = set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=2048)
        started.set()
        await self._stop.wait()
        server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        self.connections_max = max(self.connections_max, self.connections)
        try:
            while await self._one(reader, writer):
                pass
        except (HangUp, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            self.connections -= 1
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *rest = head.split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in rest if line)}
        method, path, _ = first.split(" ")
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        value = json.loads(body) if body else None
        self.requests.append({"method": method, "path": path, "headers": headers, "body": value})
        if self.status is not None and (method == "POST" or path == "/readyz"):
            self._json(writer, self.status["status"], {"error": self.status["error"]})
        elif path == "/v1/acquire":
            await self._acquire(value, writer)
        elif path == "/v1/release":
            self._release(value, writer)
        else:
            self._json(writer, 200, self._other(path, value))
        await writer.drain()
        return True

    def _json(self, writer: asyncio.StreamWriter, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(data), data))

    def lease(self) -> str:
        self._leases += 1
        return f"ls_{self._leases:016x}"

    async def _acquire(self, items: List[Dict[str, Any]], writer: asyncio.StreamWriter) -> None:
        self.arrays.append(items)
        reply = Reply(writer)
        if self.on_acquire is not None:
            await self.on_acquire(items, reply)
            return
        reply.start()
        for index, item in enumerate(items):
            reply.line(grant(index, item, self.lease()))
        reply.end()

    def _release(self, items: List[Dict[str, Any]], writer: asyncio.StreamWriter) -> None:
        self.released.extend(items)
        reply = Reply(writer)
        reply.start()
        for index, item in enumerate(items):
            answer = self.on_release(item) if self.on_release else {"status": 200, "settled": {"requests": 1}}
            reply.line({"index": index, "lease": item["lease"], **answer})
        reply.end()

    def _other(self, path: str, value: Any) -> Any:
        if path == "/v1/cancel":
            self.cancelled.append(value)
            return {"cancelled": True}
        if path == "/v1/renew":
            self.renewed.append(value)
            return {"leases": [{"lease": lease, "expires_ms": 0} for lease in value["leases"]]}
        if path == "/v1/resources":
            return self.resources
        return {}
