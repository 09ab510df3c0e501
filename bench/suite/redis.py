"""The peer: Redis deciding the same three limits by one Lua script, under its own load generator."""

import csv
import hashlib
import io
import socket

from .daemon import CONNECTIONS
from .place import ROOT, Failed, Running, run

SCRIPT = ROOT / "bench" / "decide.lua"
PROBE_CALLS = 20000
LIMITS = ["1000000000", "1000000000000", "1000000000", "1500"]
KEYS = ["chat:rpm", "chat:tpm", "chat:concurrency"]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Redis(Running):
    def __init__(self, place, name, options):
        self.port = free_port()
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *options]
        place.note(name, "redis-server --port $PORT --bind 127.0.0.1 --save '' " + " ".join(options))
        super().__init__(command, place.fresh_directory(), lambda log: "Ready to accept connections" in log)

    def cli(self, *words):
        return run(["redis-cli", "-p", str(self.port), *words]).strip()


def benchmark(port, calls, words):
    """Calls a second, and the times they took in microseconds."""
    command = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(port), "-c", str(CONNECTIONS)]
    printed = run([*command, "-n", str(calls), "--csv", *words])
    row = next(csv.DictReader(io.StringIO(printed[printed.index('"test"') :])))
    return {
        "decisions_per_s": float(row["rps"]),
        "p50_us": float(row["p50_latency_ms"]) * 1000,
        "p99_us": float(row["p99_latency_ms"]) * 1000,
        "max_us": float(row["max_latency_ms"]) * 1000,
    }


def decisions(place, name, options):
    with Redis(place, name, options) as redis:
        script = SCRIPT.read_text()
        sha = redis.cli("SCRIPT", "LOAD", script)
        if sha != hashlib.sha1(script.encode()).hexdigest():
            raise Failed(f"redis did not take the script: {sha}")
        words = ["EVALSHA", sha, "3", *KEYS, *LIMITS]
        place.note(name, 'SHA=$(redis-cli -p $PORT SCRIPT LOAD "$(cat bench/decide.lua)")')
        probe = benchmark(redis.port, PROBE_CALLS, words)
        calls = max(PROBE_CALLS, int(probe["decisions_per_s"] * place.seconds))
        shown = " ".join(["EVALSHA", "$SHA", "3", *KEYS, *LIMITS])
        place.note(name, f"redis-benchmark -h 127.0.0.1 -p $PORT -c {CONNECTIONS} -n $CALLS --csv {shown}")
        counted = benchmark(redis.port, calls, words)
        if redis.cli(*words) != "granted":
            raise Failed("redis refused a call, so its calls were no grants")
        return counted


def in_memory(place):
    return decisions(place, "redis_memory", ["--appendonly", "no"])


def always(place):
    """A rewrite of its file during the run would be held against it, so there is none."""
    options = ["--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0"]
    return decisions(place, "redis_always", options)
