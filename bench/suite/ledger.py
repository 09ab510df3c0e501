"""What the ledger costs a decision, and how soon a ledger of ten million rows answers what a day cost.

The cost is the daemon's own processor time for an acquire and the end of its lease: over 64 connections, as decisions are
measured, and alone, where each end has a transaction of its own, which is the worst case. What is compared are leases that
are cancelled, which the journal records and the ledger does not, and leases released with the provider's usage object,
priced, for a tenant and a session.
"""

import http.client
import json
import sqlite3
import statistics
import time
from pathlib import Path

from .daemon import LISTENING
from .place import ROOT, Failed, Running

CONFIG = ROOT / "bench" / "ledger.yaml"
HOUR_US = 3_600_000_000
USAGE = {
    "prompt_tokens": 1003,
    "completion_tokens": 200,
    "total_tokens": 1203,
    "prompt_tokens_details": {"cached_tokens": 512},
}

HOURS = """
WITH RECURSIVE hour(i) AS (SELECT :since / 3600000000 UNION ALL SELECT i + 1 FROM hour WHERE i < :until / 3600000000),
  tenant(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM tenant WHERE i < 199),
  model(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM model WHERE i < 6)
INSERT INTO usage_hour SELECT NULL, hour.i, 'model-' || model.i, '', 'model-' || model.i, '', 'tenant-' || tenant.i,
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 FROM hour, tenant, model
"""

ROWS = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :rows)
INSERT INTO entry (at_us, lease, sums, session, labels, facts)
SELECT :since + i * :step, i, (SELECT id FROM usage_hour WHERE hour = (:since + i * :step) / 3600000000 AND
    tenant = 'tenant-' || (i * 7919 % 200) AND resource = 'model-' || (i % 7)), 'run-' || (i / 40), 'team=' || (i % 12),
  json_array(CASE WHEN i % 50 THEN 'ok' ELSE 'wait' END, 1, 1, 1500, 2000000, i % 1000, 900, 300, i * 7919 % 9000000000, 300)
FROM n
"""

SUMS = """
UPDATE usage_hour SET calls = l.calls, errors = l.errors, waited_us = l.waited_us, held_us = l.held_us,
  requests = l.requests, tokens = l.tokens, input = l.input, cache_read = l.cache_read, output = l.output,
  usd_milli = l.usd_milli, usd_rest = l.usd_rest, first_seq = l.first_seq, last_seq = l.last_seq
FROM (SELECT sums, count(*) AS calls, sum(facts ->> 0 <> 'ok') AS errors, sum(facts ->> 5) AS waited_us,
  sum(facts ->> 4) AS held_us, sum(facts ->> 2) AS requests, sum(facts ->> 3) AS tokens, sum(facts ->> 6) AS input,
  sum(facts ->> 9) AS cache_read, sum(facts ->> 7) AS output, sum((facts ->> 8) / 1000000000) AS usd_milli,
  sum((facts ->> 8) % 1000000000) AS usd_rest, min(seq) AS first_seq, max(seq) AS last_seq
  FROM entry GROUP BY sums) AS l WHERE usage_hour.id = l.sums
"""


class Daemon(Running):
    """The daemon on a store, and connections to it that stay."""

    def __init__(self, place, directory, durability, connections=1):
        command = [place.program("sluice"), "serve", "-c", str(CONFIG), "--store", "bench.db"]
        super().__init__([*command, "--durability", durability], directory, LISTENING.search)
        port = int(self.found.group(1))
        self.connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=60) for _ in range(connections)]
        self.asked = 0

    def ask(self, method, path, bodies=(None,)):
        """One request on each connection, all under way at once."""
        for connection, body in zip(self.connections, bodies, strict=False):
            connection.request(method, path, None if body is None else json.dumps(body))
        answers = [connection.getresponse() for connection, _ in zip(self.connections, bodies, strict=False)]
        texts = [answer.read() for answer in answers]
        if any(answer.status != 200 for answer in answers):
            raise Failed(f"{path}: {texts[0][:200]}")
        return [json.loads(text) for text in texts]

    def cpu_us(self):
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e3

    def asks(self):
        for _ in self.connections:
            self.asked += 1
            n = self.asked
            names = {"tenant": f"t{n % 20}", "session": f"s{n // 40}", "id": f"i{n}"}
            yield {"resource": "priced", "load": {"input_tokens": 1100, "output_tokens": 300}, **names}

    def pairs(self, booked, count):
        """The daemon's processor time for each pair, in microseconds."""
        before, done = self.cpu_us(), 0
        while done < count:
            asks = list(self.asks())
            leases = self.ask("POST", "/v1/acquire", asks)
            if booked:
                self.ask("POST", "/v1/release", [{"lease": lease["lease"], "usage": USAGE, "status": 200} for lease in leases])
            else:
                self.ask("POST", "/v1/cancel", [{"id": ask["id"]} for ask in asks])
            done += len(asks)
        return (self.cpu_us() - before) / done


def cost(place, connections, count, turns):
    """Both kinds take turns, so that whatever else the machine does falls on both."""
    note = f"{place.program('sluice')} serve -c bench/ledger.yaml --store bench.db --durability process"
    place.note("ledger_cost", note)
    with Daemon(place, place.fresh_directory(), "process", connections) as daemon:
        daemon.pairs(True, count // 4)
        times = [(daemon.pairs(False, count), daemon.pairs(True, count)) for _ in range(turns)]
    cancelled, booked = (statistics.median(values) for values in zip(*times, strict=True))
    return {"cancelled_us": cancelled, "booked_us": booked}


def fill(path, rows, days):
    store = sqlite3.connect(path)
    store.executescript("PRAGMA synchronous=OFF; PRAGMA cache_size=-262144")
    since_us = time.time_ns() // 1000 - days * 24 * HOUR_US
    store.execute(HOURS, {"since": since_us, "until": since_us + days * 24 * HOUR_US})
    store.execute(ROWS, {"rows": rows, "since": since_us, "step": days * 24 * HOUR_US // rows})
    store.execute(SUMS)
    store.commit()
    store.close()


def answer_ms(daemon, query):
    began = time.monotonic()
    daemon.ask("GET", f"/v1/usage?limit=1000&{query}")
    return (time.monotonic() - began) * 1e3


def rows(place, count, days):
    """The day that is asked for does not begin at a full hour, so that its edges are read row by row."""
    directory = place.fresh_directory()
    place.note("ledger_rows", f"{place.program('sluice')} serve -c bench/ledger.yaml --store bench.db")
    Daemon(place, directory, "process").stop()
    fill(directory / "bench.db", count, days)
    with Daemon(place, directory, "process") as daemon:
        times = {by: [answer_ms(daemon, f"by={by}&since=24h") for _ in range(5)] for by in ("tenant", "hour", "session")}
    return {"rows": count, "days": days, **{f"{by}_ms": statistics.median(took) for by, took in times.items()}}
