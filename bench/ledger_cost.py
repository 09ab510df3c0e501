#!/usr/bin/env python3
"""What a settlement with usage, cost and its rows in the ledger adds to a decision, in the daemon's own processor time.

A decision is an acquire and the end of its lease. What is compared: leases that are cancelled (a grant and an end in the
journal, nothing in the ledger), leases released without a word, and leases released with the provider's usage object,
priced, for a tenant and a session. One request at a time each gets a transaction of its own, which is the worst case for
the ledger; in arrays of 64 they share one. Rounds are interleaved and medians printed.

Usage: ledger_cost.py [--pairs 3000] [--rounds 5] [--binary build/sluice]
"""

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

CONFIG = """
listen: 127.0.0.1:0
store: {store}
durability: {durability}
resources:
  m:
    price: {{input: 2.5, cached_input: 1.25, output: 10}}
    feedback: "off"
    limits:
      - {{unit: requests, amount: 100M, per: 1m, name: rpm}}
      - {{unit: tokens, amount: 100M, per: 1m, name: tpm}}
      - {{unit: usd, amount: 100000, per: day, name: daily}}
"""

USAGE = {
    "prompt_tokens": 1003,
    "completion_tokens": 200,
    "total_tokens": 1203,
    "prompt_tokens_details": {"cached_tokens": 512},
}


class Daemon:
    def __init__(self, binary, directory, durability):
        config = Path(directory) / "sluice.yaml"
        config.write_text(CONFIG.format(store=Path(directory) / "sluice.db", durability=durability))
        self.process = subprocess.Popen([binary, "serve", "-c", str(config)], stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if found := re.search(r"listening on 127\.0\.0\.1:(\d+)", line):
                break
        else:
            raise SystemExit("the daemon did not start: " + line)
        self.connection = http.client.HTTPConnection("127.0.0.1", int(found.group(1)))
        self.n = 0

    def post(self, path, body):
        self.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer = self.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise SystemExit(text.decode())
        return [json.loads(line) for line in text.splitlines()]

    def cpu_s(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def acquire(self, array):
        asked = []
        for _ in range(array):
            self.n += 1
            asked.append(
                {
                    "resource": "m",
                    "load": {"input_tokens": 1100, "output_tokens": 300},
                    "tenant": f"t{self.n % 20}",
                    "session": f"s{self.n // 40}",
                    "id": f"i{self.n}",
                }
            )
        return self.post("/v1/acquire", asked if array > 1 else asked[0])

    def end(self, leases, how, array):
        if how == "cancel":
            for n in range(array):
                self.post("/v1/cancel", {"id": f"i{self.n - n}"})
            return
        ends = [{"lease": lease["lease"], **({"usage": USAGE, "status": 200} if how == "usage" else {})} for lease in leases]
        self.post("/v1/release", ends if array > 1 else ends[0])

    def pairs(self, how, n, array):
        before = self.cpu_s()
        for _ in range(n // array):
            self.end(self.acquire(array), how, array)
        return (self.cpu_s() - before) / (n // array * array) * 1e6

    def stop(self):
        self.process.terminate()
        self.process.communicate()


def measure(binary, durability, array, hows, pairs, rounds):
    took = {how: [] for how in hows}
    with tempfile.TemporaryDirectory() as directory:
        daemon = Daemon(binary, directory, durability)
        for how in hows:
            daemon.pairs(how, pairs // 4, array)
        for _ in range(rounds):
            for how in hows:
                took[how].append(daemon.pairs(how, pairs, array))
        daemon.stop()
    return {how: statistics.median(times) for how, times in took.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--binary", default="build/sluice")
    options = parser.parse_args()
    for durability in ("process", "none"):
        for array, hows in ((1, ("cancel", "plain", "usage")), (64, ("plain", "usage"))):
            took = measure(options.binary, durability, array, hows, options.pairs, options.rounds)
            words = ", ".join(f"{how} {us:.1f}" for how, us in took.items())
            print(f"durability {durability}, arrays of {array}: µs of CPU a pair: {words}")


if __name__ == "__main__":
    main()
