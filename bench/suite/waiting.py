"""Those that wait: what each costs in memory, and that all are granted in order when it opens."""

import json
import re
import resource
import selectors
import socket
import time

from .daemon import Daemon, note_daemon
from .place import PATIENCE_S, Failed

PATIENT = {"wait_ms": 600000, "hold_ms": 600000}
STREAM_END = b"\r\n0\r\n\r\n"
LINE = re.compile(rb'"index":(\d+),.*?"status":(\d+)(?:,"lease":"ls_([0-9a-f]{16})")?')


def allow_many_files():
    """As many open files as the system lets; the daemon inherits it. Returns how many."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def request(body):
    text = json.dumps(body, separators=(",", ":"))
    head = f"POST /v1/acquire HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(text)}\r\n\r\n"
    return (head + text).encode()


def waiting(daemon, name):
    return json.loads(daemon.ask("GET", f"/v1/resources/{name}"))["line"]["waiting"]


def await_waiting(daemon, name, wanted):
    until = time.monotonic() + PATIENCE_S
    while waiting(daemon, name) != wanted:
        if time.monotonic() > until:
            raise Failed(f"{waiting(daemon, name)} wait, and not {wanted}")


def connect(daemon):
    return socket.create_connection(("127.0.0.1", daemon.port), timeout=PATIENCE_S)


def parked(place, count):
    """Memory of requests that wait on a connection each."""
    if allow_many_files() < count + 100:
        raise Failed(f"{count} connections are more than the limit on open files allows")
    note_daemon(place, "parked", "full")
    sent = request({"resource": "one", **PATIENT})
    connections = []
    with Daemon(place, "full") as daemon:
        try:
            daemon.ask("POST", "/v1/acquire", {"resource": "one", "lease_ms": 600000})
            waiting(daemon, "one")
            before_kib = daemon.rss_kib()
            for _ in range(count):
                connections.append(connect(daemon))
                connections[-1].sendall(sent)
            await_waiting(daemon, "one", count)
            after_kib = daemon.rss_kib()
        finally:
            for connection in connections:
                connection.close()
    return {
        "parked": count,
        "before_kib": before_kib,
        "after_kib": after_kib,
        "bytes_each": (after_kib - before_kib) * 1024 / count,
    }


def read_streams(connections):
    """Reads all to their ends. Returns what each said, and the times of the first and the last byte."""
    said = {connection: [] for connection in connections}
    first_s = last_s = None
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(PATIENCE_S)
            if not ready:
                raise Failed("the grants stopped coming")
            for key, _ in ready:
                piece = key.fileobj.recv(1 << 20)
                last_s = time.monotonic()
                first_s = first_s or last_s
                tail = b"".join(said[key.fileobj][-1:])[-len(STREAM_END) :] + piece
                said[key.fileobj].append(piece)
                if not piece or tail.endswith(STREAM_END):
                    selector.unregister(key.fileobj)
    return [b"".join(said[connection]) for connection in connections], first_s, last_s


def check_order(streams, each):
    """Leases are numbered as they are granted: their numbers must rise in the order of asking."""
    granted = 0
    newest = -1
    for stream in streams:
        lines = LINE.findall(stream)
        leases = [int(lease, 16) for _, status, lease in lines if status == b"200"]
        if [int(index) for index, _, _ in lines] != list(range(each)) or len(leases) != each:
            raise Failed(f"{len(leases)} of {each} of an array were granted, or not in order")
        if leases != sorted(leases) or leases[0] <= newest:
            raise Failed("a later request was granted before an earlier one")
        newest = leases[-1]
        granted += len(leases)
    return granted


def line(place, connections_n, each):
    """A line of many requests over few connections: memory, and the opening of the window."""
    allow_many_files()
    note_daemon(place, "line", "full")
    count = connections_n * each
    sent = request([{"resource": "gate", **PATIENT}] * each)
    with Daemon(place, "full") as daemon:
        full = {"resource": "gate", "load": {"requests": 100000}, "lease_ms": 600000}
        lease = json.loads(daemon.ask("POST", "/v1/acquire", full))["lease"]
        connections = [connect(daemon) for _ in range(connections_n)]
        waiting(daemon, "gate")
        before_kib = daemon.rss_kib()
        for i, connection in enumerate(connections):
            connection.sendall(sent)
            await_waiting(daemon, "gate", (i + 1) * each)
        after_kib = daemon.rss_kib()
        opened_s = time.monotonic()
        daemon.ask("POST", "/v1/release", {"lease": lease, "usage": {"requests": 0}})
        streams, first_s, last_s = read_streams(connections)
        for connection in connections:
            connection.close()
    return {
        "waiting": count,
        "granted_in_order": check_order(streams, each),
        "before_kib": before_kib,
        "after_kib": after_kib,
        "bytes_each": (after_kib - before_kib) * 1024 / count,
        "first_ms": (first_s - opened_s) * 1000,
        "all_ms": (last_s - opened_s) * 1000,
    }
