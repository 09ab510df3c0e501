#!/usr/bin/env python3
"""How fast a ledger of ten million rows answers what a day cost by tenant, and other questions.

Makes the store with SQL (a minute or two, and 3 GB), starts the daemon on it, and asks over HTTP. The rows are spread over
--days days; the day that is asked for does not begin at a full hour, so that its edges are read row by row.

Usage: ledger_rows.py [--rows 10000000] [--days 30] [--dir DIRECTORY] [--binary build/sluice]
"""

import argparse
import json
import os
import re
import sqlite3
import statistics
import subprocess
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

CONFIG = """
listen: 127.0.0.1:0
store: {store}
ledger: {{keep: forever}}
resources:
  m: {{rpm: 1000}}
"""

HOUR_US = 3_600_000_000

ROWS = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :rows)
INSERT INTO ledger (at_us, lease, resource, model, tenant, session, labels, outcome, attempt, late, waited_us, held_us,
  requests, tokens, input, cache_read, cache_write_5m, cache_write_1h, output, usd_pico)
SELECT :since + i * :step, i, 'model-' || (i % 7), 'model-' || (i % 7), 'tenant-' || (i * 7919 % 200), 'run-' || (i / 40),
  'team=' || (i % 12), CASE WHEN i % 50 THEN 'ok' ELSE 'wait' END, 1, 0, i % 1000, 2000000, 1, 1500, 900, 300, 0, 0, 300,
  i * 7919 % 9000000000 FROM n
"""

HOURS = """
INSERT INTO usage_hour SELECT at_us / 3600000000, resource, '', model, '', tenant, count(*), sum(outcome <> 'ok'), 0,
  sum(waited_us), sum(held_us), sum(requests), sum(tokens), sum(input), sum(cache_read), 0, 0, sum(output),
  sum(usd_pico / 1000000000), sum(usd_pico % 1000000000), min(seq), max(seq)
FROM ledger GROUP BY at_us / 3600000000, tenant, resource
"""

QUESTIONS = {
    "by tenant, a day": "by=tenant&since=24h",
    "by tenant, a day, one resource": "by=tenant&since=24h&resource=model-3",
    "by hour, a day": "by=hour&since=24h",
    "by label, a day": "by=label:team&since=24h",
    "by session, a day, first page": "by=session&since=24h",
    "by day, all": "by=day&since=0",
}


def serve(binary, directory):
    config = directory / "sluice.yaml"
    config.write_text(CONFIG.format(store=directory / "sluice.db"))
    process = subprocess.Popen([binary, "serve", "-c", str(config)], stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if found := re.search(r"listening on (\S+)", line):
            return process, f"http://{found.group(1)}"
    raise SystemExit("the daemon did not start")


def stop(process):
    process.terminate()
    process.communicate()


def fill(path, rows, days):
    began = time.monotonic()
    store = sqlite3.connect(path)
    store.executescript("PRAGMA synchronous=OFF; PRAGMA cache_size=-262144")
    until = time.time_ns() // 1000
    store.execute(ROWS, {"rows": rows, "since": until - days * 24 * HOUR_US, "step": days * 24 * HOUR_US // rows})
    store.execute(HOURS)
    store.commit()
    store.close()
    print(f"{rows} rows over {days} days made in {time.monotonic() - began:.0f} s, {path.stat().st_size / 1e9:.2f} GB")


def cpu_s(process):
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ask(process, url, query):
    """How long an answer took, and the daemon's processor time for it, in milliseconds."""
    began, before = time.monotonic(), cpu_s(process)
    with urllib.request.urlopen(url + query, timeout=60) as answer:
        json.load(answer)
    return (time.monotonic() - began) * 1e3, (cpu_s(process) - before) * 1e3


def report(words, times):
    took, cpu = (statistics.median(values) for values in zip(*times, strict=True))
    print(f"{words:32} first {times[0][0]:7.1f} ms, median {took:7.1f} ms, processor {cpu:7.1f} ms", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--dir", default=None)
    parser.add_argument("--binary", default="build/sluice")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as name:
        directory = Path(name)
        stop(serve(options.binary, directory)[0])
        fill(directory / "sluice.db", options.rows, options.days)
        process, url = serve(options.binary, directory)
        for words, query in QUESTIONS.items():
            report(words, [ask(process, url, f"/v1/usage?limit=1000&{query}") for _ in range(5)])
        run = urllib.parse.quote(f"run-{options.rows // 80}")
        report("one session", [ask(process, url, "/v1/sessions/" + run) for _ in range(5)])
        stop(process)


if __name__ == "__main__":
    main()
